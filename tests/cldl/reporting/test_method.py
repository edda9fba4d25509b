"""What a page says of the method: the formula as MathML, the letters of this run, and links to the docs where they lie."""

from xml.etree import ElementTree

import pytest

from cldl.objective import Objective
from cldl.reporting import method


def formulas(text):
    """The formulas of a text, each without its marks."""
    parts = [part.partition("</math>")[0] for part in text.split('<math display="block">')[1:]]
    return ["".join(ElementTree.fromstring(f"<math>{part}</math>").itertext()) for part in parts]


def test_the_formula_is_the_losss_with_the_weights_and_the_exponent_of_the_run():
    text = method.explained(Objective((1.0, 0.5, 0.25), exponent=0.1))
    assert formulas(text) == ["L=1N∑n∑m=1MλmC(m)T(m)", "C(m)=−logpm", "T(m)=∏t≠m(1−pt)g"]
    assert "= 1, 0.5, 0.25 its weight, the\nexponent g = 0.1," in text


def test_an_unweighted_share_stands_in_the_formula():
    loss, *_ = formulas(method.explained(Objective((1.0, 1.0), unweighted_share=0.25)))
    assert loss == "L=1N∑n∑m=1MλmC(m)(0.25+0.75T(m))"


@pytest.mark.parametrize("objective", [Objective((1.0,)), Objective((1.0, 1.0), loss="softmax")])
def test_where_there_is_no_t_there_is_no_formula_of_it(objective):
    assert formulas(method.explained(objective)) == []


def test_the_docs_are_linked_relative_to_the_page_where_they_lie_and_named_where_they_do_not(tmp_path, monkeypatch):
    docs, report = tmp_path / "docs", tmp_path / "runs" / "one" / "report"
    docs.mkdir()
    for name in method.DOCS:
        (docs / name).touch()
    monkeypatch.setattr(method, "_places", lambda: [tmp_path / "none", docs])
    linked = method.links(report)
    assert '<a href="../../../docs/derivation.md">docs/derivation.md</a>: the gradient' in linked
    monkeypatch.setattr(method, "_places", lambda: [tmp_path / "none"])
    assert "<a" not in method.links(report)
    assert "docs/derivation.md: the gradient" in method.links(report)


def test_the_projects_docs_are_found():
    assert all((method._places()[0] / name).exists() for name in method.DOCS)
