"""The table of early exit."""

from types import SimpleNamespace

from cldl.reporting.exits import rows
from cldl.training.early_exit import Kept


def test_points_of_error_that_allow_the_same_threshold_share_a_row():
    thresholds = [0.9, 0.5, 0.5, 0.5, 0.3]
    kept = [
        Kept(above, threshold, error=1.0, cost=0.5, time=0.6, shares=(60.0, 40.0))
        for above, threshold in zip((0, 0.05, 0.1, 0.2, 1), thresholds, strict=True)
    ]
    found = rows(SimpleNamespace(kept=kept))
    assert [row[:2] for row in found] == [("+0", "0.900000"), ("+0.05 to +0.2", "0.500000"), ("+1", "0.300000")]
    assert found[0][2:] == ("1.00", "50.0 %", "60.0 %", "60.0 %", "40.0 %")
