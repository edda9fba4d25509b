"""The study: each step of docs/derivation.md by itself, the oracles, the claims about training, and the walk."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cldl.loss import cldl_loss
from cldl.study import figures, forms, oracles, walk
from cldl.study.__main__ import main
from cldl.study.terms import EXAMPLE, margins, terms, two_class_logits
from engine.gradcheck import grid
from engine.random import Key
from tests.cldl.laws import by_definition
from tests.strategies import LossCase, loss_cases, seeds

Z = np.log(EXAMPLE)
PROBLEM = (Z, 0, np.ones(3), 0.5)
probabilities = st.integers(1, 999).map(lambda n: n / 1000)


def derivative(f, x, h=1e-30):
    """df/dx by the complex step."""
    return f(x + 1j * h).imag / h


# The steps of the derivation


@given(seed=seeds, M=st.integers(1, 4), K=st.integers(2, 6))
def test_the_margin_gives_p_and_its_gradient_is_minus_r(seed, M, K):
    z = grid((M, K), Key(seed), 4.0)
    t = terms(z, target := seed % K)
    P = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(1 / (1 + np.exp(-margins(z, target))), P[:, target], rtol=1e-12)
    for j in range(K):
        moved = z.astype(complex)
        moved[:, j] += 1e-30j
        d = moved[:, target] - np.log(np.exp(np.delete(moved, target, axis=1)).sum(axis=1))
        np.testing.assert_allclose(d.imag / 1e-30, -t.r[:, j], rtol=1e-12)
    np.testing.assert_allclose(t.r.sum(axis=1), 0, atol=1e-14)


@given(seed=seeds, M=st.integers(2, 5), g=st.sampled_from([0.25, 0.5, 1.0, 2.0]))
def test_the_derivatives_of_the_factors(seed, M, g):
    d = grid((M,), Key(seed), 5.0)
    t = terms(np.stack([d, np.zeros(M)], axis=1), exponent=g)
    for k in range(M):
        assert derivative(lambda x: np.log(1 + np.exp(-x)), d[k]) == pytest.approx(-t.q[k], rel=1e-12)
        assert derivative(lambda x: -np.log(1 + np.exp(x)), d[k]) == pytest.approx(-t.p[k], rel=1e-12)
        for m in range(M):

            def companions(x, k=k, m=m):
                moved = d.astype(complex)
                moved[k] = x
                return np.prod(np.delete(1 / (1 + np.exp(moved)), m) ** g)

            expected = 0 if k == m else -g * t.p[k] * t.T[m]
            assert derivative(companions, d[k]) == pytest.approx(expected, rel=1e-11, abs=1e-20)


@given(case=loss_cases())
def test_the_terms_are_those_of_the_loss(case):
    result = cldl_loss(*case.arguments)
    N = len(case.labels)
    for n in range(N):
        z = np.stack([s[n] for s in case.logits])
        t = terms(z, int(case.labels[n]), case.weights, case.exponent, case.through)
        np.testing.assert_allclose(t.losses, result.per_classifier[:, n], rtol=1e-11, atol=1e-300)
        np.testing.assert_allclose(t.T, result.companions[:, n], rtol=1e-11, atol=1e-300)
        np.testing.assert_allclose(t.gradients / N, [g[n] for g in result.gradients], rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(-(t.own + t.through.sum(axis=1)), t.dd, rtol=1e-15)


def test_naive_and_stable_form_are_equal_on_paper():
    for seed in range(20):
        z = grid((3, 4), Key(seed), 3.0)
        weights = np.array([0.5, 1.0, 2.0])
        np.testing.assert_allclose(forms.naive(z, 1, weights, 0.5), forms.stable(z, 1, weights, 0.5), rtol=1e-11)


# The oracles


def test_the_oracles_agree_on_the_worked_example():
    pytest.importorskip("sympy")
    expected = terms(Z).gradients
    for road, tolerance in (
        (oracles.by_sympy, 1e-14),
        (oracles.by_complex_step, 1e-13),
        (oracles.by_differences, 1e-8),
    ):
        np.testing.assert_allclose(road(*PROBLEM), expected, rtol=tolerance)


@pytest.mark.parametrize("width", [1.0, 30.0, 1000.0])
def test_the_decimal_truth_agrees_with_mpmath(width):
    z = grid((3, 4), Key(7), width)
    case = LossCase([row[None] for row in z], np.array([2]), np.array([0.5, 1.0, 2.0]), 0.5, True)
    with mpmath.workdps(60):
        expected = by_definition(case)[2][:, 0]
    found = np.array([[float(x) for x in row] for row in forms.exact(z, 2, case.weights, 0.5)])
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=1e-300)


def test_differences_are_best_near_the_cube_root_of_epsilon():
    """The two floors are five digits apart, and each lies within a factor of 100 of the rule's step."""
    expected = terms(Z).gradients
    floors = {}
    for dtype in (np.float32, np.float64):
        eps, z = float(np.finfo(dtype).eps), Z.astype(dtype)
        steps = np.geomspace(100 * eps, 0.1, 40)
        errors = [np.abs(oracles.by_differences(z, *PROBLEM[1:], h) - expected).max() for h in steps]
        floors[dtype] = min(errors)
        assert eps ** (1 / 3) / 100 < steps[int(np.argmin(errors))] < eps ** (1 / 3) * 100
    assert 1e4 < floors[np.float32] / floors[np.float64] < 1e7


# Floating point


@pytest.mark.parametrize(("dtype", "one", "zero"), [(np.float32, 16.8, -104.1), (np.float64, 36.9, -745.3)])
def test_the_naive_form_breaks_where_the_page_says(dtype, one, zero):
    def form(logit, which=forms.naive):
        z = np.log(EXAMPLE).astype(dtype)
        z[2] = [logit, -np.inf, 0]  # two classes, in effect: the margin is the logit
        return which(z[:, ::2], 0, np.ones(3), 0.5)

    for logit in (one, zero):
        assert not np.isfinite(form(dtype(logit))).all()
        assert np.isfinite(form(dtype(logit), forms.stable)).all()
    assert np.isfinite(form(dtype(one - 0.4))).all()
    assert np.isfinite(form(dtype(zero + 1))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("logit", [-60, -20, -3, 0, 3, 12, 20, 50])
def test_the_stable_form_loses_no_more_than_its_margin_does(dtype, logit):
    z = figures.moved_example(logit).astype(dtype)
    error = forms.worst_error(forms.stable(z, 0, np.ones(3), 0.5), forms.exact(z, 0, np.ones(3), 0.5))
    assert error < (8 + abs(logit)) * np.finfo(dtype).eps


# What the companion term does


@given(case=loss_cases())
def test_the_companion_term_never_opposes_the_own_term(case):
    t = terms(np.stack([s[0] for s in case.logits]), int(case.labels[0]), case.weights, case.exponent)
    assert (t.own >= 0).all()
    assert (t.through >= 0).all()


@given(p=st.lists(probabilities, min_size=2, max_size=4), g=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_the_ratio_of_the_two_terms(p, g):
    weights = 1 + np.arange(len(p)) / 2
    t = terms(two_class_logits(p), weights=weights, exponent=g)
    for k in range(len(p)):
        others = [weights[m] / weights[k] * t.C[m] / t.q[m] ** g for m in range(len(p)) if m != k]
        expected = g * t.p[k] * t.q[k] ** (g - 1) * sum(others)
        assert t.through[k].sum() / t.own[k] == pytest.approx(expected, rel=1e-10)


@given(p=st.lists(probabilities, min_size=2, max_size=4, unique=True), g=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_own_terms_favour_the_weaker_below_exponent_1_and_the_stronger_above(p, g):
    own = terms(two_class_logits(sorted(p)), exponent=g).own  # the weaker first
    differences = np.diff(own) / own[1:]
    if g == 1:
        np.testing.assert_allclose(differences, 0, atol=1e-12)
    else:
        assert (differences * (g - 1) > 0).all()


@given(p=st.lists(probabilities, min_size=2, max_size=5, unique=True), g=st.sampled_from([0.25, 0.5, 1.0]))
def test_the_companion_term_is_larger_the_further_ahead_a_classifier_is(p, g):
    assert (np.diff(terms(two_class_logits(sorted(p)), exponent=g).through.sum(axis=1)) > 0).all()


@given(p=st.lists(probabilities, min_size=2, max_size=2, unique=True))
def test_of_two_classifiers_the_one_ahead_has_the_larger_gradient(p):
    t = terms(two_class_logits(sorted(p)))
    assert -t.dd[1] > -t.dd[0]
    f = t.p * t.q / t.C
    assert t.dd[0] - t.dd[1] == pytest.approx(t.C[0] * t.C[1] * (f[1] - f[0]), rel=1e-8, abs=1e-14)


@given(p=st.lists(probabilities, min_size=2, max_size=2))
def test_held_constant_two_margins_keep_their_distance(p):
    dd = terms(two_class_logits(p), through_companions=False).dd
    assert dd[0] == pytest.approx(dd[1], rel=1e-12)


@pytest.mark.parametrize("start", [(0.1, 0.2), (0.1, 0.8), (0.3, 0.4)])
def test_the_companion_term_leaves_the_one_behind_further_behind(start):
    constant, included = (figures.follow(start, through)[-1] for through in (False, True))
    distance = [np.diff(np.log(p / (1 - p))).item() for p in (np.array(start), constant, included)]
    assert distance[1] == pytest.approx(distance[0], rel=1e-9)
    assert distance[2] > 1.5 * distance[0]


# The walk


def test_the_walk_shows_every_method_and_writes_every_figure(tmp_path, capsys):
    pytest.importorskip("sympy")
    assert main(["--out", str(tmp_path / "new" / "study")]) == 0
    shown = capsys.readouterr().out
    for word in ("SymPy", "complex step", "differences", "cldl_loss", "through T^(2)", "0.1645", "passed"):
        assert word in shown
    assert "nan" not in shown
    assert max(map(len, shown.split("5. Figures")[0].splitlines())) <= 120
    names = {path.name for path in (tmp_path / "new" / "study").iterdir()}
    assert names == {"method.png", "surfaces.png", "companions.png", "naive_form.png", "v_curve.png", "leader.png"}
    assert all((tmp_path / "new" / "study" / name).read_bytes().startswith(b"\x89PNG") for name in names)


def test_the_walk_explains_its_words_in_80_columns(tmp_path, monkeypatch, capsys):
    names = ("method", "surfaces", "companions", "naive_form", "v_curve", "leader")
    monkeypatch.setattr(figures, "write", lambda folder: [folder / f"{name}.png" for name in names])
    assert main(["--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    words, rest = shown.split("1. One sample")
    for word in (*walk.WORDS, *walk.METHODS, *walk.COLUMNS):
        assert f"\n   {word} " in words + rest
    checked = "elementwise, seed 0"  # the checker's own table is wider
    assert max(map(len, (words + rest.split(checked)[0] + rest.split("5. Figures")[1]).splitlines())) <= 80


def test_the_walk_goes_on_without_sympy(monkeypatch, capsys):
    monkeypatch.setattr(oracles, "by_sympy", lambda *_: None)
    walk.methods(Console(width=100), Z, terms(Z))
    assert "SymPy is not installed" in capsys.readouterr().out


def test_the_check_of_the_walk_passes():
    walk.check(Z).raise_if_failed()


def test_a_folder_that_cannot_be_written_is_one_line_and_status_2(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["gradient", "--out", str(tmp_path / "file")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the figures cannot be written into")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--colour", "red"], ["nothing"]])
def test_an_unknown_word_is_refused(arguments, capsys):
    assert main(arguments) == 2
    assert arguments[0] in capsys.readouterr().err
