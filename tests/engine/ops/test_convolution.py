"""Every algorithm of a convolution computes the chain of its definition, and the cheaper one is chosen."""

import math
from itertools import pairwise, product

import numpy as np
import pytest

from engine.codegen.simd import LANES
from engine.context import Context
from engine.initialisers import normal
from engine.kernels.cpu.patches import patches_adjoint_reference, patches_reference
from engine.ops.chain import FusedLayer
from engine.ops.convolution import candidates, choose
from engine.ops.cost import INFERENCE, STEP
from engine.ops.fused_linear import Window, backward_reference, forward_reference
from engine.ops.patches import Patches
from engine.ops.transformed import Winograd
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
    x_shape = (N, H, W, 6)
    output = [(side + 2 * window.padding - window.kernel) // window.stride + 1 for side in (H, W)]
    algorithm = choose(window, groups, x_shape, widths[0], name)
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


@pytest.mark.parametrize("name", ["patches", "fft", "winograd"])
def test_groups_of_whole_vectors_and_their_gradients_are_those_of_the_definition(name):
    C, D, window = 2 * LANES, 4 * LANES, Window(3, 1, 1)
    chain = chain_of(window, 2, C, (D,), (True,))
    algorithm = choose(window, 2, (N, H, W, C), D, name)
    assert algorithm.name == name
    x, dy, ctx = Key(1).normal((N, H, W, C)), Key(2).normal((N, H, W, D)), Context()
    y, dx = np.empty_like(dy), np.empty_like(x)
    ys, saved = algorithm.forward(x, chain, y, ctx)
    algorithm.backward(x, dy, ys, saved, chain, dx, ctx)
    expected_y, expected_dx, expected = reference(x, dy, window, 2, chain)
    np.testing.assert_allclose(y.reshape(expected_y.shape), expected_y, rtol=0, atol=1e-11)
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=1e-11)
    for parameter, gradient in ctx.gradients().items():
        np.testing.assert_allclose(gradient, expected[parameter], rtol=0, atol=1e-10)


def scratch_memory(case, dtype):
    """Bytes that a forward and a backward pass of a chain take from the pool."""
    window, groups, name, widths = CASES[case]
    chain = chain_of(window, groups, 6, widths, (True, False, True)[: len(widths)], dtype)
    x_shape = (N, H, W, 6)
    output = [(side + 2 * window.padding - window.kernel) // window.stride + 1 for side in (H, W)]
    algorithm = choose(window, groups, x_shape, widths[0], name)
    x, dy = Key(1).normal((N, H, W, 6)).astype(dtype), Key(2).normal((N, *output, widths[-1])).astype(dtype)
    ctx = Context()
    ys, saved = algorithm.forward(x, chain, np.empty_like(dy), ctx)
    algorithm.backward(x, dy, ys, saved, chain, np.empty_like(x), ctx)
    assert {array.dtype for array in (*ys, *ctx.gradients().values())} == {np.dtype(dtype)}
    return ctx.nbytes


@pytest.mark.parametrize("case", CASES)
def test_in_float32_a_pass_takes_half_the_memory(case):
    assert 0 < 2 * scratch_memory(case, np.float32) == scratch_memory(case, np.float64)


def same(kernel, side, channels, outputs, images):
    """What `choose` takes for images of this side, whose size a convolution keeps."""
    return Window(kernel, 1, kernel // 2), 1, (images, side, side, channels), outputs


CHOICES = [
    same(kernel, side, *channels, images)
    for kernel, side, channels, images in product(
        [1, 3, 5, 7], [7, 14, 32], [(3, 32), (16, 16), (64, 64), (128, 64), (256, 512)], [1, 2, 64]
    )
]


@pytest.mark.parametrize("factors", [STEP, INFERENCE], ids=["step", "inference"])
def test_the_cheapest_algorithm_is_chosen(factors):
    chosen = [choose(*case, factors=factors) for case in CHOICES]
    for case, algorithm in zip(CHOICES, chosen, strict=True):
        costs = candidates(*case, factors)
        assert costs[algorithm] == min(costs.values())
    assert {algorithm.name for algorithm in chosen} == {"fft", "patches", "winograd"}


def test_an_image_among_many_costs_no_more_than_alone():
    """What is done to the weights is done once."""
    for window, groups, (_, *image), outputs in CHOICES:
        few, many = (candidates(window, groups, (images, *image), outputs) for images in (2, 64))
        for algorithm, cost in many.items():
            assert cost / 64 <= few[algorithm] / 2 * (1 + 1e-12)


@pytest.mark.parametrize("case", [same(3, 14, 96, 208, 1), same(3, 13, 384, 384, 1), same(5, 28, 32, 96, 4)])
def test_inference_which_transforms_no_weights_gains_by_transforms_from_fewer_images_on(case):
    assert choose(*case, factors=INFERENCE).name == ("winograd" if case[0].kernel == 3 else "fft")


@pytest.mark.parametrize(
    "case", [same(3, 224, 64, 64, 2), same(3, 56, 256, 256, 8), same(3, 14, 512, 512, 16), same(3, 13, 256, 384, 32)]
)
def test_the_deep_layers_of_large_networks_go_by_tiles(case):
    assert choose(*case) == Winograd(1)


def test_groups_of_whole_vectors_can_go_by_every_algorithm_and_others_by_patches_only():
    assert choose(Window(3, 1, 1), 2, (16, 13, 13, 12 * LANES), 8 * LANES) == Winograd(1, 2)
    assert choose(Window(5, 1, 2), 2, (16, 27, 27, 6 * LANES), 16 * LANES).name == "fft"
    for kernel, channels, outputs in ((3, LANES, 2 * LANES), (3, 2 * LANES, LANES), (5, LANES, 2 * LANES)):
        assert list(candidates(Window(kernel, 1, 1), 2, (16, 13, 13, channels), outputs)) == [
            Patches(Window(kernel, 1, 1), 2)
        ]


@pytest.mark.parametrize("name", ["auto", "fft", "winograd"])
def test_strides_go_by_patches_whatever_is_asked_for(name):
    assert isinstance(choose(Window(3, 2, 1), 1, (4, 14, 14, 64), 64, name), Patches)


@pytest.mark.parametrize("name", ["patches", "fft", "winograd"])
@pytest.mark.parametrize("case", [same(3, 7, 3, 8, 1), same(3, 28, 64, 64, 64)])
def test_the_algorithm_that_is_asked_for_is_taken_though_another_is_cheaper(name, case):
    assert choose(*case, name).name == name
