"""The CLDL loss: every law of the method, from single scores to scores of ten thousand, and what it refuses."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cldl.arguments import check_labels, check_logits, default_exponent
from cldl.hinge import hinge_loss
from cldl.loss import allocate_result, cldl_loss, cldl_loss_reference
from engine.device import on_gpu
from engine.errors import UserError
from engine.gradcheck import grid
from engine.random import Key
from tests.cldl.laws import LAWS, agrees_with_60_digits, by_definition
from tests.on_gpu import OnGpu
from tests.strategies import LossCase, loss_cases, seeds


def real(*arguments):
    return parts(cldl_loss(*arguments))


def plain(*arguments):
    return parts(cldl_loss_reference(*arguments))


def parts(result):
    return result.value, result.per_classifier, result.gradients, result.companions


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("loss", [real, plain], ids=["fast", "reference"])
def test_the_law_holds(loss, law):
    @given(case=loss_cases())
    def holds(case):
        law(loss, case)

    holds()


@given(case=loss_cases(classes=6, widths=(1e-3, 1.0, 50.0, 700.0, 1e4)))
def test_scores_of_ten_thousand_keep_twelve_digits(case):
    agrees_with_60_digits(real, case)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_twelve_digits_where_the_target_is_twenty_thousand_behind_or_ahead(target):
    z = [np.array([[-1e4, 1e4, 9999.3]]), np.array([[9999.9, -1e4, 1e4]]), np.array([[0.1, -0.2, 0.3]])]
    agrees_with_60_digits(real, LossCase(z, np.array([target]), np.ones(3), None, True))


@pytest.mark.parametrize("K", [2, 10, 100, 1000])
def test_a_thousand_classes_keep_twelve_digits(K):
    z = [grid((1, K), Key(K).fold(m), 5.0) for m in range(3)]
    agrees_with_60_digits(real, LossCase(z, np.array([K // 2]), np.array([0.5, 0.75, 1.0]), None, True))


@given(seed=seeds, M=st.integers(1, 6), width=st.sampled_from([1.0, 100.0, 1e4, 1e30]), through=st.booleans())
def test_float32_is_finite_everywhere_and_keeps_its_precision(seed, M, width, through):
    key = Key(seed)
    z = [grid((4, 5), key.fold(m), width).astype(np.float32) for m in range(M)]
    labels = np.array([0, 1, 2, 4])
    single = cldl_loss(z, labels, through_companions=through)
    double = cldl_loss([s.astype(np.float64) for s in z], labels, through_companions=through)
    assert np.isfinite(single.value)
    assert all(g.dtype == np.float32 and np.isfinite(g).all() for g in single.gradients)
    np.testing.assert_allclose(single.gradients, double.gradients, rtol=1e-6, atol=1e-37)


def test_at_most_one_term_is_lost_where_a_companion_is_certain():
    """(1 - p)^(g - 1) is infinite at p = 1 for M = 3; the gradient is not."""
    z = [np.array([[800.0, 0.0]]), np.array([[0.0, 0.0]]), np.array([[0.0, 1.0]])]
    result = cldl_loss(z, np.array([0]))
    assert all(np.isfinite(g).all() for g in result.gradients)
    assert 0 < result.companions[1, 0] < 1e-150


def test_poster_and_geometric_mean_agree_for_two_classifiers_only():
    z = [grid((2, 4), Key(m)) for m in range(3)]
    labels = np.array([1, 3])
    assert cldl_loss(z[:2], labels).value == cldl_loss(z[:2], labels, exponent=1).value
    printed = cldl_loss(z, labels, exponent=2)
    assert printed.value < cldl_loss(z, labels).value
    np.testing.assert_allclose(printed.companions, cldl_loss(z, labels).companions ** 4)


def test_default_exponents():
    assert [default_exponent(M) for M in (1, 2, 3, 5)] == [1.0, 1.0, 0.5, 0.25]


def test_the_factor_is_one_minus_the_score_as_the_formula_has_it():
    """The text says geometric mean of the scores; by the formula a sample counts less once its companions are right."""
    right, wrong = np.array([[5.0, 0.0]]), np.array([[0.0, 5.0]])
    own = np.array([[0.0, 0.0]])
    label = np.array([0])
    assert cldl_loss([own, right], label).per_classifier[0, 0] < cldl_loss([own, wrong], label).per_classifier[0, 0]


def test_chunks_of_a_batch_add_up_to_it():
    z = [grid((5, 3), Key(m)) for m in range(3)]
    labels = np.array([0, 1, 2, 1, 0])
    whole = cldl_loss(z, labels)
    parts = [cldl_loss([s[a:b] for s in z], labels[a:b], samples=5) for a, b in ((0, 2), (2, 5))]
    assert sum(p.value for p in parts) == pytest.approx(whole.value, rel=1e-14)
    for m in range(3):
        np.testing.assert_allclose(np.concatenate([p.gradients[m] for p in parts]), whole.gradients[m], rtol=1e-14)


def test_scores_and_labels_are_untouched_and_any_memory_order_is_taken():
    z = [grid((3, 4), Key(m)) for m in range(2)]
    labels = np.array([0, 3, 1], np.uint8)
    kept = [s.copy() for s in z]
    plain = cldl_loss(z, labels)
    fortran = cldl_loss([np.asfortranarray(s) for s in z], labels.astype(np.int32))
    assert all(np.array_equal(a, b) for a, b in zip(z, kept, strict=True))
    assert labels.tolist() == [0, 3, 1]
    assert plain.value == fortran.value
    assert np.array_equal(plain.gradients, fortran.gradients)
    assert not any(np.may_share_memory(g, s) for g in plain.gradients for s in z)


def test_lists_are_taken_as_arrays():
    z, labels = [grid((2, 3), Key(m)) for m in range(2)], np.array([0, 2])
    for loss in (cldl_loss, cldl_loss_reference):
        listed = loss([s.tolist() for s in z], labels.tolist(), [1, 2])
        assert listed.value == loss(z, labels, np.array([1.0, 2.0])).value
        assert listed.weights.dtype == np.float64


def test_scores_of_two_precisions_are_all_computed_in_the_higher_one():
    double, single = grid((2, 3), Key(0)), grid((2, 3), Key(1)).astype(np.float32)
    result = cldl_loss([double, single], np.array([0, 2]))
    assert [g.dtype for g in result.gradients] == [np.float64, np.float64]
    assert np.array_equal(result.gradients, cldl_loss([double, single.astype(np.float64)], np.array([0, 2])).gradients)


def test_what_fits_is_not_copied():
    z, labels = np.zeros((2, 3), np.float32), np.array([0, 1])
    assert check_logits([z])[0] is z
    assert check_labels(labels, z) is labels


def test_arrays_on_the_gpu_stay_there_and_labels_there_are_not_read():
    z, labels = np.zeros((2, 3)).view(OnGpu), np.array([0, 3]).view(OnGpu)  # 3 is no class
    assert check_logits([z])[0] is z
    assert check_labels(labels, z) is labels


def test_the_result_is_on_the_gpu_where_the_scores_are(monkeypatch):
    cupy = SimpleNamespace(empty=lambda shape, dtype: np.empty(shape, dtype).view(OnGpu))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    result = allocate_result([np.zeros((2, 3)).view(OnGpu)], np.ones(1))
    assert all(map(on_gpu, [result.per_classifier, result.companions, *result.gradients]))


def test_the_result_lies_in_the_memory_that_is_given():
    asked, memory = [], []

    def empty(shape, dtype):
        asked.append((shape, dtype))
        memory.append(np.empty(shape, dtype))
        return memory[-1]

    z = [grid((4, 3), Key(m)).astype(np.float32) for m in range(2)]
    result = cldl_loss(z, np.array([0, 1, 2, 0]), empty=empty)
    assert asked == [((4, 2), np.float64)] * 2 + [((4, 3), np.float32)] * 2
    assert all(map(np.shares_memory, [result.per_classifier, result.companions, *result.gradients], memory))


def test_the_reference_has_the_same_defaults():
    z, labels = [grid((2, 4), Key(m)) for m in range(3)], np.array([1, 3])
    for got, expected in zip(plain(z, labels), real(z, labels), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("scores", [[np.nan, 0.0, 1.0], [0.0, np.nan, 1.0], [0.0, np.inf, 1.0]])
def test_what_is_no_number_is_not_hidden(scores):
    z = [np.array([scores]), np.array([[0.0, 0.0, 1.0]])]
    assert np.isnan(cldl_loss(z, np.array([0])).gradients[0]).any()


def test_sympy_differentiates_the_definition_to_the_same_gradient():
    sympy = pytest.importorskip("sympy")
    symbols = sympy.symbols("a0:2 b0:2 c0:2")
    p = [sympy.exp(z) / (sympy.exp(z) + sympy.exp(w)) for z, w in zip(symbols[::2], symbols[1::2], strict=True)]
    L = sum(-sympy.log(p[m]) * sympy.sqrt(sympy.prod(1 - p[t] for t in range(3) if t != m)) for m in range(3))
    numbers = [0.5, -0.25, 1.5, 0.0, -1.0, 0.75]
    at = dict(zip(symbols, numbers, strict=True))
    expected = [float(sympy.diff(L, s).evalf(30, subs=at)) for s in symbols]
    result = cldl_loss(list(np.array(numbers).reshape(3, 1, 2)), np.array([0]))
    np.testing.assert_allclose(np.ravel(result.gradients), expected, rtol=1e-13)


@pytest.mark.parametrize("M", [1, 2, 3])
def test_autograd_agrees_where_torch_is_installed(M):
    torch = pytest.importorskip("torch")
    case = LossCase([grid((2, 5), Key(m)) for m in range(M)], np.array([1, 4]), np.ones(M), None, True)
    z = [torch.tensor(s, requires_grad=True) for s in case.logits]
    p = torch.stack([torch.softmax(s, 1)[torch.arange(2), torch.tensor(case.labels)] for s in z])
    q = 1 - p
    T = [torch.prod(q[[t for t in range(M) if t != m]], 0) ** case.g for m in range(M)]
    sum((-torch.log(p[m]) * T[m]).mean() for m in range(M)).backward()
    np.testing.assert_allclose(cldl_loss(*case.arguments).gradients, [s.grad.numpy() for s in z], rtol=1e-11)


def test_the_oracle_gives_the_numbers_worked_by_hand():
    """M = 2, p = (0.9, 0.6): L = -log 0.9 * 0.4 - log 0.6 * 0.1."""
    z = [np.log(np.array([[0.9, 0.1]])), np.log(np.array([[0.6, 0.4]]))]
    value, *_ = by_definition(LossCase(z, np.array([0]), np.ones(2), None, True))
    assert value == pytest.approx(-np.log(0.9) * 0.4 - np.log(0.6) * 0.1, rel=1e-12)


Z = np.zeros((2, 3))
Y = np.array([0, 1])


def shapes(shown):
    return f"the logits have shapes {shown}; M arrays of one shape (N, K) are needed: check the classifiers."


def precision(dtype):
    return f"the logits are {dtype}; float32 or float64 is needed: convert them."


def sizes(N, K):
    return f"the logits are of {N} samples and {K} classes; at least 1 sample and 2 classes are needed."


def weights(shown):
    return f"the weights are {shown}; 1 finite numbers of 0 or more are needed, one a classifier."


def exponent(g):
    return f"the exponent is {g}; a finite number of 0 or more is needed (1 / (M - 1) is the default)."


def labels(dtype, shape):
    return f"the labels are {dtype} of shape {shape}; (2,) integers are needed, one a sample."


def label_range(low, high):
    return f"the labels go from {low} to {high}; 0 to 2 are the classes: check the data."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], Y), shapes("none")),
        (([Z, Z[:1]], Y), shapes("(2, 3), (1, 3)")),
        (([Z[0]], Y), shapes("(3,)")),
        (([Z.astype(np.float16)], Y), precision("float16")),
        (([Z.astype(int)], Y), precision("int64")),
        (([Z[:0]], Y[:0]), sizes(0, 3)),
        (([Z[:, :1]], Y), sizes(2, 1)),
        (([Z], Y, [1.0, 1.0]), weights([1.0, 1.0])),
        (([Z], Y, [-1]), weights([-1.0])),
        (([Z], Y, [np.nan]), weights("[nan]")),
        (([Z], Y, [np.inf]), weights("[inf]")),
        (([Z], Y, ["a"]), "the weights make no array of numbers: give one, or nested lists of one length."),
        ((None, Y), "the logits are a NoneType; a list of M arrays (N, K) is needed, one a classifier."),
        ((3.0, Y), "the logits are a float; a list of M arrays (N, K) is needed, one a classifier."),
        ((Z, Y), shapes("(3,), (3,)")),
        (([[[1.0, 2.0], [3.0]]], Y), "the logits make no array of numbers: give one, or nested lists of one length."),
        (([Z.astype(">f4")], Y), precision(">f4")),
        (([Z.astype(bool)], Y), precision("bool")),
        (([Z, Z.astype(complex)], Y), precision("complex128")),
        (([Z], [[0], [0, 1]]), "the labels make no array of numbers: give one, or nested lists of one length."),
        (([Z], None), labels("object", "()")),
        (([Z], np.array([True, False])), labels("bool", "(2,)")),
        (([Z], Y, None, "1"), exponent("'1'")),
        (([Z], Y, None, [1.0]), exponent("[1.0]")),
        (([Z], Y, None, True), exponent("True")),
        (([Z], Y, None, -1), exponent(-1.0)),
        (([Z], Y, None, np.nan), exponent("nan")),
        (([Z], Y, None, np.inf), exponent("inf")),
        (([Z], Y[:1]), labels("int64", "(1,)")),
        (([Z], Y.astype(float)), labels("float64", "(2,)")),
        (([Z], np.array([0, 3])), label_range(0, 3)),
        (([Z], np.array([-1, 1])), label_range(-1, 1)),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence_that_says_what_to_do(arguments, message):
    with pytest.raises(UserError) as refusal:
        cldl_loss(*arguments)
    assert str(refusal.value) == message


@pytest.mark.parametrize("samples", [0, -1, 2.5, np.nan, True, "2"], ids=repr)
@pytest.mark.parametrize("loss", [cldl_loss, hinge_loss])
def test_a_number_of_samples_that_is_none_is_refused(loss, samples):
    with pytest.raises(UserError) as refusal:
        loss([Z], Y, samples=samples)
    assert str(refusal.value) == (
        f"samples is {samples!r}; the number of samples of the whole batch is needed, 1 or more."
    )


def test_a_loss_is_zero_where_all_wrong_classes_cannot_be():
    """The softmax over them does not exist; their gradient is taken as 0."""
    certain = np.array([[10.0, -np.inf, -np.inf]])
    result = cldl_loss([certain] * 2, np.array([0]))
    assert result.value == 0
    assert not np.any(result.gradients)


@given(seed=seeds, M=st.integers(1, 4), exponent=st.sampled_from([None, 0.0, 0.5, 2.0]), through=st.booleans())
def test_a_class_that_cannot_be_is_as_if_it_were_not_there(seed, M, exponent, through):
    key, labels = Key(seed), np.array([0, 2, 1])
    z = [grid((3, 3), key.fold(m)) for m in range(M)]
    more = [np.concatenate([s, np.full((3, 1), -np.inf)], axis=1) for s in z]
    expected, found = (cldl_loss(s, labels, None, exponent, through) for s in (z, more))
    np.testing.assert_allclose(found.per_classifier, expected.per_classifier, rtol=1e-14)
    np.testing.assert_allclose(np.array(found.gradients)[:, :, :3], expected.gradients, rtol=1e-13)
    assert not np.array(found.gradients)[:, :, 3].any()


@given(seed=seeds, M=st.integers(2, 4), exponent=st.sampled_from([None, 0.5, 2.0]), at=st.integers(0, 3))
def test_a_classifier_that_is_certain_and_right_silences_the_others_whatever_they_say(seed, M, exponent, at):
    at, z = at % M, [grid((1, 3), Key(seed).fold(m)) for m in range(M)]
    z[at] = np.array([[1.0, -np.inf, -np.inf]])
    z[at - 1] = np.array([[-np.inf, 2.0, 1.0]])  # a loss of infinity, by itself
    result = cldl_loss(z, np.array([0]), None, exponent)
    assert np.delete(result.companions[:, 0], at).tolist() == [0] * (M - 1)
    assert result.value == 0
    assert not np.any(result.gradients)


@pytest.mark.parametrize("through", [True, False])
@pytest.mark.parametrize("target", [0, 1])
def test_without_companions_an_infinite_loss_leaves_the_other_classifiers_gradients(target, through):
    """exponent 0 is deep supervision: T is 1, whatever q."""
    z = [np.array([[-np.inf, 5.0]]), np.array([[0.0, 1.0]])]
    result = cldl_loss(z, np.array([target]), None, 0.0, through)
    assert (result.companions == 1).all()
    np.testing.assert_allclose(result.gradients[1], cldl_loss([z[1]], np.array([target])).gradients[0], rtol=1e-14)
    assert np.isfinite(result.gradients[0]).all()
    assert np.isinf(result.per_classifier[0, 0]) == (target == 0)
