"""A whole training on a simulated GPU: the same losses, predictions and weights as on the CPU, to rounding."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cuda.programs import SIMULATED, output
from tests.cuda.trainings import TRAININGS

ROUNDING = 3e-6  # relative, of a few steps in float32


@pytest.mark.parametrize("name", TRAININGS)
def test_training_on_the_simulated_gpu_is_training_on_the_cpu(name):
    cpu, gpu = (output("trainings", device, simulated=device == "cuda")[name] for device in ("cpu", "cuda"))
    assert np.allclose(cpu["steps"], gpu["steps"], rtol=ROUNDING)
    assert np.allclose(cpu["test"], gpu["test"], rtol=ROUNDING)
    assert cpu["dead"] == gpu["dead"]
    assert cpu["weights"].keys() == gpu["weights"].keys()
    for weight, values in cpu["weights"].items():
        assert np.allclose(values, gpu["weights"][weight], rtol=ROUNDING, atol=ROUNDING), weight


def test_a_step_that_cannot_be_captured_is_launched_kernel_by_kernel_with_the_reason():
    graphs = output("trainings", "cuda", simulated=True)["AdamW"]["graphs"]
    assert graphs == {"4": ["this stream cannot be captured", False], "2": ["this stream cannot be captured", False]}


def test_the_device_has_a_name():
    assert output("trainings", "cpu")["SGD"]["device"] == "CPU, 1 thread"
    simulated = output("trainings", "cuda", simulated=True)["SGD"]["device"]
    assert simulated == "simulated GPU, products in float32 by Blas"


CHECKS = [
    "a loss that is not finite", "too large a batch", "too many images", "prefetch", "two devices", "another device", "replay",
    "memory of other passes", "memory of a graph", "memory of each step",
]  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_a_step_on_the_simulated_gpu_passes_the_check_of(name):
    assert output("step_checks", simulated=True)[name] == "passed"


def test_every_layer_and_every_product_is_that_of_the_cpu_on_the_simulated_gpu():
    """A part of what `make test-gpu` asks of a real one, with a stand-in for cuBLASLt too."""
    options = ["-k", "a_layer or a_product or test_a_run_that", "-p", "no:cacheprovider", "-q"]
    command = [sys.executable, "-m", "pytest", "tests/cuda/test_on_gpu.py", *options]
    environment = {**os.environ, **SIMULATED}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert run.returncode == 0, run.stdout
    assert " passed" in run.stdout
    assert "skipped" not in run.stdout
