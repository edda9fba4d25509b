"""How fast training is and how long it will take, and times as a reader likes them."""

from types import SimpleNamespace

import pytest

from cldl.training import throughput
from cldl.training.throughput import Throughput, duration


def test_the_images_a_second_are_those_of_the_last_steps(monkeypatch):
    now, trainer = [0.0], SimpleNamespace(metrics=SimpleNamespace(samples=0))
    monkeypatch.setattr(throughput.time, "monotonic", lambda: now[0])
    measured = Throughput()
    for seconds in [0.5] * 100 + [0.01] * throughput.WINDOW:
        now[0] += seconds
        trainer.metrics.samples += 8
        measured.step(trainer)
    assert measured.images_per_second == pytest.approx(800)
    now[0] += 0.11
    trainer.metrics.samples += 8
    measured.step(trainer)
    steps = throughput.WINDOW - 1  # between the first and the last end of one that is remembered
    assert measured.images_per_second == pytest.approx(8 * steps / (0.01 * steps + 0.1))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.2, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (7260, "2 h 1 min"),
        (86399, "23 h 59 min"),
        (86400, "1 d 0 h"),
        (90000, "1 d 1 h"),
        (172800, "2 d 0 h"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_time_has_its_two_largest_units(seconds, shown):
    assert duration(seconds) == shown
