"""docs/derivation.md: its code runs, its numbers are computed, its tests exist, its figures are the study's.

A number in the text is accounted for by a comment behind its paragraph or table, which a reader of the page does not see:

    <!-- numbers: 0.25 0.64 = two.T; 0.4395 = two.value -->

says that the values of the expression on the right (in the page's own namespace), rounded to the digits printed, are the
numbers on the left. Every decimal number outside the code blocks must stand in such a comment.
"""

import ast
import doctest
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from cldl.study import figures
from cldl.study.__main__ import main
from cldl.study.terms import terms, two_class_logits
from tests.cldl.laws import LAWS
from tests.cldl.reporting.drawn import legend_is_clear

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "derivation.md"
TEXT = PAGE.read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.)}])-?\d+\.\d+(?![\w.]*\d)|(?<=[\w)}]-)\d+\.\d+")
COMMENT = re.compile(r"<!-- numbers: (.*?) -->", re.DOTALL)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.fixture(scope="module")
def page():
    """The page's namespace after all of its Python blocks, and what failed in them."""
    pytest.importorskip("sympy")
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.REPORT_NDIFF)
    namespace, output = {}, []
    for block in FENCE.finditer(TEXT):
        if block[1] == "python":
            line = TEXT[: block.start(2)].count("\n")
            examples = doctest.DocTestParser().get_doctest(block[2], namespace, PAGE.name, str(PAGE), line)
            runner.run(examples, out=output.append, clear_globs=False)
            namespace = examples.globs
    return namespace, runner.summarize(verbose=False), "".join(output)


def paragraphs():
    """Runs of lines without an empty one, formulas included and other code left out, each with its comment's pairs."""
    text = FENCE.sub(lambda block: block[2] if block[1] == "math" else "", TEXT)
    for paragraph in re.split(r"\n\s*\n", text):
        pairs = [pair.split(" = ", 1) for found in COMMENT.findall(paragraph) for pair in found.split("; ")]
        yield COMMENT.sub("", paragraph), [(numbers.split(), expression) for numbers, expression in pairs]


def test_every_code_block_gives_what_the_page_prints(page):
    _, result, output = page
    assert result.failed == 0, output
    assert result.attempted > 50


def test_every_number_of_the_page_is_computed(page):
    namespace = page[0]
    count = 0
    for text, pairs in paragraphs():
        printed = NUMBER.findall(text)
        claimed = [number for numbers, _ in pairs for number in numbers]
        assert set(printed) == set(claimed), f"in the paragraph that begins {text[:80]!r}"
        for numbers, expression in pairs:
            values = np.ravel(eval(expression, dict(namespace)))
            digits = [len(number.partition(".")[2]) for number in numbers]
            assert [f"{value:.{n}f}" for value, n in zip(values, digits, strict=True)] == numbers, expression
            count += len(numbers)
    assert count > 100


def test_a_wrong_number_or_one_without_a_value_would_be_noticed():
    assert NUMBER.findall("1 - 0.36, -0.25, (0.1), $0.5 \\cdot 2.0$, 1-0.75, x.5, 3, 0.97.") == [
        *("0.36", "-0.25", "0.1", "0.5", "2.0", "0.75", "0.97")
    ]


def test_every_test_that_the_page_names_exists():
    named = TEST.findall(TEXT)
    assert len(named) > 40
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{path}::{name}"
        if path.endswith("laws.py"):
            assert name in {law.__name__ for law in LAWS}


def test_every_step_names_a_test_that_holds_it():
    sections = re.split(r"^###? ", TEXT, flags=re.MULTILINE)[1:]
    held_below = {"The derivation", "Five contradictions of the poster", "By hand", "What the companion term does"}
    for section in sections:
        heading, _, body = section.partition("\n")
        chapter = not body.strip() or any(heading.startswith(start) for start in held_below)
        # these are held with what follows
        part = heading.startswith(("M = 1", "M = 2", "Exercises", "The field", "From the field", "CLDL as"))
        assert chapter or part or "<summary>Held by</summary>\n\n`tests/" in body, heading


def test_every_link_and_figure_of_the_page_is_there():
    figures_shown = re.findall(r"!\[[^\]]+\]\(figures/(\w+)\.png\)", TEXT)
    assert len(figures_shown) == len(set(figures_shown)) == 6
    for name in figures_shown:
        assert callable(getattr(figures, name))
        assert (PAGE.parent / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(#([^)]+)\)", TEXT):
        assert target in anchors


def test_every_command_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "write", lambda folder: [folder / "surfaces.png"])  # test_study writes them
    commands = [line for block in FENCE.finditer(TEXT) if block[1] == "sh" for line in block[2].splitlines()]
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert words[:3] == ["python", "-m", "cldl.study"]
        assert main(words[3:]) == 0
    assert "The gradient" in capsys.readouterr().out


@pytest.mark.parametrize("classifiers", [1, 2, 3, 5])
def test_the_lab_runs_without_a_browser(classifiers):
    """Every cell, at positions of its first slider; formula and code agree, the axes stay, and the legend covers nothing."""
    marimo = pytest.importorskip("marimo")
    from docs import derivation_lab

    class Slider:
        value = classifiers

    _, defined = derivation_lab.app.run(defs={"M": Slider()})
    assert defined["t"].p.shape == (classifiers,)
    assert defined["largest"] < 1e-15
    figure = defined["figure"]
    assert figure.axes[0].get_xlim() == (0, 2)
    assert legend_is_clear(figure)
    assert marimo.__version__


def test_the_answers_to_the_labs_tasks_are_what_its_sliders_show():
    starved = terms(two_class_logits([0.01, 0.99, 0.99]))
    assert starved.T[0] == pytest.approx(0.01)
    assert starved.own[0] == pytest.approx(0.01 * 0.99)
    leader = terms(two_class_logits([0.9, 0.5]))
    assert (leader.own[0], leader.through[0, 1], -leader.dd[0]) == pytest.approx((0.05, 0.0624, 0.1124), abs=5e-5)
    assert pytest.approx([1, 1, 1]) == terms(two_class_logits([0.9, 0.5, 0.2]), exponent=0).T
    for p, share in ((0.214, 0.4989), (0.215, 0.5000), (0.216, 0.5012)):
        t = terms(two_class_logits([p, 0.01]))
        assert t.through[0, 1] / -t.dd[0] == pytest.approx(share, abs=5e-5)
    one, two = (terms(two_class_logits([0.3, 0.6, 0.9]), weights=(weight, 1, 1)) for weight in (1, 2))
    assert two.T[0] == one.T[0]
    assert two.own[0] == pytest.approx(2 * one.own[0])
    assert two.through[1:, 0] == pytest.approx(2 * one.through[1:, 0])
