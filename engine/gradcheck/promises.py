"""The promises of a layer, a function each: it returns (error as a share of the limit, relative error) or raises."""

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
    double,
    equal,
    flat,
    same,
    strided,
    unchanged,
    values,
)
from engine.gradcheck.differences import same_to
from engine.gradcheck.report import GradientError
from engine.gradcheck.subject import Pass, Subject


def _differences(s: Subject, names: slice, training: bool) -> Result:
    forward, backward, inputs, parameters = s.pair(training)
    report = check_gradients(forward, backward, inputs, parameters, seed=s.seed)
    call = f"*layer_pair(layer, {s.input_shape}, samples={s.samples}, seed={s.seed}, training={training})"
    report = replace(report, entries=report.entries[names], arguments=call)
    if not report.entries:
        return 0.0, 0.0
    report.raise_if_failed()
    return max(e.share for e in report.entries), max(e.relative for e in report.entries)


def gradient_of_input(s: Subject) -> Result:
    """Every element of dx agrees with a central difference."""
    return _differences(s, slice(1), training=True)


def gradients_of_parameters(s: Subject) -> Result:
    """Every element of every parameter's gradient agrees with a central difference."""
    return _differences(s, slice(1, None), training=True)


def evaluation_mode(s: Subject) -> Result:
    """In evaluation the gradients agree with differences too, and y does not depend on the random key."""
    y, _ = s.layer.forward(s.x.copy(), s.context(training=False))
    other, _ = s.layer.forward(s.x.copy(), s.context(training=False, key=s.key.fold(99)))
    if not np.array_equal(y, other):
        raise GradientError("y changes with the random key in evaluation mode.")
    return _differences(s, slice(None), training=False)


def linear_in_dy(s: Subject) -> Result:
    """Backward of 2 u - 3 v is 2 backward(u) - 3 backward(v)."""
    u, v = s.run(s.x.copy(), s.dy(0)), s.run(s.x.copy(), s.dy(1))
    both = s.run(s.x.copy(), 2 * s.dy(0) - 3 * s.dy(1))
    gradients = [2 * a - 3 * b for a, b in zip(u.gradients, v.gradients, strict=True)]
    return same(s, both, Pass(u.y, 2 * u.dx - 3 * v.dx, gradients), 10 * EXACT)


def adjoint(s: Subject) -> Result:
    """<J v, u> = <v, J' u>: the difference of y along v, weighted by u, is dx, for dy = u, weighted by v."""
    forward, backward, inputs, parameters = s.pair()
    report = check_gradients(forward, backward, inputs, parameters, method="directional", seed=s.seed)
    call = f"*layer_pair(layer, {s.input_shape}, samples={s.samples}, seed={s.seed})"
    replace(report, arguments=call).raise_if_failed()
    return report.worst.share, 0.0


def repeatable(s: Subject) -> Result:
    """The same pass twice, each in a fresh context, gives the same bits."""
    one, two = s.run(s.x.copy(), s.dy()), s.run(s.x.copy(), s.dy())
    equal(s, two, one, "a second pass with the same key")
    return 0.0, 0.0


def accumulates(s: Subject) -> Result:
    """A second backward gives the same dx, and adds the same gradients again."""
    once = s.run(s.x.copy(), s.dy())
    ctx = s.context()
    _, cache = s.layer.forward(s.x.copy(), ctx)
    s.layer.backward(s.dy(), cache, ctx)
    dx = np.array(s.layer.backward(s.dy(), cache, ctx))
    twice = Pass(once.y, dx, s.gradients(ctx))
    return same(s, twice, Pass(once.y, once.dx, [2 * g for g in once.gradients]))


def untouched(s: Subject) -> Result:
    """Forward and backward change neither x nor dy nor the cache nor the parameters."""
    x, dy, ctx = s.x.copy(), s.dy(), s.context()
    y, cache = s.layer.forward(x, ctx)
    unchanged("forward", x=(x, s.x))
    kept = {"dy": dy, "y": y, **dict(arrays(cache, "cache")), **dict(values(s))}
    before = {name: array.copy() for name, array in kept.items()}
    s.layer.backward(dy, cache, ctx)
    unchanged("backward", x=(x, s.x), **{name: (kept[name], before[name]) for name in kept})
    return 0.0, 0.0


def no_aliasing(s: Subject) -> Result:
    """Gradients of parameters lie in memory of their own, and y and dx are not the parameters' memory."""
    x, dy, ctx = s.x.copy(), s.dy(), s.context()
    y, cache = s.layer.forward(x, ctx)
    dx = s.layer.backward(dy, cache, ctx)
    gradients = {f"d{name}": g for name, g in zip(dict(values(s)), accumulated(s, ctx), strict=True)}
    others = {"x": x, "dy": dy, "y": y, "dx": dx}
    groups = [gradients, others, dict(values(s))]
    for i, group in enumerate(groups):
        for name, array in group.items():
            rest = [*groups[i + 1 :], *([{n: a for n, a in group.items() if n != name}] if group is gradients else [])]
            for other, second in [pair for g in rest for pair in g.items()]:
                if np.may_share_memory(array, second):
                    raise GradientError(f"{name} and {other} share memory.")
    return 0.0, 0.0


def reentrant(s: Subject) -> Result:
    """Two inputs can be on their way through the layer at once, in one context: what a pass needs is in its cache."""
    other = s.x[::-1].copy()
    one, two = s.run(s.x.copy(), s.dy(0), training=False), s.run(other.copy(), s.dy(1), training=False)
    ctx = s.context(training=False)
    y1, cache1 = s.layer.forward(s.x.copy(), ctx)
    y2, cache2 = s.layer.forward(other, ctx)
    y1, y2 = np.array(y1), np.array(y2)
    dx1 = np.array(s.layer.backward(s.dy(0), cache1, ctx))
    dx2 = np.array(s.layer.backward(s.dy(1), cache2, ctx))
    total = [a + b for a, b in zip(one.gradients, two.gradients, strict=True)]
    first = same(s, Pass(y1, dx1, total), Pass(one.y, one.dx, total))
    return max(first, same(s, Pass(y2, dx2, s.gradients(ctx)), Pass(two.y, two.dx, total)))


def without_dx(s: Subject) -> Result:
    """With need_dx=False the parameters' gradients are the same."""
    full = s.run(s.x.copy(), s.dy())
    ctx = s.context()
    _, cache = s.layer.forward(s.x.copy(), ctx)
    s.layer.backward(s.dy(), cache, ctx, need_dx=False)
    return same(s, Pass(full.y, full.dx, s.gradients(ctx)), full)


def samples_apart(s: Subject) -> Result:
    """A batch is its samples: y and dx row by row, the parameters' gradients added up."""
    whole = s.run(s.x.copy(), s.dy())
    rows = [s.run(s.x[n : n + 1].copy(), s.dy()[n : n + 1].copy(), first=n) for n in range(s.samples)]
    gradients = [np.sum(parts, axis=0) for parts in zip(*(row.gradients for row in rows), strict=True)]
    apart = Pass(np.concatenate([r.y for r in rows]), np.concatenate([r.dx for r in rows]), gradients)
    return same(s, apart, whole, 10 * EXACT)


def memory_orders(s: Subject) -> Result:
    """Fortran-ordered and strided x and dy give what contiguous ones give."""
    plain = s.run(s.x.copy(), s.dy())
    fortran = s.run(np.asfortranarray(s.x), np.asfortranarray(s.dy()))
    return max(same(s, fortran, plain), same(s, s.run(strided(s.x), strided(s.dy())), plain))


def dtype_kept(s: Subject) -> Result:
    """y, dx and all gradients have the precision of x."""
    for layer, dtype in ((s.layer, np.float64), (s.layer32, np.float32)):
        result = s.run(s.x.astype(dtype), s.dy().astype(dtype), layer=layer)
        for name, array in zip(["y", *s.names()], [result.y, result.dx, *result.gradients], strict=True):
            if array.dtype != dtype:
                raise GradientError(f"{name} is {array.dtype} for an input of {np.dtype(dtype)}.")
    return 0.0, 0.0


def single_precision(s: Subject) -> Result:
    """The float32 pass agrees with the float64 pass as far as float32 goes.

    That is to a share of the largest element; or, where terms cancel, of what rounding x and dy does to the float64 pass.
    """
    eps = float(np.finfo(np.float32).eps)
    x, dy = s.x.astype(np.float32), s.dy().astype(np.float32)
    single = s.run(x, dy, layer=s.layer32)
    expected = s.run(x.astype(np.float64), dy.astype(np.float64))
    rounded = s.run(*(array * (1 + eps * s.key.fold(i).normal(array.shape)) for i, array in enumerate((x, dy))))
    sizes = [float(np.abs(a - b).max(initial=0)) / eps for a, b in zip(flat(rounded), flat(expected), strict=True)]
    return same(s, Pass(*(double(part) for part in single)), expected, same_to(np.float32), sizes)


def shape_known(s: Subject) -> Result:
    """`output_shape` says the shape of y, and dx has the shape of x."""
    result = s.run(s.x.copy(), s.dy())
    said = getattr(s.layer, "output_shape", lambda _: result.y.shape[1:])(s.input_shape)
    if result.y.shape != (s.samples, *said):
        raise GradientError(f"y has shape {result.y.shape}; output_shape says {(s.samples, *said)}.")
    if result.dx.shape != s.shape:
        raise GradientError(f"dx has shape {result.dx.shape}; x has {s.shape}.")
    return 0.0, 0.0


PROMISES: dict[str, Callable[[Subject], Result]] = {
    promise.__name__: promise
    for promise in (
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
