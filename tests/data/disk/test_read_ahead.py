import copy
import threading

import numpy as np
import pytest

from data.disk import read_ahead
from data.disk.read_ahead import ReadAhead
from engine.errors import UserError
from engine.random import Key


class Slow:
    """Images whose every pixel is the index, plus what was drawn; it counts what is read, and can wait for a signal."""

    labels, shape, fingerprint = np.arange(40) % 3, (2, 2, 3), "slow"

    def __init__(self, offset=0, log=None):
        self.offset, self.read_indices, self.go, self.broken = (
            offset,
            [] if log is None else log,
            threading.Event(),
            None,
        )
        self.go.set()

    def __len__(self):
        return 40

    def varied(self, key):
        return Slow(100 + key.word % 100, self.read_indices)

    def read(self, indices, out):
        assert self.go.wait(10)
        self.read_indices.extend(np.asarray(indices).tolist())
        if self.broken in indices:
            raise UserError("image is damaged")
        out[...] = np.asarray(indices)[:, None, None, None] + self.offset


def first_pixels(reader, indices):
    out = np.empty((len(indices), 2, 2, 3), np.uint8)
    reader.read(np.array(indices), out)
    return out[:, 0, 0, 0].tolist()


def batches(size=7):
    order = Key(0).permutation(40)
    return [order[i : i + size] for i in range(0, 40, size)]


@pytest.mark.parametrize("threads", [1, 3])
def test_every_batch_is_read_once_and_holds_its_own_images(threads):
    reader = ReadAhead(Slow(), threads)
    parts = batches()
    for batch, after in zip(parts, [*parts[1:], np.empty(0, np.int64)], strict=True):
        reader.prepare(batch, after)
        assert first_pixels(reader, batch[2:5]) == batch[2:5].tolist()
        assert first_pixels(reader, batch) == batch.tolist()
    assert sorted(reader.split.read_indices) == list(range(40))


def test_the_next_batch_is_read_while_this_one_is_used():
    split = Slow()
    reader = ReadAhead(split, 2)
    reader.prepare(np.arange(8), np.arange(0))
    split.go.clear()
    reader.prepare(np.arange(8), np.arange(8, 16))  # it does not wait for them
    assert first_pixels(reader, range(8)) == list(range(8))
    split.go.set()
    reader.prepare(np.arange(8, 16), np.arange(0))
    assert first_pixels(reader, range(8, 16)) == list(range(8, 16))


def test_the_time_for_which_a_batch_is_waited_is_added_up(monkeypatch):
    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

    class Timed(Slow):
        def read(self, indices, out):
            super().read(indices, out)
            clock.now += 2.5

    clock = Clock()
    monkeypatch.setattr(read_ahead, "time", clock)
    reader = ReadAhead(Timed(), 1)
    reader.prepare(np.arange(4), np.arange(0))
    assert reader.waited == 2.5
    reader.prepare(np.arange(4), np.arange(0))
    assert reader.waited == 2.5
    reader.prepare(np.arange(4, 12), np.arange(0))
    assert reader.waited == 7.5


def test_a_batch_that_was_not_announced_is_read_all_the_same():
    reader = ReadAhead(Slow(), 2)
    reader.prepare(np.arange(8), np.arange(8, 16))
    reader.prepare(np.arange(20, 30), np.arange(0))
    assert first_pixels(reader, range(20, 30)) == list(range(20, 30))
    assert first_pixels(reader, [39, 3]) == [39, 3]


def test_what_is_drawn_anew_replaces_what_was_read_ahead():
    reader = ReadAhead(Slow(), 2)
    reader.prepare(np.arange(8), np.arange(8, 16))
    reader.vary(Key(5))
    reader.prepare(np.arange(8, 16), np.arange(0))
    assert first_pixels(reader, range(8, 16)) == [105 + i for i in range(8, 16)]


def test_the_first_batch_of_the_next_epoch_is_read_as_it_will_be_drawn():
    reader, first = ReadAhead(Slow(), 2), np.arange(4, 12)
    reader.prepare(np.arange(8), first, Key(5))
    assert first_pixels(reader, range(8)) == list(range(8))
    assert first_pixels(reader, first) == list(range(4, 12))  # asked for in this epoch, they are as in this epoch
    del reader.split.read_indices[:]
    reader.vary(Key(5))
    reader.prepare(first, np.arange(12, 16))
    assert first_pixels(reader, first) == [105 + i for i in range(4, 12)]
    reader.prepare(np.arange(12, 16), np.arange(0))
    assert first_pixels(reader, range(12, 16)) == [105 + i for i in range(12, 16)]
    assert sorted(set(reader.split.read_indices)) == list(range(12, 16))  # the first batch was read before


def test_where_another_epoch_follows_than_was_announced_what_was_read_is_dropped():
    reader = ReadAhead(Slow(), 2)
    reader.prepare(np.arange(8), np.arange(8), Key(5))
    reader.vary(Key(6))
    reader.prepare(np.arange(8), np.arange(0))
    assert first_pixels(reader, range(8)) == [106 + i for i in range(8)]


def test_an_image_that_cannot_be_read_stops_the_batch_that_it_belongs_to():
    split = Slow()
    split.broken = 10
    reader = ReadAhead(split, 2)
    reader.prepare(np.arange(8), np.arange(8, 16))
    assert first_pixels(reader, range(8)) == list(range(8))
    for _ in range(2):
        with pytest.raises(UserError, match="image is damaged"):
            reader.prepare(np.arange(8, 16), np.arange(0))
    split.broken = None
    reader.prepare(np.arange(8, 16), np.arange(0))
    assert first_pixels(reader, range(8, 16)) == list(range(8, 16))


def test_it_is_the_split_and_can_be_copied():
    reader = ReadAhead(Slow(), 2)
    assert (len(reader), reader.shape, reader.fingerprint) == (40, (2, 2, 3), "slow")
    np.testing.assert_array_equal(reader.labels, Slow.labels)
    twin = copy.copy(reader)
    twin.prepare(np.arange(4), np.arange(0))
    assert first_pixels(twin, range(4)) == list(range(4))
