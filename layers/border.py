"""The border of a layer: what is given to it is checked here, once, before any kernel; the kernels check nothing.

Forward begins with `check_input`, which also returns the shape and dtype that y will have; they go into the cache, and backward
begins with `check_gradient`, which compares dy with them:

    x, y_like = check_input(self, x)
    dy = check_gradient(self, dy, y_like)

Neither reads an element.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.device import check_device_and_dtype, contiguous, is_array
from engine.errors import UserError
from engine.typing import REALS, Array, is_whole
from layers.layer import Layer


class Like(NamedTuple):
    """What is kept of an array that is not kept itself."""

    shape: tuple[int, ...]
    dtype: np.dtype
    kind: Any  # the class, of NumPy or CuPy


def like(array: Array) -> Like:
    """The shape, dtype and kind of an array."""
    return Like(array.shape, array.dtype, type(array))


def check_input(layer: Layer, x: Any) -> tuple[Any, Like]:
    """x in C order, and what y will be like; raises UserError unless x is an input of the layer.

    That is an array (N, ...) of samples that `output_shape` takes, N = 0 included, in float32 or float64, in the precision
    and on the device of the layer's parameters; of a layer with several inputs a tuple of them, of one N and precision.
    """
    checked: Any
    first: Any
    shape: Any
    if layer.n_inputs == 1:
        checked = first = check_array(layer, x)
        shape = checked.shape[1:]
    else:
        checked = _check_several(layer, x)
        first, shape = checked[0], tuple(part.shape[1:] for part in checked)
    y_shape = layer.output_shape(shape)
    for parameter in layer.parameters():
        check_device_and_dtype(first, parameter.value)
    return checked, Like((len(first), *y_shape), first.dtype, type(first))


def check_gradient(layer: Layer | str, dy: Any, y: Like) -> Any:
    """dy in C order; raises UserError unless it is an array like y, the output of the forward pass."""
    if type(dy) is y.kind and dy.dtype == y.dtype and dy.shape == y.shape:
        return contiguous(dy)
    kind = "NumPy" if y.kind is np.ndarray else "CuPy"
    raise UserError(
        f"the gradient that {layer} was given is {_describe(dy, y.kind)}; its output was {y.dtype} of shape {y.shape}: give the "
        f"gradient this shape and precision, as a {kind} array."
    )


def check_array(layer: Layer | str, x: Any) -> Any:
    """x in C order; raises UserError unless it is an array (N, ...) of samples that are not empty, in float32 or float64.

    layer -- how the sentence names what was given x
    """
    if not is_array(x):
        raise UserError(f"{layer} was given {_describe(x)}; an array is needed: convert it with numpy.asarray.")
    if x.dtype not in REALS:
        raise UserError(f"{layer} was given {x.dtype}; float32 or float64 is needed: convert the input with x.astype.")
    if 0 in x.shape[1:] or not x.ndim:
        raise UserError(
            f"{layer} was given an array of shape {x.shape}; samples (N, ...) that are not empty are needed."
        )
    return contiguous(x)


def _check_several(layer: Layer, x: Any) -> tuple:
    """The arrays of x in C order; raises UserError unless they are a tuple of as many as the layer takes and fit each other."""
    if not isinstance(x, tuple) or len(x) != layer.n_inputs:
        found = f"a tuple of {len(x)}" if isinstance(x, tuple) else f"a {type(x).__name__}"
        raise UserError(f"{layer} was given {found}; a tuple of {layer.n_inputs} arrays is needed, one for each input.")
    checked = tuple(check_array(layer, part) for part in x)
    if len({(len(part), part.dtype, type(part)) for part in checked}) > 1:
        given = ", ".join(_describe(part) for part in checked)
        raise UserError(f"{layer} was given {given}; all inputs must have one N, one precision and one device.")
    return checked


def _describe(value: Any, kind: type = np.ndarray) -> str:
    """What was given, for a sentence."""
    if not is_array(value):
        return f"a {type(value).__name__}"
    where = "" if type(value) is kind else ", on another device,"
    return f"{value.dtype}{where} of shape {value.shape}"


def expect_sizes(layer: str, **sizes: Any) -> None:
    """Raise unless every size is an integer of 1 or more."""
    for name, size in sizes.items():
        if not is_whole(size) or size < 1:
            raise UserError(f"{layer} was given {name} = {size!r}; a whole number of 1 or more is needed.")
