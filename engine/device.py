"""Where arrays live, and so where work runs: NumPy's on the CPU, CuPy's on an NVIDIA GPU.

The device follows the arrays. `dispatch(pooling.max_forward, x, y, ...)` calls this function of `engine.kernels.cpu.pooling`
if x is a NumPy array, and the function registered as its CUDA version (`cuda_version_of`) if x is a CuPy array: a layer says
what to compute, the arrays say where. No CUDA library is imported before the first CuPy array or a request for "cuda".
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
PRECISIONS = ("float32", "tf32", "bf16")  # of a GPU's matrix products, see engine.kernels.cuda.gemm
INSTALL = "pip install 'cldl[cuda13]' (or cuda12, depending on the driver)"

_cuda_versions: dict[Callable, Callable] = {}  # CPU kernel to CUDA kernel
_cuda_packages = ["engine.kernels.cuda"]


def on_gpu(array: Any) -> bool:
    """Whether an array is CuPy's."""
    return type(array).__module__.partition(".")[0] == "cupy"


def is_array(value: Any) -> bool:
    """Whether this is an array of NumPy's (and of no class derived from it) or of CuPy's."""
    return type(value) is np.ndarray or (on_gpu(value) and hasattr(value, "dtype"))


def array_module(array: Any) -> ModuleType:
    """NumPy or CuPy."""
    return import_module("cupy") if on_gpu(array) else np


def contiguous(array: Any) -> Any:
    """The array itself if it is C-contiguous, otherwise a copy that is."""
    return array if array.flags.c_contiguous else array_module(array).ascontiguousarray(array)


def to_host(array: Any) -> np.ndarray:
    """The array on the CPU: itself, or a copy of one on the GPU."""
    return array_module(array).asnumpy(array) if on_gpu(array) else array


def copy_from_host(array: Any, source: np.ndarray) -> None:
    """Copy `source`, which is on the CPU, into an array on either device."""
    if on_gpu(array):
        array.set(source)
    else:
        array[...] = source


def dispatch(kernel: Callable, *arguments: Any) -> Any:
    """Run a kernel on the device of its arrays; raises UserError if some are on the CPU and others on the GPU."""
    first = arguments[0][0] if isinstance(arguments[0], tuple) else arguments[0]
    if type(first) is not np.ndarray and on_gpu(first):
        check_same_device(*arguments)
        return cuda_version(kernel)(*arguments)
    try:
        return kernel(*arguments)
    except Exception:  # from Numba for an unsupported type, or from the kernel itself
        check_same_device(*arguments)
        raise


def cuda_version_of(cpu_kernel: Callable) -> Callable[[F], F]:
    """Register the decorated function as what `dispatch(cpu_kernel, ...)` calls for CuPy arrays.

    Both take the same parameters, with one exception: for a random key (`k0`, `k1`) the CPU's takes its two halves, the GPU's
    the step's key in the GPU's memory and the number of the draw (`key`, `draw`), from which the kernel derives the halves.
    """

    def register(cuda_kernel: F) -> F:
        _cuda_versions[cpu_kernel] = cuda_kernel
        return cuda_kernel

    return register


def cuda_kernels_in(package: str) -> None:
    """Name a package whose import registers CUDA kernels; it is imported when the first CuPy array is dispatched."""
    if package not in _cuda_packages:
        _cuda_packages.append(package)


def cuda_versions() -> dict[Callable, Callable]:
    """All registered pairs, CPU kernel to CUDA kernel; imports the packages that register them."""
    for package in _cuda_packages:
        import_module(package)
    return dict(_cuda_versions)


def cuda_version(kernel: Callable) -> Callable:
    """The CUDA version of a kernel; raises UserError if there is none."""
    if kernel not in _cuda_versions and kernel not in cuda_versions():
        raise UserError(
            f"{kernel.__module__}.{kernel.__name__} has no version for the GPU: pass NumPy arrays, or register a CUDA version "
            "with engine.device.cuda_version_of."
        )
    return _cuda_versions[kernel]


def check_same_device(*arguments: Any) -> None:
    """Raise UserError unless all arrays among the arguments (or in tuples among them) are on one device."""
    devices = {on_gpu(a) for a in _flat(arguments) if isinstance(a, np.ndarray) or on_gpu(a)}
    if len(devices) > 1:
        raise UserError(
            "some arrays are on the CPU and others on the GPU; one operation needs all on one device: move them with "
            "cupy.asarray(array) or cupy.asnumpy(array)."
        )


def _flat(arguments: Any) -> list[Any]:
    """The elements of nested tuples."""
    return [a for inner in arguments for a in _flat(inner)] if isinstance(arguments, tuple) else [arguments]


def check_device_and_dtype(x: Any, weight: Any) -> None:
    """Raise UserError unless a layer's input and weight are on one device and of one precision."""
    if type(x) is not type(weight):
        check_same_device(x, weight)
    if x.dtype != weight.dtype:
        raise UserError(
            f"the layer's input is {x.dtype} and its weights are {weight.dtype}; both must have one precision: convert the "
            f"input with x.astype({weight.dtype.name!r}), or the weights with engine.parameters.cast."
        )


def choose(device: str) -> str:
    """Resolve "auto" to "cpu" or "cuda"; raises UserError if the device is unknown or CUDA is not available."""
    if device not in DEVICES:
        raise UserError(f"the device {device!r} is unknown; choose one of {', '.join(DEVICES)}.")
    if device == "cpu":
        return "cpu"
    problem = _cuda_problem()
    if problem and device == "cuda":
        raise UserError(f"the device cuda cannot be used: {problem}, or leave --device out to train on the CPU.")
    return "cpu" if problem else "cuda"


def _cuda_problem() -> str:
    """Why CUDA is not available, and the remedy; empty if it is."""
    if find_spec("cupy") is None:
        return f"CuPy is not installed: {INSTALL}"
    try:
        count = import_module("cupy").cuda.runtime.getDeviceCount()
    except Exception as error:  # no driver, an old driver, a broken installation
        return f"CuPy finds no GPU ({str(error).splitlines()[0] if str(error) else type(error).__name__}): check nvidia-smi"
    if not count:
        return "CuPy finds no GPU: check nvidia-smi"
    try:
        import_module("numba.cuda")
    except ImportError:
        return f"numba-cuda is not installed: {INSTALL}"
    return ""
