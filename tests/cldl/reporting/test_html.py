"""Pages and tables as text."""

import re

from cldl.reporting.html import STYLE, document, folded, table
from cldl.reporting.svg import PAGE_COLOURS


def test_a_table_has_a_head_and_rows_with_numbers_to_the_right():
    assert table(("name", "error"), [("a & b", "1.5"), ("c", "2.0")], numbers=(1,)).splitlines() == [
        '<div class="wide"><table>',
        '<tr><th>name</th><th class="number">error</th></tr>',
        '<tr><td>a &amp; b</td><td class="number">1.5</td></tr>',
        '<tr><td>c</td><td class="number">2.0</td></tr>',
        "</table></div>",
    ]


def test_a_table_without_a_head_begins_with_its_rows():
    assert table((), [("a", "1")]).splitlines()[1] == "<tr><td>a</td><td>1</td></tr>"


def test_what_is_folded_is_shown_on_request():
    assert folded("a < b", "<p>c</p>") == "<details><summary>a &lt; b</summary>\n<p>c</p>\n</details>"


def test_a_page_has_colours_for_the_light_and_for_the_dark():
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    names = [re.findall(r"(--\w+):", colours) for colours in (light, dark)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\((--\w+)\)", STYLE)) | {value for value in PAGE_COLOURS.values() if "--" in value} <= {
        *names[0],
        *(f"var({name})" for name in names[0]),
    }


def test_a_page_has_its_title_and_its_content():
    page = document("a < b", "<p>text</p>")
    assert page.startswith("<!doctype html>\n")
    assert "<title>a &lt; b</title>" in page
    assert '<body style="max-width: 46rem">\n<p>text</p>\n</body></html>\n' in page
    assert "max-width: 72rem" in document("a", "b", 72)
