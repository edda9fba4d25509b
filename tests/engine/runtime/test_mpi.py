"""Three ranks tell each other what they should, and add gradients in one order, overlapped or not."""

import json

import numpy as np
import pytest

from engine.runtime.communicator import ALONE, share
from tests.engine.runtime.test_cpu import N
from tests.of_ranks import mpiexec

RANKS = 3


@pytest.fixture(scope="module")
def found():
    out, error, status = mpiexec(RANKS, "tests.engine.runtime.on_ranks")
    assert (error, status) == ("", 0)
    return json.loads(out)


def test_slices_follow_each_other_cover_the_batch_and_differ_by_one_at_most():
    for n in range(1, 9):
        for samples in range(20):
            slices = [share(samples, rank, n) for rank in range(n)]
            assert [i for s in slices for i in range(s.start, s.stop)] == list(range(samples))
            lengths = [s.stop - s.start for s in slices]
            assert max(lengths) - min(lengths) <= 1


def test_each_rank_knows_its_place(found):
    assert [own["place"] for own in found] == [[rank, RANKS] for rank in range(RANKS)]
    assert [own["share"] for own in found] == [
        [share(N, r, RANKS).start, share(N, r, RANKS).stop] for r in range(RANKS)
    ]


def test_rows_values_and_flags_of_all_ranks_reach_all(found):
    for own in found:
        assert own["rows"]
        assert own["values"] == [{"rank": rank, "text": "é" * rank} for rank in range(RANKS)]
        assert own["broadcast"] == [0, 0, 0]
        assert own["any"] == [True, False]


def test_sums_are_those_in_the_order_of_the_ranks_bit_for_bit(found):
    assert all(own["sums"] == [True, True, True] for own in found)


def test_gradients_have_the_same_bits_on_all_ranks_step_after_step_and_with_or_without_overlap(found):
    for case in found[0]["gradients"]:
        bits = {digest for own in found for digests, _ in own["gradients"][case] for digest in digests}
        assert len(bits) == 1, case


def test_gradients_are_those_of_one_process_to_rounding_errors_whatever_the_threads_and_slices(found):
    for case, (overlapped, _) in found[0]["gradients"].items():
        assert overlapped[1] <= 20 * np.finfo(np.float32).eps, case


def test_alone_there_is_nothing_to_tell():
    array = np.arange(3.0)
    ALONE.gather_rows(array)
    ALONE.broadcast(array)
    ALONE.wait_for_all()
    assert array.tolist() == [0, 1, 2]
    assert (ALONE.rank, ALONE.size, ALONE.is_first, ALONE.share(5)) == (0, 1, True, slice(0, 5))
    assert ALONE.gather("a") == ["a"]
    assert ALONE.any(True)
    assert not ALONE.any(False)
    assert ALONE.gradient_sum(None) is None
