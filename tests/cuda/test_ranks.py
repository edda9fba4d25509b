"""Two ranks with a simulated GPU each: the numbers of one GPU, however sums and passes overlap, and sums in captured graphs.

tests/cuda/stand_in_nccl.py adds over the ranks, by MPI, and refuses what NCCL would.
"""

import json

import numpy as np
import pytest

from cldl.start import SAME_DEVICE
from tests.cldl import synthetic
from tests.cldl.synthetic import TWO
from tests.cldl.training.test_ranks import alone, weights
from tests.cuda.programs import SIMULATED
from tests.of_ranks import mpiexec

ROUNDING = 3e-6  # relative, of a few steps in float32
TRAININGS = ["overlapped, late", "overlapped, early, images on the CPU", "in turn, resumed"]


@pytest.fixture(scope="module")
def found():
    out, error, status = mpiexec(2, "tests.cuda.on_ranks", **SIMULATED)
    assert (error, status) == ("", 0)
    return json.loads(out)


@pytest.mark.parametrize("name", TRAININGS)
def test_two_gpus_learn_what_one_does(found, name):
    for own in found:
        alone, together = own["alone"], own[name]
        assert np.allclose(alone["steps"], together["steps"], rtol=ROUNDING, atol=0)
        assert np.allclose(alone["test"], together["test"], rtol=ROUNDING, atol=0)
        assert np.allclose(alone["weights"], together["weights"], rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", TRAININGS)
def test_both_ranks_have_the_same_weights_to_the_last_bit(found, name):
    assert found[0][name]["checksum"] == found[1][name]["checksum"] != 0


def test_sums_that_begin_early_or_late_have_the_same_bits(found):
    late, early, _ = (found[0][name] for name in TRAININGS)
    assert late["checksum"] == early["checksum"]
    assert late["steps"] == early["steps"]


def test_gradients_are_summed_in_pieces_of_which_each_is_summed_once_a_step(found):
    for own in found:
        sums = own["overlapped, late"]["sums"]
        assert len(sums) == 4 * 8  # steps of so many parameters
        assert sums == 4 * sums[:8]


def test_sums_begin_before_the_pass_ends_or_in_turn_after_it(found):
    """Of the second batch, of one sample, rank 0 has none."""
    assert [own["overlapped, late"]["begun"] for own in found] == [[8, 24], [8, 16, 24, 32]]
    assert [own["in turn, resumed"]["begun"] for own in found] == [[0, 0, 0], [0, 0, 0, 8]]


def test_each_rank_copies_the_images_of_its_own_slices_once(found):
    assert [own["overlapped, early, images on the CPU"]["copies"] for own in found] == [[2, 0, 2, 0], [3, 1, 3, 1]]
    assert [own["prefetched"] for own in found] == [[4, 5], [1, 2]]


def test_each_rank_has_its_own_gpu(found):
    assert [own["overlapped, late"]["gpu"] for own in found] == [0, 1]
    assert found[0]["overlapped, late"]["device"] == "simulated GPU, products in float32 by Blas, for each of 2 ranks"


def test_ranks_take_the_gpus_that_they_see_and_none_twice(found):
    assert found[0]["chosen"] == [[0, 0, 1, 1], [0, 0, 0], [0, 1]]


def test_no_rank_makes_an_update_where_the_loss_of_another_is_not_finite(found):
    assert [own["diverged"] for own in found] == [True, True]


def test_sums_are_captured_and_replayed_or_launched_where_one_rank_cannot_capture_them(found):
    """A buffer of ones before each of four calls: called, captured and replayed, replayed, replayed."""
    values, reasons = 4 * [[2.0]], ["another rank cannot capture it", "this stream cannot be captured"]
    for rank, own in enumerate(found):
        assert own["captured"]["all"] == [values, True, "", 0]
        assert own["captured"]["rank 0"] == [values, False, reasons[rank], 1 - rank]
        assert own["captured"]["none"][:2] == [values, False]


def test_what_cannot_be_done_is_said_in_a_sentence(found):
    gpus, error, missing, alone, together = found[0]["refused"]
    assert gpus.endswith(" has 2 ranks and 1 GPU that they see: start one rank a GPU, or give --device cpu.")
    assert error == "NCCL cannot go on (NCCL_ERROR_SYSTEM_ERROR): NCCL_DEBUG=WARN in the environment makes it say why."
    assert missing.startswith("2 ranks on GPUs need NCCL, which CuPy does not find: pip install 'cldl[nccl13]'")
    assert alone.startswith("a step of 5 images needs ")
    assert alone.endswith("give --batch-size 1 or less.")
    assert together.startswith("a step of 2 images needs ")
    assert together.endswith("give --batch-size 2 or less.")


def test_a_run_on_two_gpus_of_which_one_dies_is_resumed_and_learns_what_one_cpu_does(tmp_path, monkeypatch):
    options = [*TWO, "--batch-size", "2", "--limit-train", "4", "--limit-test", "2", "--epochs", "2"]
    two = ["--device", "cuda", "--run", tmp_path / "two"]
    command = 2, "tests.cuda.of_ranks"
    variables = {**SIMULATED, "PYTHONWARNINGS": "ignore"}
    out, error, status = mpiexec(*command, "killed", 1, *options, *two, **variables)
    assert status != 0
    assert "simulated GPU, products in float32 by Blas, for each of 2 ranks" in out
    assert "the run ended with one of its ranks; continue with: mpiexec -n 2 " in error
    assert weights(tmp_path / "two")[1] == 1
    out, error, status = mpiexec(*command, "none", 0, "--resume", *two, **variables)
    assert (error, status) == ("", 0)
    alone(monkeypatch)
    assert synthetic.command(*options, "--device", "cpu", "--run", tmp_path / "one") == 0
    (one, _), (both, epoch) = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert epoch == 2
    for name, value in one.items():
        assert np.abs(value - both[name]).max() <= 1e-5 * np.abs(value).max(), name


def test_ranks_on_other_devices_are_refused(tmp_path):
    """One of them finds a GPU."""
    _, error, status = mpiexec(2, "tests.of_ranks", "device", 1, *TWO, "--epochs", "1", "--run", tmp_path / "run")
    assert "error: rank 1 on " in error
    assert error.endswith(" has another device than rank 0 (cuda, not cpu): " + SAME_DEVICE + ".\n")
    assert status == 2


def test_the_check_of_two_real_gpus_runs_on_simulated_ones():
    out, _, status = mpiexec(2, "tests.cuda.two_gpus", **SIMULATED, PYTHONWARNINGS="ignore")
    assert " for each of 2 ranks: " in out
    assert out.endswith(" apart from one, bits of two runs alike, graph: none\n")
    assert status == 0
