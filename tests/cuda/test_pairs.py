"""Every CPU kernel that is dispatched has a CUDA version with the same parameters, and it is found without further imports."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

from engine.device import cuda_versions
from tests.cuda.programs import output

ROOT = Path(__file__).parents[2]
PAIRS = {f"{cpu.__module__}.{cpu.__name__}": (cpu, gpu) for cpu, gpu in cuda_versions().items()}


def dispatched():
    """Every function that stands as the first argument of a call of `dispatch`, by the file and line of the call."""
    for path in (p for package in ("engine", "layers", "data", "cldl") for p in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "dispatch":
                relative = path.relative_to(ROOT).with_suffix("")
                namespace = vars(import_module(".".join(relative.parts)))
                yield f"{relative}:{node.lineno}", eval(ast.unparse(node.args[0]), namespace)


def parameters(kernel):
    """The names of a kernel's parameters; those of a key by one name on both sides."""
    names = list(inspect.signature(getattr(kernel, "py_func", kernel)).parameters)
    for key in (["k0", "k1"], ["key", "draw"]):
        if names[-2:] == key:
            return [*names[:-2], "the key"]
    return names


def test_every_kernel_that_is_dispatched_has_a_cuda_version():
    calls = dict(dispatched())
    assert len(set(calls.values())) > 20
    alone = {call for call, kernel in calls.items() if kernel not in cuda_versions()}
    assert alone == set(), "register their CUDA versions by @cuda_version_of in engine/kernels/cuda"


@pytest.mark.parametrize("name", PAIRS)
def test_both_versions_of_a_kernel_take_the_same_parameters(name):
    cpu, gpu = PAIRS[name]
    assert parameters(cpu) == parameters(gpu)
    assert cpu.__name__ == gpu.__name__


@pytest.mark.parametrize("kernel", ["batch_loss", "batch_hinge", "relu_forward"])
def test_the_first_dispatch_finds_a_kernel_whose_package_was_not_imported(kernel):
    assert output("first_dispatch", kernel, simulated=True) == {"imported before": [], "apart": 0.0}
