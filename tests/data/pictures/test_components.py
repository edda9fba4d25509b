"""Connected components and boxes, against their definitions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.pictures.boxes import box_sums, dilate, thickness
from data.pictures.components import components

masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def flooded(mask):
    """The sets of pixels that hang together, by following each to its eight neighbours."""
    left, found = {tuple(p) for p in np.argwhere(mask)}, []
    while left:
        reached, new = set(), {left.pop()}
        while new:
            reached |= new
            new = {(y + i, x + j) for y, x in new for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= new
        found.append(reached)
    return found


@given(masks)
def test_components_are_what_a_flood_reaches(mask):
    labels, found = components(mask)
    assert sorted(map(sorted, flooded(mask))) == sorted(
        sorted(map(tuple, np.argwhere(labels == c.label).tolist())) for c in found
    )
    np.testing.assert_array_equal(labels > 0, mask)


@given(masks)
def test_a_component_knows_its_area_its_box_and_whether_it_touches_the_edge(mask):
    labels, found = components(mask)
    for c in found:
        rows, columns = np.nonzero(labels == c.label)
        assert c.area == len(rows)
        assert (c.top, c.bottom, c.left, c.right) == (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
        at_edge = (rows == 0) | (columns == 0) | (rows == mask.shape[0] - 1) | (columns == mask.shape[1] - 1)
        assert c.touches_edge(mask.shape) == at_edge.any()


@given(masks, st.integers(0, 4))
def test_box_sums_are_sums_over_slices(mask, reach):
    sums = box_sums(mask, reach)
    for y, x in np.ndindex(mask.shape):
        box = mask[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        assert sums[y, x] == box.sum()
        assert dilate(mask, reach)[y, x] == box.any()


@given(masks)
def test_thickness_is_the_side_of_the_largest_square_inside(mask):
    squares = [
        side
        for side in range(1, min(mask.shape) + 1)
        for y in range(mask.shape[0] - side + 1)
        for x in range(mask.shape[1] - side + 1)
        if mask[y : y + side, x : x + side].all()
    ]
    assert thickness(mask) == max(squares, default=0)
