"""Times as a reader likes them."""

import pytest

from cldl.training.throughput import duration


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
