"""A page with figures: they are embedded in it, and saved beside it too.

Everything is drawn before anything is written, each file is replaced atomically, and the page is written last: a page is never
left half written.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from cldl.reporting.html import document
from engine.io.files import atomic_write, make_folder

DPI = 180  # of the files
PIXELS = 90  # of the page, to an inch of a figure
WIDTH = 832  # of the page, in its pixels; a wider figure reaches beyond the text
Section = tuple[str, str, Figure, str]  # file name, title, figure, caption


def write_page(
    path: Path, title: str, head: Sequence[str], sections: Sequence[Section], tail: Sequence[str] = ()
) -> Path:
    """Write a page, and the figures of its sections beside it; the path.

    head, tail -- HTML before and behind the sections

    Raises:    UserError when the files cannot be written.
    """
    drawn = {name: png(figure) for name, _, figure, _ in sections}
    body = list(head)
    for name, heading, figure, caption in sections:
        width = round(PIXELS * figure.get_figwidth())
        kind = ' class="wide"' if width > WIDTH else ""
        source = f"data:image/png;base64,{base64.b64encode(drawn[name]).decode()}"
        body.append(f'<h2>{heading}</h2>\n<p>{caption}</p>\n<img alt="{heading}" width="{width}"{kind} src="{source}">')
    page = document(title, "\n".join([*body, *tail]))
    folder = make_folder(path.parent)
    for name, data in drawn.items():
        with atomic_write(folder / f"{name}.png") as file:
            file.write(data)
    with atomic_write(path, "w") as file:
        file.write(page)
    return path


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
