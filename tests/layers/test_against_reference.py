"""Every layer's fast path agrees with the reference in its file, every reference with differences; numbers worked by hand."""

import inspect
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import layers
from cldl.verification.cases import LAYERS
from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import check_gradients, grid
from engine.gradcheck.compare import agree
from engine.gradcheck.differences import same_to
from engine.ops.convolution import ALGORITHMS
from engine.ops.patches import Patches
from engine.ops.transformed import FFT
from engine.parameters import cast, initialise
from engine.random import Key
from layers import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Dropout,
    L2Normalize,
    Layer,
    LocalResponseNorm,
    Maxout,
    MaxPool2d,
    ReLU,
    Sequential,
)
from layers.window import gather_windows, scatter_windows, windows
from tests.strategies import batch, layer_cases, mapped, seeds

PUBLIC = [
    kind for kind in map(layers.__dict__.get, layers.__all__) if inspect.isclass(kind) and issubclass(kind, Layer)
]
SIMPLE = [kind.__name__ for kind in PUBLIC if kind is not Layer and not issubclass(kind, Sequential)]
TOLERANCE = {np.float64: 1e-12, np.float32: same_to(np.float32)}  # relative to the largest element


def fast(layer, x, dy):
    """y, dx, the parameters' gradients, and the cache, of one pass in training."""
    ctx = Context(training=True, key=Key(3))
    y, cache = layer.forward(x, ctx)
    y = np.array(y)
    dx = as_tuple(layer.backward(dy, cache, ctx))
    return [y, *map(np.array, dx), *(ctx.gradients()[p] for p in layer.parameters())], cache


def by_reference(layer, x, dy, *drawn):
    """The same by the reference; `drawn` is the mask of a dropout layer."""
    y, cache = layer.reference(*as_tuple(x), *drawn)
    return [y, *as_tuple(layer.reference_backward(dy, cache))]


def as_tuple(value):
    """Several arrays as they are, one as a tuple."""
    return value if isinstance(value, tuple) else (value,)


def mask(layer, x, cache):
    """What the fast path drew: () for most layers."""
    if not isinstance(layer, Dropout):
        return ()
    drawn, _ = cache
    return (np.ones(x.shape, np.uint8) if drawn is None else drawn,)  # at rate 0 it draws nothing


@pytest.mark.parametrize("precision", TOLERANCE, ids=lambda precision: precision.__name__)
@pytest.mark.parametrize("name", SIMPLE)
def test_the_fast_path_agrees_with_the_reference(name, precision):
    """With ties among the inputs and without: reference and fast path break them alike."""

    @given(case=layer_cases(name), ties=st.booleans())
    def holds(case, ties):
        layer, seed = case.layer, case.seed
        cast(layer.parameters(), precision)
        x = mapped(lambda x: (np.round(x) if ties else x).astype(precision), batch(case))
        shape = mapped(lambda x: x.shape[1:], x)
        dy = Key(seed).normal((case.samples, *layer.output_shape(shape))).astype(precision)
        found, cache = fast(layer, x, dy)
        drawn = mask(layer, x, cache)
        expected = by_reference(layer, x, dy, *drawn)
        for p in layer.parameters():
            p.value = np.abs(p.value)
        sizes = by_reference(layer, mapped(np.abs, x), np.abs(dy), *drawn)  # of the terms, which may cancel
        names = ["y", *(f"dx{i}" for i in range(1, layer.n_inputs + 1)), *(f"d{p.name}" for p in layer.parameters())]
        for name, got, right, size in zip(names, found, expected, sizes, strict=True):
            assert got.dtype == right.dtype == precision
            agree(name, got, right, TOLERANCE[precision], float(np.abs(size).max()))

    holds()


@pytest.mark.parametrize("name", SIMPLE)
def test_the_reference_agrees_with_differences(name):
    """One case of each, with the middle of every range that its draw has."""
    case = LAYERS[name](lambda low, high: (low + high + 1) // 2)
    layer, x = case.layer, batch(case._replace(seed=1))
    cast(layer.parameters(), np.float64)
    drawn = mask(layer, x, layer.forward(x, Context(training=True))[1])
    pair = lambda *x: layer.reference(*x, *drawn), layer.reference_backward
    check_gradients(*pair, list(as_tuple(x)), layer.parameters()).raise_if_failed()


def test_every_layer_but_containers_has_a_reference_of_its_own():
    assert {"Conv2d", "Linear", "ReLU", "Dropout", "Flatten", "Maxout", "MaxPool2d", "AvgPool2d"} <= set(SIMPLE)
    for name in SIMPLE:
        assert {"reference", "reference_backward"} <= set(vars(getattr(layers, name))), name
        assert name in LAYERS


def test_the_algorithm_named_is_the_one_that_computes():
    """They round differently, which tells them apart; left to itself the layer takes one of them."""
    x = Key(1).normal((1, 9, 9, 3)).astype(np.float32)
    y = {}
    for algorithm in ALGORITHMS:
        conv = Conv2d(3, 4, 3, algorithm=algorithm)
        initialise(conv.parameters(), Key(2))
        y[algorithm] = conv.forward(x, Context())[0]
    automatic = y.pop("auto")
    assert any(np.array_equal(automatic, one) for one in y.values())
    for one, other in combinations(y.values(), 2):
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert not np.array_equal(one, other)


def test_a_pass_without_transforms_takes_patches_whatever_is_named():
    """With transforms "auto" would take the FFT here."""
    ctx, x = Context(), Key(1).normal((8, 12, 12, 64)).astype(np.float32)
    ctx.transforms = False
    y = []
    for algorithm in ("patches", "auto", "fft"):
        conv = Conv2d(64, 64, 5, padding=2, algorithm=algorithm)
        initialise(conv.parameters(), Key(2))
        y.append(conv.forward(x, ctx)[0])
        assert isinstance(conv.conv_algorithm(x.shape, False), Patches)
        for usual in (conv.conv_algorithm(x.shape), conv.conv_algorithm(x.shape, True)):
            assert isinstance(usual, Patches if algorithm == "patches" else FFT)
    assert np.array_equal(y[0], y[1])
    assert np.array_equal(y[0], y[2])


def test_a_convolution_worked_by_hand():
    """A 2 x 2 window over a 3 x 3 image: the corner sees 1, 2, 4, 5."""
    conv = Conv2d(1, 1, 2)
    conv.weight.value = np.array([1.0, 10.0, 100.0, 1000.0]).reshape(2, 2, 1, 1)
    conv.bias.value = np.array([0.5])
    x = np.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    dy = np.array([1.0, 0, 0, 0]).reshape(1, 2, 2, 1)
    for y, dx, dW, db in (fast(conv, x, dy)[0], by_reference(conv, x, dy)):
        assert y.ravel().tolist() == [5421.5, 6532.5, 8754.5, 9865.5]
        assert dx.ravel().tolist() == [1, 10, 0, 100, 1000, 0, 0, 0, 0]
        assert dW.ravel().tolist() == [1, 2, 4, 5]
        assert db.tolist() == [1]


@given(extent=st.integers(1, 20), kernel=st.integers(1, 6), stride=st.integers(1, 7), ceil=st.booleans())
def test_windows_are_counted_as_they_lie(extent, kernel, stride, ceil):
    for padding in range(kernel // 2 + 1):
        expected = len(starts(extent, kernel, stride, padding, ceil))
        if expected:
            assert windows(extent, kernel, stride, padding, ceil) == expected
        else:
            with pytest.raises(UserError, match="does not fit"):
                windows(extent, kernel, stride, padding, ceil)


def starts(extent, kernel, stride, padding, ceil):
    """Where the windows along an axis start, one after the other."""
    found, start, end = [], -padding, extent + padding
    while start + kernel <= end or (ceil and start < extent and start + kernel < end + stride):
        found.append(start)
        start += stride
    return found


@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 5),
    padding=st.integers(0, 2),
    ceil=st.booleans(),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    seed=seeds,
)
def test_windows_hold_the_pixels_that_the_equation_names_and_scatter_is_the_adjoint(
    kernel, stride, padding, ceil, size, seed
):
    padding = min(padding, kernel // 2)
    H, W = (max(n, kernel - 2 * padding) for n in size)
    window = kernel, stride, padding
    Ho, Wo = (windows(n, *window, ceil) for n in (H, W))
    x = grid((2, H, W, 3), Key(seed))
    V = gather_windows(x, window, (Ho, Wo), outside=7.0)
    assert V.shape == (2, Ho, Wo, kernel**2, 3)
    for i, j, a, b in np.ndindex(Ho, Wo, kernel, kernel):
        row, column = i * stride - padding + a, j * stride - padding + b
        inside = 0 <= row < H and 0 <= column < W
        assert np.array_equal(V[:, i, j, a * kernel + b], x[:, row, column] if inside else np.full((2, 3), 7.0))
    dV = Key(seed).normal(V.shape)
    dx = scatter_windows(dV, window, x.shape)
    assert np.vdot(dV, gather_windows(x, window, (Ho, Wo))) == pytest.approx(np.vdot(dx, x), rel=1e-12, abs=1e-12)


@given(rate=st.floats(0.0, 0.9), seed=seeds)
def test_dropout_drops_at_its_rate_and_keeps_the_mean(rate, seed):
    ctx = Context(training=True, key=Key(seed))
    x = np.ones((10, 1000))
    y, _ = Dropout(rate).forward(x, ctx)
    stays = y != 0
    assert abs(stays.mean() - (1 - rate)) < 6 * np.sqrt(rate * (1 - rate) / 1e4) + 2**-16
    np.testing.assert_allclose(y[stays], 1 / (1 - round(rate * 2**16) / 2**16), rtol=1e-14)
    other, _ = Dropout(rate).forward(x, ctx)
    assert rate < 0.01 or not np.array_equal(other, y)


def test_dropout_with_a_scale_of_its_own_keeps_to_it_both_ways():
    ctx = Context(training=True, key=Key(1))
    layer, x = Dropout(0.2, scale=1.0), grid((10, 100), Key(2))
    y, cache = layer.forward(x, ctx)
    assert set(np.unique(y / x)) == {0.0, 1.0}
    assert np.array_equal(layer.backward(x, cache, ctx), y)


def test_maxout_keeps_a_byte_for_each_group_even_where_it_has_256_pieces():
    x, ctx = np.arange(256.0)[None], Context()
    y, cache = Maxout(256).forward(x, ctx)
    assert cache[1].dtype == np.uint8
    assert np.flatnonzero(Maxout(256).backward(np.ones_like(y), cache, ctx)).tolist() == [255]


def test_in_ceil_mode_a_window_that_is_less_than_a_stride_too_long_takes_the_whole_image():
    """As in Caffe and PyTorch: the mean divides by the pixels inside the padded image."""
    x, ctx = np.array([4.0, 1.0, 2.0, 3.0]).reshape(1, 2, 2, 1), Context()
    y, cache = MaxPool2d(3, 2, ceil=True).forward(x, ctx)
    assert y.tolist() == [[[[4.0]]]]
    assert MaxPool2d(3, 2, ceil=True).backward(y, cache, ctx).ravel().tolist() == [4, 0, 0, 0]
    y, cache = AvgPool2d(3, 2, ceil=True).forward(x, ctx)
    assert y.tolist() == [[[[2.5]]]]
    assert AvgPool2d(3, 2, ceil=True).backward(y, cache, ctx).ravel().tolist() == [0.625] * 4
    for layer in (MaxPool2d(3, 1, ceil=True), MaxPool2d(3, 2), MaxPool2d(4, 2, ceil=True)):
        with pytest.raises(UserError, match="does not fit an image of 2"):
            layer.output_shape((2, 2, 1))


def pooled_as_in_caffe(x, kernel, stride, padding):
    """Of an image (H, W): the largest and the mean of each window, by the loops of Caffe's pooling_layer.cpp."""
    H, W = x.shape
    Ho, Wo = (int(np.ceil((n + 2 * padding - kernel) / stride)) + 1 for n in (H, W))
    if padding:
        Ho -= (Ho - 1) * stride >= H + padding
        Wo -= (Wo - 1) * stride >= W + padding
    largest, mean = np.empty((Ho, Wo)), np.empty((Ho, Wo))
    for i, j in np.ndindex(Ho, Wo):
        hstart, wstart = i * stride - padding, j * stride - padding
        hend, wend = min(hstart + kernel, H + padding), min(wstart + kernel, W + padding)
        pool_size = (hend - hstart) * (wend - wstart)
        window = x[max(hstart, 0) : min(hend, H), max(wstart, 0) : min(wend, W)]
        largest[i, j], mean[i, j] = window.max(), window.sum() / pool_size
    return largest, mean


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 5),
    padding=st.integers(0, 2),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_pooling_in_ceil_mode_is_that_of_caffe(kernel, stride, padding, size):
    """Strides up to the kernel: beyond it an image that is not padded can have a window outside, which Caffe counts."""
    stride, padding = min(stride, kernel), min(padding, kernel // 2)
    x = grid(tuple(max(n, kernel - 2 * padding) for n in size), Key(1))
    expected = pooled_as_in_caffe(x, kernel, stride, padding)
    for kind, right in zip((MaxPool2d, AvgPool2d), expected, strict=True):
        y, _ = kind(kernel, stride, padding, ceil=True).forward(x[None, :, :, None], Context())
        np.testing.assert_allclose(y[0, :, :, 0], right, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("rate", [0.2, 0.1, 0.99999, 1 - 2**-30, 2**-18, 0.5])
def test_dropout_scales_by_the_rate_that_it_draws(rate):
    """A multiple of 2^-16: 0.2 is drawn as 13107 / 65536."""
    drawn = min(round(rate * 65536), 65535) / 65536
    assert Dropout(rate).scale == 1 / (1 - drawn)
    assert repr(Dropout(rate)) == f"Dropout({rate})"


def test_relu_pooling_and_maxout_do_not_hide_a_nan():
    """NaN stays NaN, so that a diverged run is noticed."""
    x = np.array([np.nan, 1.0, -1.0, 2.0]).reshape(1, 2, 2, 1)
    assert np.isnan(ReLU().forward(x, Context())[0]).sum() == 1
    assert np.isnan(AvgPool2d(2).forward(x, Context())[0]).all()
    assert np.isnan(MaxPool2d(2).forward(np.array([1, np.nan, 2, 3]).reshape(1, 2, 2, 1), Context())[0]).all()
    for j in range(3):
        pieces = np.array([[1.0, 2.0, 3.0]])
        pieces[0, j] = np.nan
        y, cache = Maxout(3).forward(pieces, Context())
        assert np.isnan(y).all()
        assert cache[1].item() == j


def test_the_largest_window_of_max_pooling_has_a_byte_for_each_of_its_pixels():
    x, ctx = np.arange(256.0).reshape(1, 16, 16, 1), Context()
    y, cache = MaxPool2d(16).forward(x, ctx)
    assert cache[1].dtype == np.uint8
    dx = MaxPool2d(16).backward(np.ones_like(y), cache, ctx)
    assert np.flatnonzero(dx).tolist() == [255]


def test_dropout_keeps_a_byte_an_element_and_in_evaluation_or_at_rate_zero_does_nothing():
    x = np.ones((2, 3))
    assert Dropout(0.5).forward(x, Context(training=True))[1][0].dtype == np.uint8
    for layer, ctx in ((Dropout(0.5), Context()), (Dropout(0.0), Context(training=True))):
        y, cache = layer.forward(x, ctx)
        assert y is x
        assert layer.backward(y, cache, ctx) is y


def test_local_response_normalisation_worked_by_hand():
    """Three channels, a window of three: the middle one sees all squares, 9 + 16 + 144; alpha is divided by the size."""
    layer = LocalResponseNorm(3, alpha=3.0, beta=0.5, k=1.0)
    x, dy = np.array([[3.0, 4.0, 12.0]]), np.array([[1.0, 0.0, 0.0]])
    s = 1 + np.array([25.0, 169.0, 160.0])
    for y, dx in (fast(layer, x, dy)[0], by_reference(layer, x, dy)):
        np.testing.assert_allclose(y, x / np.sqrt(s), rtol=1e-14)
        np.testing.assert_allclose(dx, [[26**-0.5 - 9 * 26**-1.5, -12 * 26**-1.5, 0]], rtol=1e-13)


def test_the_power_of_three_quarters_is_that_of_any_other_way():
    """It is computed by square roots; a beta beside it is not."""
    x, ctx = grid((4, 9), Key(1)), Context()
    y, beside = (LocalResponseNorm(5, alpha=2.0, beta=beta).forward(x, ctx)[0] for beta in (0.75, 0.75 + 1e-12))
    np.testing.assert_allclose(y, beside, rtol=1e-11)
    assert not np.array_equal(y, beside)


def test_local_response_normalisation_is_by_default_that_of_the_published_networks():
    layer = LocalResponseNorm()
    assert (layer.size, layer.alpha, layer.beta, layer.k) == (5, 1e-4, 0.75, 1.0)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_a_vector_of_any_size_in_float32_is_divided_by_its_length(scale):
    x = (np.array([[3.0, -4.0]]) * scale).astype(np.float32)
    np.testing.assert_allclose(L2Normalize().forward(x, Context())[0], [[0.6, -0.8]], rtol=1e-6)


def test_every_pixel_of_an_image_is_a_vector_of_its_own():
    x = grid((2, 3, 2, 4), Key(1))
    y, _ = L2Normalize().forward(x, Context())
    np.testing.assert_allclose((y * y).sum(axis=-1), 1, rtol=1e-14)
    np.testing.assert_allclose(y / y[..., :1], x / x[..., :1], rtol=1e-12)


def test_several_inputs_lie_side_by_side_or_are_added_and_get_their_own_gradient():
    x = tuple(np.full((2, 1, C), float(C)) for C in (1, 2, 3))
    (y, *dx), _ = fast(Concat(3), x, np.arange(12.0).reshape(2, 1, 6))
    assert y[0, 0].tolist() == [1, 2, 2, 3, 3, 3]
    assert [part[1, 0].tolist() for part in dx] == [[6], [7, 8], [9, 10, 11]]
    (y, *dx), _ = fast(Add(3), tuple(part[..., :1] for part in x), np.full((2, 1, 1), 5.0))
    assert y.ravel().tolist() == [6, 6]
    assert [part.ravel().tolist() for part in dx] == [[5, 5]] * 3
