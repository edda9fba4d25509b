"""Self-contained HTML pages: one style, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem }
img { max-width: 100%; display: block; margin: 1rem auto } img.wide { max-width: none }
table { border-collapse: collapse; margin: 1rem 0 } th { text-align: left; border-bottom: 2px solid #222 }
td, th { padding: .2rem 1.2rem .2rem 0; vertical-align: top } td { border-bottom: 1px solid #ddd }
.number { text-align: right; font-variant-numeric: tabular-nums }
.settings td { font-size: 14px; overflow-wrap: anywhere } .settings td:first-child { white-space: nowrap }
"""


def document(title: str, content: str) -> str:
    """A whole page."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head>
<body>
{content}
</body></html>
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table of texts; the columns in `numbers` are aligned to the right."""

    def cells(tag: str, texts: Sequence[str]) -> str:
        kinds = [' class="number"' if i in numbers else "" for i in range(len(texts))]
        return "".join(f"<{tag}{kind}>{escape(text)}</{tag}>" for kind, text in zip(kinds, texts, strict=True))

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table>\n<tr>{cells('th', head)}</tr>\n{body}\n</table>"
