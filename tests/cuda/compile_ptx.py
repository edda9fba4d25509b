"""Every kernel compiled to PTX for a real architecture, no device or driver needed; a line of JSON: {case: PTX, or the error}.

This finds what the simulator cannot: errors of types, functions that CUDA lacks, the size of shared memory. numba-cuda asks the
device for its architecture when one function calls another, and looks for a compiler of CUDA C, which is not needed here; both
are replaced.
"""

import json
import os
import sys
import traceback
from types import SimpleNamespace

ARCHITECTURE = (9, 0)  # Hopper
os.environ["NUMBA_FORCE_CUDA_CC"] = "{}.{}".format(*ARCHITECTURE)

import numpy as np  # after the architecture
from numba import cuda, typeof, void
from numba.cuda import cuda_paths, dispatcher

from tests.cuda import stand_in

cupy = stand_in.install()

from engine.device import dispatch
from engine.kernels.cuda import bias  # after the stand-in
from tests.cuda.cases import cases, on_gpu_arguments

dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=ARCHITECTURE)
cuda_paths._get_nvrtc_path = lambda: None
compiled: list[str] = []
known: dict[tuple, str] = {}  # by kernel and types


def record(kernel, configuration):
    """Replaces `kernel[configuration]`: compile for the arguments of the launch."""

    def compile_for(*arguments):
        types = [typeof(tuple(map(plain, a)) if isinstance(a, tuple) else plain(a)) for a in arguments]
        signature = kernel.py_func, *types
        if signature not in known:
            known[signature], _ = cuda.compile(kernel.py_func, void(*types), device=False, abi="numba", cc=ARCHITECTURE)
        compiled.append(known[signature])

    return compile_for


def plain(argument):
    return np.asarray(argument) if isinstance(argument, np.ndarray) else argument


def ptx(run) -> str:
    """The PTX of all kernels that are launched, or the error."""
    compiled.clear()
    try:
        run()
    except Exception:
        return traceback.format_exc(limit=-3)
    return "\n".join(compiled)


def main() -> None:
    dispatcher.CUDADispatcher.__getitem__ = record
    found = {}
    for case in cases():
        found[case.name] = ptx(lambda case=case: dispatch(case.kernel, *on_gpu_arguments(case, cupy.asarray)))
    for name, run in without_pair().items():
        found[name] = ptx(run)
    json.dump(found, sys.stdout)


def without_pair() -> dict:
    """Kernels that have no counterpart on the CPU."""
    from cldl.training.cuda.inference import predictions
    from cldl.training.cuda.loss import stop_unless_finite
    from engine.kernels.cuda.images import gather

    y, dy, dx, b = (cupy.zeros(shape, np.float32) for shape in ((5, 3), (5, 3), (5, 3), (3,)))
    bytes_, index = cupy.zeros((4, 6), np.uint8), cupy.zeros(3, np.int64)
    logits = tuple(cupy.zeros((5, 4), np.float32) for _ in range(3))
    scratch = [cupy.zeros(shape) for shape in ((5, 4, 3), (5, 4), (5, 4))]
    empty = cupy.empty
    return {
        "add_bias": lambda: bias.add_bias(y, b),
        "add_bias_relu": lambda: bias.add_bias_relu(y, b),
        "add_column_sums": lambda: bias.add_column_sums(dy, b, empty),
        "relu_backward_add_column_sums": lambda: bias.relu_backward_add_column_sums(y, dy, dx, b, empty),
        "predictions": lambda: predictions(logits, cupy.zeros(3), 0.5, True, *scratch, cupy.zeros((5, 4), np.int64)),
        "gather": lambda: gather(bytes_, index, cupy.zeros((3, 6), np.uint8)),
        "stop_unless_finite": lambda: stop_unless_finite(cupy.zeros((5, 3)), cupy.zeros(3), cupy.zeros(4)),
    }


if __name__ == "__main__":
    main()
