"""From a photograph of any size to the image that a network takes, as published: resized, cropped, mirrored, its colours shifted.

How a photograph is resized to the scale S:

    "short"   its shorter side becomes S, its proportions stay (Simonyan and Zisserman, ICLR 2015, section 3.1)
    "square"  the same, then the S x S pixels in the middle (Krizhevsky, Sutskever and Hinton, NIPS 2012, section 2)
    "warp"    S x S pixels, whatever its proportions (Caffe's examples/imagenet/create_imagenet.sh)

In training S is drawn anew for each image from a range (scale jitter, ibid.), the crop from all places with equal probability,
and half of the crops are mirrored. The draw depends only on a key and the image, not on batches, chunks,
threads or whether the run was resumed. For a test S is fixed, and the crop is the one in the middle, or one of ten, or one of
GoogLeNet's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engine.errors import UserError
from engine.random import Key
from engine.typing import Array, Shape

if TYPE_CHECKING:
    from data.pictures.decode import Encoded

RESIZES = ("short", "square", "warp")
LONGEST = 4  # times as long as it is wide: an image that is seen whole
CROPS = 10  # of a test image: the middle, four corners, and their reflections
SQUARES = 36  # crops of its squares; at four scales these are GoogLeNet's 144
# Of ImageNet's pixels in 0..1, the principal components as columns: facebookarchive/fb.resnet.torch, datasets/imagenet.lua
COMPONENTS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
VARIANCES = np.array([0.2175, 0.0188, 0.0045])


class Window(NamedTuple):
    """What is taken of a photograph: it is resized to height x width, and cropped from (top, left) on."""

    height: int
    width: int
    top: int
    left: int
    is_mirrored: bool = False
    shift: tuple[float, ...] = ()  # is added to red, green and blue, in 0..255


@dataclass(frozen=True)
class View:
    """How photographs are seen: as images (size, size, 3).

    resize     -- "short", "square" or "warp"
    scales     -- the least and the most of S in training
    test_scale -- S in a test
    mirror     -- whether half of the training images are reflected
    shift      -- the standard deviation of the colour shift, 0 for none: a (normal, for each of three components) times the
                  component of ImageNet's pixels times its variance is added to all pixels (Krizhevsky et al., section 4.1, where
                  it is 0.1); then they are rounded and cut off at 0 and 255, as the authors do not say
    is_random  -- False: training images are seen as in a test

    Raises:    UserError where a scale is smaller than the crop.
    """

    size: int
    resize: str = "short"
    scales: tuple[int, int] = (256, 256)
    test_scale: int = 256
    mirror: bool = True
    shift: float = 0.0
    is_random: bool = True

    def __post_init__(self) -> None:
        least, most = self.scales
        if not 1 <= self.size <= min(least, self.test_scale) or most < least:
            raise UserError(
                f"crops of {self.size} pixels are taken of images resized to {least} to {most} pixels in training and to "
                f"{self.test_scale} in a test: give scales that rise, and are not smaller than the crop."
            )

    @property
    def shape(self) -> Shape:
        """(H, W, C)."""
        return self.size, self.size, 3

    def told(self) -> str:
        """What is seen in a test, in words."""
        how = {
            "short": f"resized so that the shorter side has {self.test_scale} pixels",
            "square": f"resized so that the shorter side has {self.test_scale} pixels, cut to a square",
            "warp": f"resized to {self.test_scale} x {self.test_scale} pixels",
        }
        return f"{how[self.resize]}, then the {self.size} x {self.size} in the middle"

    def draw(self, height: int, width: int, key: Key) -> Window:
        """The window of a photograph of this size in training, drawn from the image's own key."""
        words = key.words(4)
        least, most = self.scales
        H, W, top, left, rows, columns = self._resized(height, width, least + _choose(words[0], most - least + 1))
        shift: tuple[float, ...] = ()
        if self.shift:
            shift = tuple(255 * COMPONENTS @ (self.shift * key.fold(0).normal((3,)) * VARIANCES))
        top, left = top + _choose(words[1], rows), left + _choose(words[2], columns)
        return Window(H, W, top, left, self.mirror and bool(_choose(words[3], 2)), shift)

    def crop(self, height: int, width: int, number: int = 0) -> Window:
        """A window in a test: 0 the middle; 1 to 4 the corners, row by row; 5 to 9 the same, mirrored; 10 to 45 of squares.

        There are three squares: at the beginning, in the middle and at the end of the longer side. Of each there are the
        middle and the corners, then the square itself, resized to the crop; then all of these, mirrored (Szegedy et al.,
        CVPR 2015, section 7). With "square" and "warp" the three are the same.
        """
        if number >= CROPS:
            return self._crop_of_square(height, width, *divmod(number - CROPS, SQUARES // 2))
        H, W, top, left, rows, columns = self._resized(height, width, self.test_scale)
        i, j = _spot(number % 5, rows - 1, columns - 1)
        return Window(H, W, top + i, left + j, number >= 5)

    def _crop_of_square(self, height: int, width: int, is_mirrored: int, number: int) -> Window:
        square, spot = divmod(number, 6)
        S = self.size if spot == 5 else self.test_scale
        H, W, top, left, _, _ = self._resized(height, width, S)
        if self.resize == "short":
            top, left = square * (H - S) // 2, square * (W - S) // 2
        i, j = _spot(spot % 5, S - self.size, S - self.size)
        return Window(H, W, top + i, left + j, bool(is_mirrored))

    def whole(self, height: int, width: int) -> tuple[Window, int, int]:
        """What is seen in a test that takes no crops: a window, and its height and width.

        It is all of the resized image; but "square" leaves the S x S pixels in the middle, and of an image that is more than
        LONGEST times as long as it is wide, the ends are cut off.
        """
        S = self.test_scale
        H, W = self._resized(height, width, S)[:2]
        most = LONGEST * S if self.resize == "short" else S
        rows, columns = min(H, most), min(W, most)
        return Window(H, W, (H - rows) // 2, (W - columns) // 2), rows, columns

    def render_whole(self, image: Encoded) -> Array:
        """The pixels of what is seen without a crop, (height, width, 3) uint8."""
        return _resize(image, *self.whole(image.height, image.width))

    def render(self, image: Encoded, window: Window) -> Array:
        """The pixels of a window, (size, size, 3) uint8."""
        pixels = _resize(image, window, self.size, self.size)
        if window.is_mirrored:
            pixels = pixels[:, ::-1]
        if window.shift:
            pixels = np.clip(np.rint(pixels + np.asarray(window.shift, np.float32)), 0, 255).astype(np.uint8)
        return pixels

    def _resized(self, height: int, width: int, S: int) -> tuple[int, int, int, int, int, int]:
        """The resized image's height and width, the first row and column of a crop, and how many there are to choose from."""
        short, size = min(height, width), self.size
        H, W = (S, S) if self.resize == "warp" else (round(height * S / short), round(width * S / short))
        if self.resize == "short":
            return H, W, 0, 0, H - size + 1, W - size + 1
        return H, W, (H - S) // 2, (W - S) // 2, S - size + 1, S - size + 1


def _resize(image: Encoded, window: Window, rows: int, columns: int) -> Array:
    """So many pixels of the resized image, (rows, columns, 3), from the window's (top, left) on.

    It is computed there alone, by a triangle filter as wide as the reduction (Pillow's BILINEAR).
    """
    from PIL.Image import Resampling

    decoded = image.decode(window.height, window.width)
    x, y = decoded.width / window.width, decoded.height / window.height  # pixels that are decoded for one
    right, bottom = (window.left + columns) * x, (window.top + rows) * y
    box = window.left * x, window.top * y, min(right, decoded.width), min(bottom, decoded.height)
    return np.asarray(decoded.resize((columns, rows), Resampling.BILINEAR, box))


def _spot(number: int, last_row: int, last_column: int) -> tuple[int, int]:
    """The first row and column of a crop: 0 in the middle, 1 to 4 in the corners, row by row."""
    if number == 0:
        return last_row // 2, last_column // 2
    is_below, is_right = divmod(number - 1, 2)
    return is_below * last_row, is_right * last_column


def _choose(word: np.uint64, choices: int) -> int:
    """One of 0 .. choices - 1, by a random word of 32 bits."""
    return int(word) * choices >> 32
