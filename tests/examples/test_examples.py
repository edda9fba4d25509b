"""The examples run, and do what they say."""

import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> dict:
    """The names that an example defines."""
    return runpy.run_path(str(EXAMPLES / name))


def test_your_layer_passes_and_its_buggy_twin_is_rejected_by_differences(capsys):
    example("02_check_your_layer.py")["main"]()
    shown = capsys.readouterr().out
    before, _, after = shown.partition("With the bug:")
    bug, _, others = after.partition("\n")
    assert "FAILED" not in before + others
    assert "gradient_of_input" in bug
    assert "failed." in bug
    assert "Gain(): 16 checks ran, 0 failed" in others
    assert "Log(): 16 checks ran, 0 failed" in others
    assert "Centred(): 15 checks ran, 0 failed, 1 not promised" in others
    assert "samples_apart: not promised, because the mean is that of the batch" in others


def test_your_network_learns_your_arrays():
    errors = example("03_your_network_on_your_arrays.py")["main"](3)
    assert set(errors) == {"1", "2", "fused"}
    assert errors["fused"] < 50  # of 16 classes; 94 by guessing


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_loss_trains_a_model_of_pytorchs():
    losses = example("04_loss_in_pytorch.py")["main"](30)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_digits_are_recognised_by_scikit_learns_conventions():
    assert example("05_digits_by_scikit_learn.py")["main"](6) > 0.8


def test_without_scikit_learn_there_are_drawn_digits():
    images, labels = example("05_digits_by_scikit_learn.py")["drawn"](30)
    assert (images.shape, images.max(), labels[:3].tolist()) == ((30, 8, 8), 16, [0, 1, 2])


def test_every_example_has_a_test():
    tested = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for path in EXAMPLES.glob("*.py"):
        assert path.name in tested, path.name
