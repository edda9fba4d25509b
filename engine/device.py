"""Where arrays live, and so where work is done: NumPy's on the CPU, CuPy's on an NVIDIA GPU.

The device follows the arrays. `dispatch(pooling.max_forward, x, y, ...)` calls that very function of `engine.kernels.cpu.pooling`
where x is a NumPy array, and the function registered as its CUDA version (`cuda_version_of`) where x is a CuPy array: a layer
says what is to be done, the arrays say where. Nothing of CUDA is imported before a CuPy array is met or "cuda" is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from engine.errors import UserError

F = TypeVar("F", bound=Callable)
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "tf32", "bf16")  # of a GPU's products, see engine.kernels.cuda.gemm
INSTALL = "pip install 'cldl[cuda13]' (or cuda12, after the driver)"


def on_gpu(array: Any) -> bool:
    """Whether an array is CuPy's."""
    return type(array).__module__.partition(".")[0] == "cupy"


def array_module(array: Any) -> ModuleType:
    """NumPy, or CuPy."""
    return import_module("cupy") if on_gpu(array) else np


def contiguous(array: Any) -> Any:
    """The array itself, or a copy with its numbers one after another where they are not."""
    return array if array.flags.c_contiguous else array_module(array).ascontiguousarray(array)


def to_host(array: Any) -> np.ndarray:
    """The array itself, or a copy of one that is on the GPU."""
    return array_module(array).asnumpy(array) if on_gpu(array) else array


def copy_from_host(array: Any, source: np.ndarray) -> None:
    """Write `source`, which is on the CPU, into an array on either device."""
    if on_gpu(array):
        array.set(source)
    else:
        array[...] = source


def dispatch(kernel: Callable, *arguments: Any) -> Any:
    """Run a kernel where its arrays are; raises UserError where some are on the CPU and others on the GPU."""
    first = arguments[0][0] if isinstance(arguments[0], tuple) else arguments[0]
    if type(first) is not np.ndarray and on_gpu(first):
        check_same_device(*arguments)
        return _on_cuda(kernel)(*arguments)
    try:
        return kernel(*arguments)
    except Exception:  # Numba's, of an array that it does not know, or the kernel's own
        check_same_device(*arguments)
        raise


def check_same_device(*arguments: Any) -> None:
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


def check_device_and_dtype(x: Any, weight: Any) -> None:
    """Raise UserError unless x and a layer's weight are on one device and of one precision."""
    if type(x) is not type(weight):
        check_same_device(x, weight)
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


_CUDA_VERSIONS: dict[Callable, Callable] = {}


def cuda_version_of(cpu_kernel: Callable) -> Callable[[F], F]:
    """Register the decorated function as what `dispatch(cpu_kernel, ...)` calls where the arrays are CuPy's.

    Both take the same parameters, except that the two halves of a key on the CPU are the step's key and the number of the draw
    on a GPU.
    """

    def register(cuda_kernel: F) -> F:
        _CUDA_VERSIONS[cpu_kernel] = cuda_kernel
        return cuda_kernel

    return register


def cuda_versions() -> dict[Callable, Callable]:
    """The pairs that are registered so far: CPU function to CUDA function."""
    return dict(_CUDA_VERSIONS)


def _on_cuda(kernel: Callable) -> Callable:
    import_module(
        "engine.kernels.cuda"
    )  # registers the engine's; a package with kernels of its own imports them with its step
    if kernel not in _CUDA_VERSIONS:
        raise UserError(
            f"{kernel.__module__}.{kernel.__name__} has no version for the GPU: give it arrays of NumPy's, or register one with "
            "engine.device.cuda_version_of."
        )
    return _CUDA_VERSIONS[kernel]
