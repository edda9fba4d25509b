"""Self-contained HTML pages: one style, in the light and in the dark, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --line: #ddd; --soft: #666; --shade: #f4f4f4; --link: #0060a8;
  --blue: #0072b2 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --paper: #181818; --line: #3c3c3c; --soft: #999; --shade: #242424; --link: #6cb6ff;
    --blue: #2b8ccc }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  padding: 0 1rem; overflow-wrap: break-word }
p, ul { max-width: 46rem }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 2.5rem } h3 { font-size: 1rem } a { color: var(--link) }
figure { margin: 1rem 0 } figure > svg { display: block; width: 100%; max-width: 40rem; margin: 0 auto; fill: currentColor;
  stroke-linejoin: round } svg use { pointer-events: all }
.wide { overflow-x: auto } table { border-collapse: collapse; margin: 1rem 0 }
th { text-align: left; border-bottom: 2px solid } td, th { padding: .2rem 1.2rem .2rem 0; vertical-align: top }
td { border-bottom: 1px solid var(--line) }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
code { font-size: 14px } pre { background: var(--shade); padding: .6rem .8rem; overflow-x: auto }
details { margin: 1rem 0 } summary { cursor: pointer } details td { font-size: 14px; overflow-wrap: anywhere }
math { font-size: 1.1em } math[display=block] { overflow-x: auto; overflow-y: hidden; padding: .3rem 0 }
.images { display: flex; flex-wrap: wrap; gap: .6rem; margin: 0; padding: 0; list-style: none }
.images li { width: 4.5rem; font-size: 12px; line-height: 1.2; text-align: center }
.images img { width: 100%; image-rendering: pixelated; border: 1px solid var(--line) }
"""


def document(title: str, content: str, width: int = 46) -> str:
    """A whole page, of at most this width in letters; lines of text are never wider than 46."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head>
<body style="max-width: {width}rem">
{content}
</body></html>
"""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table of texts, which scrolls by itself where it is too wide; the columns in `numbers` are aligned to the right.

    Without a head it begins with its rows.
    """

    def cells(tag: str, texts: Sequence[str]) -> str:
        kinds = [' class="number"' if i in numbers else "" for i in range(len(texts))]
        return "".join(f"<{tag}{kind}>{escape(text)}</{tag}>" for kind, text in zip(kinds, texts, strict=True))

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    first = f"<tr>{cells('th', head)}</tr>\n" if head else ""
    return f'<div class="wide"><table>\n{first}{body}\n</table></div>'


def folded(summary: str, content: str) -> str:
    """What is shown on request."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}\n</details>"
