"""Every CUDA kernel: run under the simulator and held against the CPU's, and compiled to PTX for a real architecture."""

import inspect
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from engine.device import _on_cuda
from tests.cuda.cases import apart, cases
from tests.cuda.programs import output

ROOT = Path(__file__).parents[2]
CASES = {case.name: case for case in cases()}
BESIDE = [
    "bias_forward", "bias_relu_forward", "bias_backward", "bias_relu_backward", "gather", "stop_unless_finite", "answers",
]  # fmt: skip
LAUNCHES = ("elementwise", "images", "maxout", "patches", "pooling", "updates")
needs_compiler = pytest.mark.skipif(
    find_spec("numba_cuda") is None or find_spec("nvidia") is None or find_spec("nvidia.cu13") is None,
    reason="numba-cuda and nvidia-nvvm are not installed (they are for Linux on x86-64)",
)


@pytest.mark.parametrize("name", [*CASES, *BESIDE])
def test_a_kernel_does_on_the_simulated_gpu_what_it_does_on_the_cpu(name):
    found = output("simulate", simulated=True)[name]
    assert not isinstance(found, str), found
    assert found <= (CASES[name].ulps if name in CASES else 64)


@needs_compiler
@pytest.mark.parametrize("name", [*CASES, *BESIDE])
def test_a_kernel_compiles_for_a_real_gpu_and_adds_to_nothing_from_two_threads(name):
    code = output("compile_ptx")[name]
    assert ".visible .entry" in code, code
    assert ".target sm_90" in code
    assert not re.search(r"\b(atom|red)\.", code)


def test_every_kernel_of_the_gpu_is_among_the_cases():
    tried = {case.kernel.__name__ for case in CASES.values()} | set(BESIDE)
    for name in LAUNCHES:
        module = import_module(f"engine.kernels.cuda.{name}")
        own = {n for n, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == module.__name__}
        assert {n for n in own if not n.startswith("_")} <= tried


def test_everything_that_is_launched_has_a_namesake_on_the_gpu():
    rooms = ("engine", "layers", "data", "cldl")
    text = "\n".join(p.read_text() for room in rooms for p in (ROOT / room).rglob("*.py") if "cuda" not in p.parts)
    names = set(re.findall(r"launch\(\s*([\w.]+),", text)) - {"kernel"}
    modules = {"kernels": "engine.kernels.cpu.images", "affine": "engine.ops.fused_linear"}
    assert len(names) > 15
    for name in names:
        module, _, function = name.rpartition(".")
        path = modules.get(
            module, f"engine.kernels.{module}" if module else f"cldl.{'hinge' if 'hinge' in function else 'loss'}"
        )
        assert callable(_on_cuda(getattr(import_module(path), function))), name


def test_the_measure_sees_a_difference_of_one_bit_a_nan_and_what_was_not_written():
    a = np.ones(3, np.float32)
    b = np.array([1, 1, np.nextafter(np.float32(1), np.float32(2))])
    assert apart(a, a) == 0
    assert apart(a, b) == 1
    assert apart(a, np.array([1, np.nan, 1], np.float32)) == np.inf
    assert apart(np.zeros(2, np.uint8), np.ones(2, np.uint8)) == np.inf
