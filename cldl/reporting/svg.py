"""A figure as SVG inside a page: in the page's colours, light or dark, with values that show where the pointer rests.

Texts stay texts, so they can be found and read aloud. What is black, white or grey becomes the page's ink, paper and lines (CSS
variables of `cldl.reporting.html`); colours that can be seen on both stay as they are. Needs no script.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from xml.etree import ElementTree

import matplotlib
from matplotlib.artist import Artist
from matplotlib.figure import Figure

HOVER, NEXT = "hover: ", " ¦ "  # an artist's texts are the id of its group until they become titles
PAGE_COLOURS = {  # of a figure, and of the page
    "#000000": "currentColor",
    "#ffffff": "var(--paper)",
    "#e6e6e6": "var(--line)",
    "#e0e0e0": "var(--line)",
    "#595959": "var(--soft)",
    "#808080": "var(--soft)",
    "#0072b2": "var(--blue)",  # the bottom classifier's, which is too dark in the dark
}
FIXED_BLACK, FIXED_WHITE = "#010101", "#fefefe"  # on a colour that is the same in the dark


def hover(artist: Artist, texts: Iterable[str]) -> None:
    """Show these texts on a bar, on each of several cells, or on the marks of a line from left to right."""
    artist.set_gid(HOVER + NEXT.join(texts))


def svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an <svg> element, as wide as it is given space; `alt` says what it shows to a reader who cannot see it.

    name -- makes the ids of its parts its own on a page with several figures
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for part in list(root):
        if part.tag.endswith("metadata") or any(child.tag.endswith("style") for child in part):
            root.remove(part)  # who wrote it, and a style that would be the whole page's
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): _in_page_colours(value) for key, value in element.attrib.items()}
        element.tail = None
    for group in root.iter("g"):
        if group.get("id", "").startswith(HOVER):
            _title(group, group.attrib.pop("id").removeprefix(HOVER).split(NEXT))
    root.attrib = {"role": "img", "aria-label": alt, "viewBox": root.attrib["viewBox"]}
    text = ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)
    referred = set(re.findall(r"#([\w-]+)", text))
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in referred else "", text)


def _title(group: ElementTree.Element, texts: list[str]) -> None:
    """Give each mark of a group its text, or the whole group where it is one thing."""
    marks = [part for part in group.iter() if part.tag == "use"] or group.findall("path")
    for mark, text in zip(marks if len(marks) == len(texts) else [group], texts, strict=False):
        ElementTree.SubElement(mark, "title").text = text


def _local(name: str) -> str:
    """A name without its namespace: a page knows an <svg>'s."""
    return name.rpartition("}")[2]


def _in_page_colours(value: str) -> str:
    for old, new in PAGE_COLOURS.items():
        value = value.replace(old, new)
    return value
