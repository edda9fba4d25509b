"""Ruled lines go, and what is written across them stays."""

import numpy as np
import pytest

from data.pictures.components import components
from data.pictures.lines import without_lines

H, W = 160, 200


def ruled(slope=0.0, step=30, thick=2):
    rows, columns = np.indices((H, W))
    return (rows + np.rint(slope * columns).astype(int)) % step < thick


@pytest.mark.parametrize("slope", [0, 0.02, -0.05, 0.08])
@pytest.mark.parametrize("thick", [1, 2, 3])
def test_lines_go_whatever_their_slope(slope, thick):
    mask = ruled(slope, thick=thick)
    for turned in (mask, np.ascontiguousarray(mask.T)):
        cleaned = without_lines(turned)
        assert cleaned.sum() < 0.1 * mask.sum()
        assert all(c.touches_edge(cleaned.shape) for c in components(cleaned)[1])  # what is left in a corner


def test_a_stroke_across_lines_keeps_all_of_its_pixels():
    stroke = np.zeros((H, W), bool)
    stroke[20:140, 90:100] = True
    cleaned = without_lines(ruled() | stroke)
    assert cleaned[stroke].all()
    assert cleaned.sum() - stroke.sum() < 40  # what stands beside it of a line


def test_strokes_that_do_not_reach_both_sides_are_no_lines():
    mask = np.zeros((H, W), bool)
    mask[50:53, 10:190] = mask[100:103, :150] = mask[20:140, 60:63] = True
    np.testing.assert_array_equal(without_lines(mask), mask)


def test_a_band_is_no_line():
    mask = np.zeros((H, W), bool)
    mask[:20] = True
    np.testing.assert_array_equal(without_lines(mask), mask)
