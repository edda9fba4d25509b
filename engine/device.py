"""Where arrays live, and so where work is done: NumPy's on the CPU, CuPy's on an NVIDIA GPU.

The device follows the arrays. `launch(pooling.max_forward, x, y, ...)` calls the kernel of `engine.kernels.pooling` where x is
NumPy's, and the function of the same name in `engine.cuda.pooling` where it is CuPy's: a layer says what is to be done, the
arrays say where. Nothing of CUDA is imported before an array of CuPy's is met or "cuda" is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from engine.errors import UserError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "tf32", "bf16")  # of a GPU's products, see engine.cuda.products
INSTALL = "pip install 'cldl[cuda13]' (or cuda12, after the driver)"


def on_gpu(array: Any) -> bool:
    """Whether an array is CuPy's."""
    return type(array).__module__.partition(".")[0] == "cupy"


def module_of(array: Any) -> ModuleType:
    """NumPy, or CuPy."""
    return import_module("cupy") if on_gpu(array) else np


def contiguous(array: Any) -> Any:
    """The array itself, or a copy with its numbers one after another where they are not."""
    return array if array.flags.c_contiguous else module_of(array).ascontiguousarray(array)


def on_cpu(array: Any) -> np.ndarray:
    """The array itself, or a copy of one that is on the GPU."""
    return module_of(array).asnumpy(array) if on_gpu(array) else array


def copy_to(array: Any, source: np.ndarray) -> None:
    """Write `source`, which is on the CPU, into an array on either device."""
    if on_gpu(array):
        array.set(source)
    else:
        array[...] = source


def launch(kernel: Callable, *arguments: Any) -> Any:
    """Run a kernel where its arrays are; raises UserError where some are on the CPU and others on the GPU."""
    first = arguments[0][0] if isinstance(arguments[0], tuple) else arguments[0]
    if type(first) is not np.ndarray and on_gpu(first):
        together(*arguments)
        return _on_cuda(kernel)(*arguments)
    try:
        return kernel(*arguments)
    except Exception:  # Numba's, of an array that it does not know, or the kernel's own
        together(*arguments)
        raise


def together(*arguments: Any) -> None:
    """Raise UserError unless all arrays among the arguments (or in tuples among them) are on one device."""
    places = {on_gpu(a) for a in _flat(arguments) if isinstance(a, np.ndarray) or on_gpu(a)}
    if len(places) > 1:
        raise UserError(
            "some arrays are on the CPU and others on the GPU; one operation needs all on one device: move them with "
            "cupy.asarray(array) or cupy.asnumpy(array)."
        )


def _flat(arguments: Any) -> list[Any]:
    """What stands in tuples, and in tuples among them."""
    return [a for inner in arguments for a in _flat(inner)] if isinstance(arguments, tuple) else [arguments]


def alike(x: Any, weight: Any) -> None:
    """Raise UserError unless x and a layer's weight are on one device and of one precision."""
    if type(x) is not type(weight):
        together(x, weight)
    if x.dtype != weight.dtype:
        raise UserError(
            f"the layer's input is {x.dtype} and its weights are {weight.dtype}; both must have one precision: convert the "
            f"input with x.astype({weight.dtype.name!r}), or the weights with engine.parameters.cast."
        )


def choose(device: str) -> str:
    """Say cpu or cuda: auto is cuda where CuPy finds a device. Raises UserError where cuda cannot be had."""
    if device not in DEVICES:
        raise UserError(f"the device {device!r} is unknown; choose one of {', '.join(DEVICES)}.")
    if device == "cpu":
        return "cpu"
    missing = _missing()
    if missing and device == "cuda":
        raise UserError(f"the device cuda cannot be used: {missing}, or leave --device out to train on the CPU.")
    return "cpu" if missing else "cuda"


def _missing() -> str:
    """What stands in the way of CUDA, and the remedy; nothing where it can be used."""
    if find_spec("cupy") is None:
        return f"CuPy is not installed: {INSTALL}"
    try:
        count = import_module("cupy").cuda.runtime.getDeviceCount()
    except Exception as error:  # no driver, one that is too old, an installation that is not whole
        return f"CuPy finds no GPU ({str(error).splitlines()[0] if str(error) else type(error).__name__}): check nvidia-smi"
    if not count:
        return "CuPy finds no GPU: check nvidia-smi"
    try:
        import_module("numba.cuda")
    except ImportError:
        return f"numba-cuda is not installed: {INSTALL}"
    return ""


@cache
def _on_cuda(kernel: Callable) -> Callable:
    """The kernel's namesake: that of engine.kernels.pooling in engine.cuda.pooling, of cldl.loss in cldl.cuda.loss."""
    path = kernel.__module__.split(".")
    return getattr(import_module(f"{path[0]}.cuda.{path[-1]}"), kernel.__name__)
