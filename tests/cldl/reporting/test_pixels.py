import io
import re

import numpy as np
import pytest
from PIL import Image

from cldl.reporting.pixels import COLUMNS, half_blocks, png

CELL = re.compile(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀")


def colours(text):
    """The pixels (H, W, 3) that a terminal shows, from the codes of its lines."""
    rows = []
    for line in text.splitlines():
        cells = np.array(CELL.findall(line), int).reshape(-1, 2, 3)
        rows += [cells[:, 0], cells[:, 1]]
    return np.array(rows)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_pixel_has_its_colour(channels):
    image = np.random.default_rng(0).integers(0, 256, (6, 5, channels), np.uint8)
    np.testing.assert_array_equal(colours(half_blocks(image, True)), np.broadcast_to(image, (6, 5, 3)))


def test_below_an_odd_last_row_is_black():
    image = np.full((3, 2, 1), 200, np.uint8)
    shown = colours(half_blocks(image, True))
    assert (shown[:3] == 200).all()
    assert (shown[3] == 0).all()


def test_a_wide_image_is_made_smaller_with_its_proportions():
    assert colours(half_blocks(np.zeros((64, 224, 3), np.uint8), True)).shape == (COLUMNS * 64 // 224, COLUMNS, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_has_the_pixels(channels):
    image = np.random.default_rng(0).integers(0, 256, (6, 5, channels), np.uint8)
    picture = Image.open(io.BytesIO(png(image)), formats=("PNG",))
    np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), image)
