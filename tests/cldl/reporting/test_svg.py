"""A figure as SVG in a page: its values, its words for who cannot see it, the page's colours, and ids of its own."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from cldl.reporting.svg import FIXED_BLACK, hover, svg


@pytest.fixture
def figure():
    """A line of two points, a bar, and a text in a fixed colour."""
    made = Figure(figsize=(3, 2))
    axes = made.subplots()
    (line,) = axes.plot([1, 2], [1, 2], marker="o", color="#E69F00")
    hover(line, ["first: 1", "second: 2 & <3>"])
    (bar,) = axes.bar([3], [1], color="black")
    hover(bar, ["bar: 1 %"])
    axes.text(1, 1, "on a colour", color=FIXED_BLACK)
    return made


def test_each_mark_has_its_own_value(figure):
    root = ElementTree.fromstring(svg(figure, "a", "alt"))
    marks = {(part.tag, part.find("title").text) for part in root.iter() if part.find("title") is not None}
    assert marks == {("path", "bar: 1 %"), ("use", "first: 1"), ("use", "second: 2 & <3>")}


def test_it_says_what_it_shows_and_takes_the_width_that_it_is_given(figure):
    root = ElementTree.fromstring(svg(figure, "a", 'a "quoted" <figure>'))
    assert root.attrib == {"role": "img", "aria-label": 'a "quoted" <figure>', "viewBox": "0 0 216 144"}


def test_ink_and_paper_are_the_pages_and_colours_with_a_meaning_stay(figure):
    text = svg(figure, "a", "alt")
    assert "currentColor" in text
    assert "var(--paper)" in text
    assert not re.search("#(000000|ffffff)", text)
    assert {FIXED_BLACK, "#e69f00"} <= set(re.findall(r"#[\da-f]{6}\b", text))


def test_texts_are_texts(figure):
    assert "on a colour" in [part.text for part in ElementTree.fromstring(svg(figure, "a", "alt")).iter("text")]


def test_two_figures_of_a_page_share_no_id_and_every_reference_is_answered(figure):
    one, two = (svg(figure, name, "alt") for name in "ab")
    ids = [set(re.findall(r' id="([^"]*)"', text)) for text in (one, two)]
    assert ids[0].isdisjoint(ids[1])
    for text, own in zip((one, two), ids, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([\w-]+)', text)) == own


def test_it_depends_on_the_figure_alone_and_leaves_matplotlib_as_it_was(figure):
    import matplotlib

    before = dict(matplotlib.rcParams)
    assert svg(figure, "a", "alt") == svg(figure, "a", "alt")
    assert dict(matplotlib.rcParams) == before
