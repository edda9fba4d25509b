"""Every CUDA kernel: run under the simulator and compared with the CPU's, and compiled to PTX for a real architecture."""

import inspect
import re
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

from tests.cuda.cases import apart, cases
from tests.cuda.programs import output

CASES = {case.name: case for case in cases()}
WITHOUT_PAIR = [  # helpers of the GPU's products and of its training step
    "add_bias", "add_bias_relu", "add_column_sums", "relu_backward_add_column_sums", "gather", "stop_unless_finite",
    "predictions",
]  # fmt: skip
MODULES = ("bias", "elementwise", "images", "maxout", "normalise", "patches", "pooling", "updates")
needs_compiler = pytest.mark.skipif(
    find_spec("numba_cuda") is None or find_spec("nvidia") is None or find_spec("nvidia.cu13") is None,
    reason="numba-cuda and nvidia-nvvm are not installed (they are for Linux on x86-64)",
)


@pytest.mark.parametrize("name", [*CASES, *WITHOUT_PAIR])
def test_a_kernel_does_on_the_simulated_gpu_what_it_does_on_the_cpu(name):
    found = output("simulate", simulated=True)[name]
    assert not isinstance(found, str), found
    assert found <= (CASES[name].ulps if name in CASES else 64)


@needs_compiler
@pytest.mark.parametrize("name", [*CASES, *WITHOUT_PAIR])
def test_a_kernel_compiles_for_a_real_gpu_without_atomics(name):
    code = output("compile_ptx")[name]
    assert ".visible .entry" in code, code
    assert ".target sm_90" in code
    assert not re.search(r"\b(atom|red)\.", code)


def test_every_kernel_of_the_gpu_is_among_the_cases():
    tried = {case.kernel.__name__ for case in CASES.values()} | set(WITHOUT_PAIR)
    for name in MODULES:
        module = import_module(f"engine.kernels.cuda.{name}")
        own = {n for n, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == module.__name__}
        assert {n for n in own if not n.startswith("_")} <= tried, "give them a Case in tests/cuda/cases.py"


def test_the_distance_in_ulps_shows_a_difference_of_one_bit_a_nan_and_what_was_not_written():
    a = np.ones(3, np.float32)
    b = np.array([1, 1, np.nextafter(np.float32(1), np.float32(2))])
    assert apart(a, a) == 0
    assert apart(a, b) == 1
    assert apart(a, np.array([1, np.nan, 1], np.float32)) == np.inf
    assert apart(np.zeros(2, np.uint8), np.ones(2, np.uint8)) == np.inf
