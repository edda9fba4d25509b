"""A page with figures: they are drawn in it as SVG, and saved beside it as pictures.

Everything is drawn before anything is written, each file is replaced atomically, and the page is written last: a page is never
left half written. It asks for nothing from elsewhere.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from cldl.reporting.html import document
from cldl.reporting.svg import svg
from engine.io.files import atomic_write, make_folder

DPI = 180  # of the files


@dataclass(frozen=True)
class Section:
    """A part of a page: HTML under a heading, and below it a figure, where there is one.

    name -- of the figure's file; alt -- what the figure shows, to a reader who cannot see it
    """

    title: str
    text: str
    figure: Figure | None = None
    name: str = ""
    alt: str = ""


def write_page(path: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write a page, the first section's title its heading, and the figures beside it; the path.

    Raises:    UserError when the files cannot be written.
    """
    drawn = {s.name: png(s.figure) for s in sections if s.figure}
    for s in sections:
        if s.figure:
            s.figure.set_layout_engine("none")  # its parts stay where they are for the page
    body = "\n".join(part(s, "h2" if i else "h1") for i, s in enumerate(sections))
    folder = make_folder(path.parent)
    for name, data in drawn.items():
        with atomic_write(folder / f"{name}.png") as file:
            file.write(data)
    with atomic_write(path, "w") as file:
        file.write(document(title, body))
    return path


def part(section: Section, heading: str = "h2") -> str:
    """A section as HTML."""
    text = f"<{heading}>{escape(section.title)}</{heading}>\n{section.text}"
    if section.figure is None:
        return text
    return f"{text}\n<figure>{svg(section.figure, section.name, section.alt or section.title)}</figure>"


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
