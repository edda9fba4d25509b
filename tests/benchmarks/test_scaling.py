"""The simulation of many ranks: its limits are those of the arithmetic."""

import pytest

from benchmarks.scaling import PIECE, Link, Timeline, step_seconds
from engine.runtime.communicator import share

LINE = Timeline(1.0, ((0.5, 3 * PIECE), (0.25, PIECE // 2), (0.25, PIECE // 2), (1.0, PIECE // 4)))


def test_pieces_are_ready_when_their_layers_are_done_and_hold_all_gradients():
    assert LINE.pieces() == [(1.5, 3 * PIECE), (2.0, PIECE), (3.0, PIECE // 4)]
    assert sum(nbytes for _, nbytes in LINE.pieces()) == LINE.nbytes


def test_a_rank_sends_what_is_not_its_own_twice():
    size, n = 1000, 8
    own = share(size, 3, n)
    sent = 2 * (size - (own.stop - own.start))  # the parts of the others, and the sum of its own to all of them
    assert Link(1.0).all_reduce(size, n) == pytest.approx(sent)


def test_on_an_endless_link_all_ranks_are_as_fast_as_one():
    for overlap in (True, False):
        assert step_seconds(LINE, 512, Link(1e30), overlap) == LINE.seconds == 3.0


def test_overlap_hides_all_but_the_last_piece_on_a_fast_link_and_never_costs():
    link = Link(20.0 * PIECE)
    assert step_seconds(LINE, 2, link, True) == pytest.approx(3 + 0.25 / 20)
    assert step_seconds(LINE, 2, link, False) == pytest.approx(3 + 4.25 / 20)
    for bandwidth in (0.1, 1, 10):
        for ranks in (2, 8, 64):
            slow = Link(bandwidth * PIECE, 1e-3, 1e-5)
            assert step_seconds(LINE, ranks, slow, True) <= step_seconds(LINE, ranks, slow, False)
