"""Every algorithm of a convolution computes the chain of its definition, and the cheaper one is chosen."""

import math
from itertools import pairwise, product

import numpy as np
import pytest

from engine.context import Context
from engine.initialisers import normal
from engine.kernels.cpu.patches import patches_adjoint_reference, patches_reference
from engine.ops.chain import FusedLayer
from engine.ops.convolution import choose
from engine.ops.fft_convolution import FFTConvolution
from engine.ops.fused_linear import Window, backward_reference, forward_reference
from engine.ops.patches import Patches
from engine.ops.transformed import FFT
from engine.parameters import Parameter, cast, initialise
from engine.random import Key

N, H, W = 3, 6, 7


def chain_of(window, groups, C, widths, relu, dtype=np.float64):
    """A convolution of C channels in groups, and 1x1 convolutions behind it, with weights of their own."""
    shapes = [
        (window.kernel, window.kernel, C // groups, widths[0]),
        *((1, 1, *pair) for pair in pairwise(widths)),
    ]
    chain = [
        FusedLayer(Parameter(shape, normal(1)), Parameter((shape[-1],), normal(1)), own_relu)
        for shape, own_relu in zip(shapes, relu, strict=True)
    ]
    parameters = [p for layer in chain for p in (layer.weight, layer.bias)]
    initialise(parameters, Key(3))
    cast(parameters, dtype)
    return chain


def slices(groups, size):
    return [slice(g * size // groups, (g + 1) * size // groups) for g in range(groups)]


def reference(x, dy, window, groups, chain):
    """y as rows, dx, and the gradients of every weight and bias, group by group from the definition."""
    D = chain[-1].bias.shape[0]
    y, dx = np.zeros((math.prod(dy.shape[:3]), D)), np.zeros_like(x)
    gradients = {p: np.zeros(p.shape) for layer in chain for p in (layer.weight, layer.bias)}
    relu = tuple(layer.relu for layer in chain)
    for c, d in zip(slices(groups, x.shape[3]), slices(groups, D), strict=True):
        own = d if len(chain) == 1 else slice(None)
        P = patches_reference(x[..., c], *window)
        weights = tuple(layer.weight.value.reshape(-1, layer.weight.shape[-1])[:, own] for layer in chain)
        ys = forward_reference(P, weights, tuple(layer.bias.value[own] for layer in chain), relu)
        dP, dW, db = backward_reference(P, weights, relu, ys, dy.reshape(-1, D)[:, own])
        y[:, own], dx[..., c] = ys[-1], patches_adjoint_reference(dP, x[..., c].shape, *window)
        for layer, dW_l, db_l in zip(chain, dW, db, strict=True):
            gradients[layer.weight].reshape(-1, layer.weight.shape[-1])[:, own] += dW_l
            gradients[layer.bias][own] += db_l
    return y, dx, gradients


CASES = {
    "patches": (Window(3, 1, 1), 1, "patches", (5,)),
    "patches and two maps": (Window(3, 1, 1), 1, "patches", (5, 4, 3)),
    "strides": (Window(3, 2, 0), 1, "auto", (5,)),
    "two groups": (Window(3, 1, 1), 2, "auto", (6,)),
    "three groups and strides": (Window(3, 2, 2), 3, "auto", (3,)),
    "fft": (Window(5, 1, 2), 1, "fft", (5,)),
    "fft and two maps": (Window(3, 1, 0), 1, "fft", (5, 4, 3)),
    "winograd": (Window(3, 1, 1), 1, "winograd", (5,)),
    "winograd and two maps": (Window(3, 1, 0), 1, "winograd", (5, 4, 3)),
}


@pytest.mark.parametrize("need_dx", [True, False])
@pytest.mark.parametrize("last_relu", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_a_chain_and_its_gradients_are_those_of_the_definition(case, last_relu, need_dx):
    window, groups, name, widths = CASES[case]
    chain = chain_of(window, groups, 6, widths, (not last_relu, last_relu, not last_relu)[-len(widths) :])
    output = [(side + 2 * window.padding - window.kernel) // window.stride + 1 for side in (H, W)]
    algorithm = choose(window, groups, (H, W, 6), (*output, widths[-1]), name)
    assert algorithm.name == ("patches" if name == "auto" else name)
    x, dy = Key(1).normal((N, H, W, 6)), Key(2).normal((N, *output, widths[-1]))
    y, dx, ctx = np.full(dy.shape, np.nan), np.full_like(x, np.nan) if need_dx else None, Context()
    for _ in range(2):  # gradients add up over the chunks of a batch
        ys, saved = algorithm.forward(x, chain, y, ctx)
        algorithm.backward(x, dy, ys, saved, chain, dx, ctx)
    assert [rows.shape[1] for rows in ys] == list(widths)
    expected_y, expected_dx, expected = reference(x, dy, window, groups, chain)
    near = {"rtol": 0, "atol": 1e-11}
    np.testing.assert_allclose(y.reshape(expected_y.shape), expected_y, **near)
    if need_dx:
        np.testing.assert_allclose(dx, expected_dx, **near)
    for parameter, gradient in ctx.gradients().items():
        np.testing.assert_allclose(gradient, 2 * expected[parameter], **near)
    assert set(ctx.gradients()) == set(expected)


def scratch_memory(case, dtype):
    """Bytes that a forward and a backward pass of a chain take from the pool."""
    window, groups, name, widths = CASES[case]
    chain = chain_of(window, groups, 6, widths, (True, False, True)[: len(widths)], dtype)
    output = [(side + 2 * window.padding - window.kernel) // window.stride + 1 for side in (H, W)]
    algorithm = choose(window, groups, (H, W, 6), (*output, widths[-1]), name)
    x, dy = Key(1).normal((N, H, W, 6)).astype(dtype), Key(2).normal((N, *output, widths[-1])).astype(dtype)
    ctx = Context()
    ys, saved = algorithm.forward(x, chain, np.empty_like(dy), ctx)
    algorithm.backward(x, dy, ys, saved, chain, np.empty_like(x), ctx)
    assert {array.dtype for array in (*ys, *ctx.gradients().values())} == {np.dtype(dtype)}
    return ctx.nbytes


@pytest.mark.parametrize("case", CASES)
def test_in_float32_a_pass_takes_half_the_memory(case):
    assert 0 < 2 * scratch_memory(case, np.float32) == scratch_memory(case, np.float64)


def test_the_algorithm_with_fewer_multiply_adds_is_chosen():
    """35 of them take as long as a point's share of a pass of the transform."""
    chosen = []
    for (height, width), k, (C, D) in product(
        [(7, 7), (14, 14), (9, 20), (32, 32)],
        [1, 3, 5, 7],
        [(3, 32), (16, 16), (24, 96), (64, 64), (128, 64), (256, 300)],
    ):
        plan = FFTConvolution(height, width, k, k // 2)
        L, F = plan.size, plan.frequencies
        fft = 3 * F * C * D + 35 * L**2 * math.log2(L) * (C + D)
        patches = k**2 * height * width * C * D
        algorithm = choose(Window(k, 1, k // 2), 1, (height, width, C), (height, width, D))
        assert isinstance(algorithm, FFT if fft < patches else Patches)
        chosen.append(algorithm.name)
    assert set(chosen) == {"fft", "patches"}


@pytest.mark.parametrize(("window", "groups"), [(Window(5, 2, 2), 1), (Window(5, 1, 2), 2)], ids=["strides", "groups"])
def test_strides_and_groups_go_by_patches_whatever_is_asked_for(window, groups):
    assert isinstance(choose(window, groups, (14, 14, 64), (14, 14, 64), "fft"), Patches)
    assert isinstance(choose(Window(5, 1, 2), 1, (14, 14, 64), (14, 14, 64), "fft"), FFT)


def test_the_algorithm_that_is_asked_for_is_taken_though_the_other_is_cheaper():
    large, small = (Window(5, 1, 2), 1, (14, 14, 64), (14, 14, 64)), (Window(3, 1, 1), 1, (7, 7, 3), (7, 7, 8))
    assert [choose(*case).name for case in (large, small)] == ["fft", "patches"]
    assert choose(*large, "patches") == Patches(Window(5, 1, 2), 1)
    assert choose(*small, "fft").name == "fft"
