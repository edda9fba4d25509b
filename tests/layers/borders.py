"""Inputs and gradients that do not fit, for every layer: `python -m tests.layers.borders` prints how many were tried and refused.

A kernel that is given one reads or writes memory of others, which may crash. So tests run this in a process of its own.
"""

import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from hypothesis import given

import tests.conftest  # noqa: F401 - how many examples
from cldl.verification.cases import LAYERS
from engine.context import Context
from engine.errors import UserError
from engine.parameters import cast
from engine.random import Key
from layers import Layer
from tests.on_gpu import OnGpu
from tests.strategies import batch, layer_cases, mapped

PRECISIONS = (np.float32, np.float64)
OTHER_DTYPES = (np.float16, np.longdouble, np.complex64, np.uint8, np.int64, np.bool_, object, ">f4", ">f8")


@dataclass
class Count:
    """How many that do not fit were tried, and how many of them refused."""

    tried: int = 0
    refused: int = 0

    def must_refuse(self, call: Callable, what: str) -> None:
        self.tried += 1
        try:
            call()
        except UserError as refusal:
            text = str(refusal)
            assert re.fullmatch(r"(?!.*\. ).*\.", text), f"this is not one sentence in one line: {text}"
            self.refused += 1
            return
        raise AssertionError(f"{what} was taken")


def not_arrays(right: np.ndarray) -> Iterator[tuple[str, object]]:
    """No arrays at all, or of another class, dtype or device."""
    yield from (("nothing", None), ("a number", 1.0), ("a string", "x"), ("a list", right.tolist()))
    yield "a masked array", np.ma.masked_array(right)
    for dtype in OTHER_DTYPES:
        yield str(np.dtype(dtype)), right.astype(dtype)


def other_shapes(right: np.ndarray) -> Iterator[np.ndarray]:
    """Arrays of its dtype that differ from it in one axis, in the number or in the order of the axes."""
    shape = right.shape
    for axis, n in enumerate(shape):
        for other in {0, n - 1, n + 1, 2 * n, 40 * n} - {n}:
            yield np.ones((*shape[:axis], other, *shape[axis + 1 :]), right.dtype)
    yield from (right.reshape(-1), right[..., None], right[None], right[0], np.ones((), right.dtype))
    if shape[::-1] != shape:
        yield right.transpose()


def other_orders(right: np.ndarray) -> Iterator[np.ndarray]:
    """The same numbers in another memory order."""
    yield np.asfortranarray(right)
    yield np.repeat(right, 2, axis=-1)[..., ::2]
    yield np.flip(np.flip(right).copy())


def forward_and_backward(layer, x, dy=None) -> list[np.ndarray]:
    """y, dx and the parameters' gradients of one pass."""
    ctx = Context(training=True, key=Key(1))
    y, cache = layer.forward(x, ctx)
    dx = layer.backward(np.ones_like(y) if dy is None else dy, cache, ctx)
    gradients = ctx.gradients()
    return [y, *(dx if isinstance(dx, tuple) else [dx]), *(gradients[p] for p in layer.parameters())]


def check_inputs(layer: Layer, right: np.ndarray, count: Count) -> None:
    """What does not fit is refused, and what `output_shape` takes gives an output of its shape."""
    forward = layer.forward
    for what, wrong in not_arrays(right):
        count.must_refuse(lambda wrong=wrong: forward(wrong, Context()), what)
    if layer.parameters():
        for what, wrong in (("another precision", right.astype(other(right.dtype))), ("a GPU's", right.view(OnGpu))):
            count.must_refuse(lambda wrong=wrong: forward(wrong, Context()), what)
    for x in other_shapes(right):
        try:
            expected = layer.output_shape(x.shape[1:]) if x.ndim and 0 not in x.shape[1:] else None
        except UserError:
            expected = None
        if expected is None:
            count.must_refuse(lambda x=x: forward(x, Context()), f"an input of shape {x.shape}")
        else:
            assert forward(x, Context())[0].shape == (len(x), *expected)


def check_gradients(layer: Layer, x: np.ndarray, count: Count) -> None:
    """What does not fit is refused, and nothing comes of it: the right gradient still gives what it gives in a fresh pass."""
    ctx = Context(training=True, key=Key(1))
    y, cache = layer.forward(x, ctx)
    wrongs = [*not_arrays(y), ("another precision", y.astype(other(y.dtype))), ("a GPU's", y.view(OnGpu))]
    wrongs += [(f"a gradient of shape {dy.shape}", dy) for dy in other_shapes(y) if dy.shape != y.shape]
    for what, wrong in wrongs:
        count.must_refuse(lambda wrong=wrong: layer.backward(wrong, cache, ctx), what)
    dx = layer.backward(np.ones_like(y), cache, ctx)
    gradients = ctx.gradients()
    found = [y, *(dx if isinstance(dx, tuple) else [dx]), *(gradients[p] for p in layer.parameters())]
    same(found, forward_and_backward(layer, x))
    for dy in other_orders(y):
        same(forward_and_backward(layer, x, dy), forward_and_backward(layer, x, y))


def check_orders_and_zero_samples(layer: Layer, x: np.ndarray) -> None:
    """Any memory order gives the same numbers, and no samples give empty arrays and gradients of zeros."""
    several = x if isinstance(x, tuple) else (x,)
    for in_other_order in zip(*map(other_orders, several), strict=True):
        same(forward_and_backward(layer, alone(in_other_order)), forward_and_backward(layer, x))
    none = mapped(lambda x: x[:0], x)
    y, *found = forward_and_backward(layer, none)
    assert y.shape == (0, *layer.output_shape(mapped(lambda x: x.shape[1:], x)))
    assert [dx.shape for dx in found[: len(several)]] == [(0, *part.shape[1:]) for part in several]
    assert not any(gradient.any() for gradient in found[len(several) :])


def check_network(network, x: np.ndarray, count: Count) -> None:
    """As for a layer; besides, one gradient for each exit, and a cache that serves one backward pass."""
    for what, wrong in [*not_arrays(x), *((f"an input of shape {w.shape}", w) for w in other_shapes(x))]:
        if getattr(wrong, "shape", ())[1:] != x.shape[1:] or getattr(wrong, "dtype", None) != x.dtype:
            count.must_refuse(lambda wrong=wrong: network.forward(wrong, Context()), what)
    count.must_refuse(lambda: network.forward(x.astype(other(x.dtype)), Context()), "another precision")
    ctx = Context()
    logits, cache = network.forward(x, ctx)
    right = [np.ones_like(z) for z in logits]
    for m, z in enumerate(right):
        wrongs = [*not_arrays(z), *((f"a gradient of shape {dz.shape}", dz) for dz in other_shapes(z))]
        for what, wrong in [*wrongs, ("another precision", z.astype(other(z.dtype)))]:
            if getattr(wrong, "shape", None) != z.shape or getattr(wrong, "dtype", None) != z.dtype:
                given = [*right[:m], wrong, *right[m + 1 :]]
                count.must_refuse(lambda given=given: network.backward(given, cache, ctx), what)
    for number in {0, len(right) - 1, len(right) + 1} - {len(right)}:
        given = [*right, right[0]][:number]
        count.must_refuse(lambda given=given: network.backward(given, cache, ctx), f"{number} gradients")
    assert network.backward(right, cache, ctx).shape == x.shape
    count.must_refuse(lambda: network.backward(right, cache, ctx), "a cache that was used")
    zero, cache = network.forward(x[:0], ctx)
    assert {z.shape for z in zero} == {(0, network.classes)}
    assert network.backward(zero, cache, ctx).shape == x[:0].shape


def check_several_inputs(layer: Layer, right: tuple[np.ndarray, ...], count: Count) -> None:
    """Of a layer with several inputs: a tuple of as many, of one N, precision and device, of shapes that `output_shape` takes."""
    first, *rest = right
    forward = layer.forward
    wrongs = [first, list(right), right[:-1], (*right, first), None]
    wrongs += [(wrong, *rest) for _, wrong in not_arrays(first)]
    wrongs += [(wrong, *rest) for wrong in (first.astype(other(first.dtype)), first.view(OnGpu), first[:0])]
    for wrong in wrongs:
        count.must_refuse(lambda wrong=wrong: forward(wrong, Context()), f"a {type(wrong).__name__}")
    for part in other_shapes(first):
        x = (part, *rest)
        try:
            fits = part.ndim and 0 not in part.shape[1:] and len(part) == len(first)
            expected = layer.output_shape(tuple(a.shape[1:] for a in x)) if fits else None
        except UserError:
            expected = None
        if expected is None:
            count.must_refuse(lambda x=x: forward(x, Context()), f"a first input of shape {part.shape}")
        else:
            assert forward(x, Context())[0].shape == (len(part), *expected)


def alone(several: tuple) -> object:
    """The only one as it is, several as a tuple."""
    return several if len(several) > 1 else several[0]


def other(dtype: np.dtype) -> type:
    """The other precision."""
    return np.float32 if dtype == np.float64 else np.float64


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def check(name: str) -> Count:
    """Every check of a layer, on drawn cases, in both precisions."""
    count = Count()

    @given(case=layer_cases(name))
    def holds(case):
        for precision in PRECISIONS:
            cast(case.layer.parameters(), precision)
            x = batch(case, precision)
            if name == "Network":
                check_network(case.layer.network, x, count)
            else:
                (check_several_inputs if isinstance(x, tuple) else check_inputs)(case.layer, x, count)
                check_gradients(case.layer, x, count)
                check_orders_and_zero_samples(case.layer, x)

    holds()
    return count


if __name__ == "__main__":
    for name in sys.argv[1:] or LAYERS:
        try:
            count = check(name)
            print(f"{name}: {count.tried} tried, {count.refused} refused", flush=True)
        except Exception:
            traceback.print_exc()
            print(f"{name}: failed", flush=True)
