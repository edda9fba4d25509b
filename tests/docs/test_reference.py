"""The built documentation: each page is in it, each package is, and docstrings keep their lines. Sphinx is not needed."""

import ast
import re
import runpy
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INCLUDED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
PACKAGES = [name.rstrip("*") for name in INCLUDED]
CONF = runpy.run_path(str(DOCS / "conf.py"))
convert = runpy.run_path(str(DOCS / "_sphinx" / "docstrings.py"))["convert"]


def toctree():
    """What the front page's tables of contents name, without suffix; patterns opened."""
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    names = [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]
    for name in names:
        if "*" in name:
            yield from (str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.glob(f"{name}.md"))
        else:
            yield name


def test_every_page_is_in_a_table_of_contents():
    pages = {str(p.relative_to(DOCS).with_suffix("")) for p in DOCS.rglob("*.md") if p.name != "index.md"}
    named = [name for name in toctree() if not name.startswith(f"{CONF['autoapi_root']}/")]
    assert sorted(named) == sorted(pages)


def test_every_package_is_in_the_reference():
    assert [Path(folder) for folder in CONF["autoapi_dirs"]] == [ROOT / name for name in PACKAGES]
    named = {name for name in toctree() if name.startswith(f"{CONF['autoapi_root']}/")}
    assert named == {f"{CONF['autoapi_root']}/{name}/index" for name in PACKAGES}


def docstrings():
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for path in sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kinds) and ast.get_docstring(node):
                yield path, ast.get_docstring(node)


def test_examples_and_equations_of_every_docstring_keep_their_lines():
    count = 0
    for path, text in docstrings():
        converted = "\n".join(convert(text.splitlines()))
        plain = "\n".join(line.strip() for line in converted.splitlines())
        for block in re.split(r"\n\s*\n", text):
            if block.lstrip().startswith(">>>") or all(line.startswith("    ") for line in block.splitlines()):
                lines = textwrap.dedent(block).splitlines()
                assert "\n".join(line.strip() for line in lines) in plain, path
                count += 1
    assert count > 25


ROWS = """\
.. container:: sections

   :Forward:
      ::

         y = x
           + 1

   :Shapes:
      as x"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two lines\nof prose, p_k * 2.", "Two lines of prose, p\\_k \\* 2."),
        ("Calls `forward` with `a=1`.", "Calls \\ :py:obj:`forward`\\  with \\ ``a=1``\\ ."),
        ("    y   = x\n    dx  = dy", "::\n\n   y   = x\n   dx  = dy"),
        ("Forward:   y = x\n             + 1\nShapes:    as\n           x", ROWS),
        ("x -- an\n     array", ".. container:: sections\n\n   :``x``:\n      an array"),
        (">>> 1\n1", ".. code-block:: pycon\n\n   >>> 1\n   1"),
        ("(1) is no list.", "\\(1) is no list."),
    ],
)
def test_a_block_becomes_what_it_looks_like(text, expected):
    assert "\n".join(convert(["Pooling: the summary.", "", *text.splitlines()])).rstrip() == (
        f"Pooling\\: the summary.\n\n{expected}"
    )
