"""Photographs of any size, on the disk: what is trained on, and how they become images of one size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cldl.recipes.data import SIZES, DataSpec
from data import registry
from data.dataset import Dataset
from data.disk.photos import Photos, load_photos
from data.disk.split import decode_file, read_file
from data.disk.views import RESIZES, View
from data.fetch.download import Say, quiet
from data.sources.scenes import PARTITIONS
from data.transforms.preprocessing import KINDS, Contrast, Preprocessing, Scale
from engine.typing import Array, Shape

RGB_MEAN = np.array([123.68, 116.779, 103.939])  # of ImageNet's training images (Simonyan and Zisserman, ICLR 2015)
RGB_STD = 255 * np.array([0.229, 0.224, 0.225])  # torchvision's
ASSUMED_CLASSES = 10  # before the images were looked at


@dataclass(frozen=True, kw_only=True)
class PhotoSpec(DataSpec):
    """Photographs of a registered data set (see `data.disk.views`).

    preprocessing -- "rgb_mean" (the mean colour of ImageNet is subtracted, in 0..255), "rgb_standard" (and the result divided by
                     the standard deviations of its colours), or one of `DataSpec`
    augment       -- whether training crops, their scales, reflections and colours are drawn
    size          -- the crop, in pixels; None: that of the median training image, as far as it fits the network
    resize        -- "short", "square" or "warp"
    min_scale, max_scale, test_scale -- what images are resized to; None: 8/7 of the size, as 256 is of 224
    mirror        -- whether half of the training crops are reflected
    colour_shift  -- the standard deviation of the shift along the principal components of ImageNet's colours
    partition     -- which of SUN397's ten
    n_classes     -- K; None: as the data set has
    """

    section: ClassVar[str] = "data"
    kind: ClassVar[str] = "photos"
    checked_at: ClassVar[Mapping[str, Any]] = {"size": 32}
    size: int | None
    resize: str
    min_scale: int | None
    max_scale: int | None
    test_scale: int | None
    mirror: bool
    colour_shift: float
    partition: int
    n_classes: int | None

    def check(self) -> None:
        self.check_choice(registry.PHOTOS, "dataset")
        self.check_choice(("rgb_mean", "rgb_standard", "scale", "gcn", *KINDS), "preprocessing")
        self.check_choice(RESIZES, "resize")
        self.check_range(8, 1024, "size")
        self.check_range(8, 4096, "min_scale", "max_scale", "test_scale")
        self.check_range(0, 10, "colour_shift")
        self.check_range(1, PARTITIONS, "partition")
        self.check_range(2, 1 << 20, "n_classes")
        if self.size is not None:
            self.view(self.size)

    @property
    def image_shape(self) -> Shape | None:
        """(H, W, C); None where no size is given."""
        return None if self.size is None else (self.size, self.size, 3)

    @property
    def classes(self) -> int:
        """K."""
        return self.n_classes or ASSUMED_CLASSES

    def view(self, size: int) -> View:
        """How images of this size are taken of photographs."""
        usual = round(size * 8 / 7)
        least = self.min_scale or min(usual, self.max_scale or usual)
        scales = least, self.max_scale or max(usual, least)
        return View(size, self.resize, scales, self.test_scale or usual, self.mirror, self.colour_shift, self.augment)

    def load(
        self,
        cache: Path | None = None,
        data: Path | None = None,
        say: Say = quiet,
        *,
        sizes: tuple[int, int] = SIZES,
    ) -> Dataset:
        """The data set as it is seen: an index of its files; images are read when they are needed."""
        photos = load_photos(registry.find_photos(self.dataset, data, self.partition), cache, say)
        return photos.dataset(self.view(self.size or fitting_size(photos, sizes)))

    def found(self, dataset: Dataset) -> dict[str, Any]:
        """The values that only the data set tells, by leaf."""
        found = {"size": dataset.train.shape[0], "n_classes": len(dataset.class_names)}
        return {f"data.{name}": value for name, value in found.items() if getattr(self, name) is None}

    def read_image(self, path: Path, shape: Shape) -> Array:
        """The image in a file as a test sees it, (size, size, 3) uint8; raises UserError where there is none."""
        return read_file(path, self.view(shape[0]))

    def decode_image(self, data: bytes, name: str, shape: Shape) -> Array:
        """The same of the bytes of a file; `name` is what a refusal calls it."""
        return decode_file(data, name, self.view(shape[0]))

    def fixed_preprocessing(self) -> Preprocessing | None:
        """The preprocessing, where it needs no data set to be fitted on."""
        fixed: dict[str, Preprocessing] = {
            "scale": Scale(),
            "gcn": Contrast(),
            "rgb_mean": Scale(RGB_MEAN / 255, np.full(3, 1 / 255)),
            "rgb_standard": Scale(RGB_MEAN / 255, RGB_STD / 255),
        }
        return fixed.get(self.preprocessing)

    def build_augmentation(self) -> None:
        """Nothing: what varies is drawn when an image is read."""


def fitting_size(photos: Photos, sizes: tuple[int, int]) -> int:
    """The shorter side of the median training image, a multiple of 8, but from the least to the most that a network takes."""
    least, most = sizes
    return max(least, min(most, photos.median_side // 8 * 8))
