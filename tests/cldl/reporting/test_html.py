"""Pages and tables as text."""

from cldl.reporting.html import document, table


def test_a_table_has_a_head_and_rows_with_numbers_to_the_right():
    assert table(("name", "error"), [("a & b", "1.5"), ("c", "2.0")], numbers=(1,)).splitlines() == [
        "<table>",
        '<tr><th>name</th><th class="number">error</th></tr>',
        '<tr><td>a &amp; b</td><td class="number">1.5</td></tr>',
        '<tr><td>c</td><td class="number">2.0</td></tr>',
        "</table>",
    ]


def test_a_page_has_its_title_and_its_content():
    page = document("a < b", "<p>text</p>")
    assert page.startswith("<!doctype html>\n")
    assert "<title>a &lt; b</title>" in page
    assert "<body>\n<p>text</p>\n</body></html>\n" in page
