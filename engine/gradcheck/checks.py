"""The checks of a layer, a function each: it returns (error over tolerance, relative error), or raises GradientError."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engine.gradcheck.check import check_gradients
from engine.gradcheck.compare import (
    EXACT,
    Result,
    accumulated,
    arrays,
    equal,
    same,
    strided,
    total,
    unchanged,
    values,
)
from engine.gradcheck.differences import same_to
from engine.gradcheck.report import GradientError
from engine.gradcheck.under_test import LayerUnderTest, Pass, as_dtype, copies


def gradient_of_input(s: LayerUnderTest) -> Result:
    """Every element of dx, for every input, agrees with a central difference."""
    return _differences(s, slice(len(s.xs)), training=True)


def gradients_of_parameters(s: LayerUnderTest) -> Result:
    """Every element of every parameter's gradient agrees with a central difference."""
    return _differences(s, slice(len(s.xs), None), training=True)


def evaluation_mode(s: LayerUnderTest) -> Result:
    """In evaluation the gradients agree with differences too, and y does not depend on the random key."""
    y, _ = s.layer.forward(s.pack(copies(s.xs)), s.context(training=False))
    other, _ = s.layer.forward(s.pack(copies(s.xs)), s.context(training=False, key=s.key.fold(99)))
    if not np.array_equal(y, other):
        raise GradientError("y changes with the random key in evaluation mode.")
    return _differences(s, slice(None), training=False)


def linear_in_dy(s: LayerUnderTest) -> Result:
    """Backward of 2 u - 3 v is 2 backward(u) - 3 backward(v)."""
    u, v = s.run(copies(s.xs), s.dy(0)), s.run(copies(s.xs), s.dy(1))
    both = s.run(copies(s.xs), 2 * s.dy(0) - 3 * s.dy(1))
    dx = tuple(total((2, -3), (u.dx, v.dx)))
    return same(s, both, Pass(u.y, dx, total((2, -3), (u.gradients, v.gradients))), 10 * EXACT)


def adjoint(s: LayerUnderTest) -> Result:
    """<J v, u> = <v, J' u>: the difference of y along v, weighted by u, is dx, for dy = u, weighted by v."""
    forward, backward, inputs, parameters = s.pair()
    report = check_gradients(forward, backward, inputs, parameters, method="directional", seed=s.seed)
    replace(report, call=s.call()).raise_if_failed()
    return report.worst.error_over_tolerance, 0.0


def repeatable(s: LayerUnderTest) -> Result:
    """The same pass twice, each in a fresh context, gives the same bits."""
    one, two = s.run(copies(s.xs), s.dy()), s.run(copies(s.xs), s.dy())
    equal(s, two, one, "a second pass with the same key")
    return 0.0, 0.0


def accumulates(s: LayerUnderTest) -> Result:
    """A second backward gives the same dx, and adds the same gradients again."""
    once = s.run(copies(s.xs), s.dy())
    ctx = s.context()
    _, cache = s.layer.forward(s.pack(copies(s.xs)), ctx)
    s.layer.backward(s.dy(), cache, ctx)
    dx = copies(s.unpack(s.layer.backward(s.dy(), cache, ctx)))
    twice = Pass(once.y, dx, s.gradients(ctx))
    return same(s, twice, Pass(once.y, once.dx, [2 * g for g in once.gradients]))


def untouched(s: LayerUnderTest) -> Result:
    """Forward and backward change neither x nor dy nor the cache nor the parameters."""
    xs, dy, ctx = copies(s.xs), s.dy(), s.context()
    inputs = {name: (x, original) for name, x, original in zip(s.x_names(), xs, s.xs, strict=True)}
    y, cache = s.layer.forward(s.pack(xs), ctx)
    unchanged("forward", **inputs)
    kept = {"dy": dy, "y": y, **dict(arrays(cache, "cache")), **dict(values(s))}
    before = {name: array.copy() for name, array in kept.items()}
    s.layer.backward(dy, cache, ctx)
    unchanged("backward", **inputs, **{name: (kept[name], before[name]) for name in kept})
    return 0.0, 0.0


def no_aliasing(s: LayerUnderTest) -> Result:
    """Gradients of parameters lie in memory of their own, and y and dx are not the parameters' memory."""
    xs, dy, ctx = copies(s.xs), s.dy(), s.context()
    y, cache = s.layer.forward(s.pack(xs), ctx)
    dx = s.unpack(s.layer.backward(dy, cache, ctx))
    gradients = {f"d{name}": g for name, g in zip(dict(values(s)), accumulated(s, ctx), strict=True)}
    names = s.x_names()
    inputs = dict(zip([*names, *(f"d{x}" for x in names)], [*xs, *dx], strict=True))
    groups = [gradients, {**inputs, "dy": dy, "y": y}, dict(values(s))]
    for i, group in enumerate(groups):
        for name, array in group.items():
            rest = [*groups[i + 1 :], *([{n: a for n, a in group.items() if n != name}] if group is gradients else [])]
            for other, second in [pair for g in rest for pair in g.items()]:
                if np.may_share_memory(array, second):
                    raise GradientError(f"{name} and {other} share memory.")
    return 0.0, 0.0


def reentrant(s: LayerUnderTest) -> Result:
    """Two inputs can be on their way through the layer at once, in one context: what a pass needs is in its cache."""
    others = tuple(x[::-1].copy() for x in s.xs)
    one, two = s.run(copies(s.xs), s.dy(0), training=False), s.run(copies(others), s.dy(1), training=False)
    ctx = s.context(training=False)
    y1, cache1 = s.layer.forward(s.pack(copies(s.xs)), ctx)
    y2, cache2 = s.layer.forward(s.pack(others), ctx)
    y1, y2 = np.array(y1), np.array(y2)
    dx1 = copies(s.unpack(s.layer.backward(s.dy(0), cache1, ctx)))
    dx2 = copies(s.unpack(s.layer.backward(s.dy(1), cache2, ctx)))
    both = total((1, 1), (one.gradients, two.gradients))
    first = same(s, Pass(y1, dx1, both), Pass(one.y, one.dx, both))
    return max(first, same(s, Pass(y2, dx2, s.gradients(ctx)), Pass(two.y, two.dx, both)))


def without_dx(s: LayerUnderTest) -> Result:
    """With need_dx=False the parameters' gradients are the same."""
    full = s.run(copies(s.xs), s.dy())
    ctx = s.context()
    _, cache = s.layer.forward(s.pack(copies(s.xs)), ctx)
    s.layer.backward(s.dy(), cache, ctx, need_dx=False)
    return same(s, Pass(full.y, full.dx, s.gradients(ctx)), full)


def samples_apart(s: LayerUnderTest) -> Result:
    """A batch is its samples: y and dx row by row, the parameters' gradients added up."""
    whole = s.run(copies(s.xs), s.dy())
    rows = [
        s.run(tuple(x[n : n + 1].copy() for x in s.xs), s.dy()[n : n + 1].copy(), first=n) for n in range(s.samples)
    ]
    dx = tuple(np.concatenate(parts) for parts in zip(*(row.dx for row in rows), strict=True))
    gradients = total([1] * s.samples, [row.gradients for row in rows])
    return same(s, Pass(np.concatenate([row.y for row in rows]), dx, gradients), whole, 10 * EXACT)


def memory_orders(s: LayerUnderTest) -> Result:
    """Fortran-ordered and strided x and dy give what contiguous ones give."""
    plain = s.run(copies(s.xs), s.dy())
    fortran, skipping = (s.run(tuple(map(f, s.xs)), f(s.dy())) for f in (np.asfortranarray, strided))
    return max(same(s, fortran, plain), same(s, skipping, plain))


def dtype_kept(s: LayerUnderTest) -> Result:
    """y, dx and all gradients have the precision of x."""
    for layer, dtype in ((s.layer, np.float64), (s.layer32, np.float32)):
        result = s.run(as_dtype(s.xs, dtype), s.dy().astype(dtype), layer=layer)
        for name, array in zip(["y", *s.names()], result.flat(), strict=True):
            if array.dtype != dtype:
                raise GradientError(f"{name} is {array.dtype} for an input of {np.dtype(dtype)}.")
    return 0.0, 0.0


def single_precision(s: LayerUnderTest) -> Result:
    """The float32 pass agrees with the float64 pass as far as float32 goes."""
    *xs, dy = as_dtype([*s.xs, s.dy()], np.float32)
    single = s.run(tuple(xs), dy, layer=s.layer32)
    *xs, dy = as_dtype([*xs, dy], np.float64)
    return same(s, single.astype(np.float64), s.run(tuple(xs), dy), same_to(np.float32))


def shape_known(s: LayerUnderTest) -> Result:
    """`output_shape` says the shape of y, and dx has the shape of x."""
    result = s.run(copies(s.xs), s.dy())
    said = getattr(s.layer, "output_shape", lambda _: result.y.shape[1:])(s.input_shape)
    if result.y.shape != (s.samples, *said):
        raise GradientError(f"y has shape {result.y.shape}; output_shape says {(s.samples, *said)}.")
    for name, x, dx in zip(s.x_names(), s.xs, result.dx, strict=True):
        if dx.shape != x.shape:
            raise GradientError(f"d{name} has shape {dx.shape}; {name} has {x.shape}.")
    return 0.0, 0.0


def _differences(s: LayerUnderTest, which: slice, training: bool) -> Result:
    """The gradients `which` of the inputs' and the parameters' against differences, every element."""
    forward, backward, inputs, parameters = s.pair(training)
    report = check_gradients(forward, backward, inputs, parameters, seed=s.seed)
    report = replace(report, entries=report.entries[which], call=s.call(training))
    if not report.entries:
        return 0.0, 0.0
    report.raise_if_failed()
    return max(e.error_over_tolerance for e in report.entries), max(e.relative for e in report.entries)


CHECKS: dict[str, Callable[[LayerUnderTest], Result]] = {
    check.__name__: check
    for check in (
        gradient_of_input,
        gradients_of_parameters,
        evaluation_mode,
        linear_in_dy,
        adjoint,
        repeatable,
        accumulates,
        untouched,
        no_aliasing,
        reentrant,
        without_dx,
        samples_apart,
        memory_orders,
        dtype_kept,
        single_precision,
        shape_known,
    )
}
