r"""Formulas reach the reader as they were written: on GitHub Markdown is read first, and takes `\,` for an escaped comma.

In a ```math block and in $`...`$ a backslash is safe (CommonMark 0.31, sections 2.4 and 4.5), in $...$ only before a letter.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def escapes(text):
    """What Markdown would take for an escape, in the formulas that it reads."""
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    formulas = re.findall(r"\$\$.*?\$\$|\$[^$\n]+\$", text, flags=re.DOTALL)
    return [formula for formula in formulas if re.search(r"\\[!-/:-@\[-`{-~]", formula)]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_no_backslash_of_a_formula_is_lost(page):
    assert not escapes(page.read_text())


@pytest.mark.parametrize("text", [r"$a \, b$", "$$\na \\\\ b\n$$", r"so $\{y\}$ is"])
def test_a_lost_backslash_is_seen(text):
    assert escapes(text)


@pytest.mark.parametrize("text", [r"$`a \, b`$", "```math\na \\, b\n```", r"$\alpha \quad \beta$", r"`$\{y\}$`"])
def test_a_kept_one_is_not_reported(text):
    assert not escapes(text)
