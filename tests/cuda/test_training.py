"""A whole training on a simulated GPU: the same losses, answers and weights as on the CPU, to rounding."""

import numpy as np
import pytest

from tests.cuda.programs import output
from tests.cuda.trainings import TRAININGS

ROUNDING = 3e-6  # relative, of a few steps in float32


@pytest.mark.parametrize("name", TRAININGS)
def test_training_on_the_simulated_gpu_is_training_on_the_cpu(name):
    here, there = (output("trainings", device, simulated=device == "cuda")[name] for device in ("cpu", "cuda"))
    assert np.allclose(here["steps"], there["steps"], rtol=ROUNDING)
    assert np.allclose(here["test"], there["test"], rtol=ROUNDING)
    assert here["dead"] == there["dead"]
    assert here["weights"].keys() == there["weights"].keys()
    for weight, values in here["weights"].items():
        assert np.allclose(values, there["weights"][weight], rtol=ROUNDING, atol=ROUNDING), weight


def test_a_step_that_cannot_be_captured_is_launched_plainly_and_says_why():
    graphs = output("trainings", "cuda", simulated=True)["AdamW"]["graphs"]
    assert graphs == {"4": ["this stream cannot be captured", False], "2": ["this stream cannot be captured", False]}


def test_the_place_of_the_work_has_a_name():
    assert output("trainings", "cpu")["SGD"]["place"] == "CPU, 1 thread"
    there = output("trainings", "cuda", simulated=True)["SGD"]["place"]
    assert there == "simulated GPU, products in float32 by Blas"


PROMISES = [
    "a loss that is not finite", "too large a batch", "too many images", "two devices", "another device", "replay",
]  # fmt: skip


@pytest.mark.parametrize("name", PROMISES)
def test_what_else_a_step_on_the_gpu_promises(name):
    assert output("promises", simulated=True)[name] == "kept"
