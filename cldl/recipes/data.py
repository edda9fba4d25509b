"""What a network is trained on, and what is done to the images on their way into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cldl.recipes.spec import Spec
from data import registry
from data.dataset import Dataset
from data.fetch.download import Say, quiet
from data.registry import IMAGES, LOADERS
from data.transforms.augmentation import CropFlip
from data.transforms.preprocessing import KINDS, Contrast, Preprocessing, Scale, fitted
from engine.typing import Array, Shape

SIZES = 32, 64  # pixels: the least and the most side of images whose size is chosen by them


@dataclass(frozen=True, kw_only=True)
class DataSpec(Spec):
    """Images of a registered data set.

    dataset       -- the data set's name
    preprocessing -- "scale" (pixels / 255), "gcn", or one that is fitted (see `data.transforms.preprocessing`)
    augment       -- random crops of the image with 4 zeros around it, and reflections

    checked_at -- changes of a recipe that make its images small enough for a check of the network from pixels to loss
    """

    section: ClassVar[str] = "data"
    kind: ClassVar[str] = "images"
    checked_at: ClassVar[Mapping[str, Any]] = {}
    dataset: str
    preprocessing: str
    augment: bool

    def check(self) -> None:
        self.check_choice(LOADERS, "dataset")
        self.check_choice(("scale", "gcn", *KINDS), "preprocessing")

    @property
    def image_shape(self) -> Shape | None:
        """(H, W, C); None where it follows from the images."""
        return IMAGES[self.dataset][0]

    @property
    def classes(self) -> int:
        """K."""
        return IMAGES[self.dataset][1]

    def load(
        self,
        cache: Path | None = None,
        data: Path | None = None,
        say: Say = quiet,
        *,
        sizes: tuple[int, int] = SIZES,
    ) -> Dataset:
        """The whole data set (see `data.registry`); where the images have no size yet, they are given one of `sizes`."""
        return registry.load(self.dataset, cache, data, say)

    def found(self, dataset: Dataset) -> dict[str, Any]:
        """The values that only the data set tells, by leaf."""
        return {}

    def read_image(self, path: Path, shape: Shape) -> Array:
        """The image in a file, as by `decode_image`; raises UserError for a file that cannot be read, too."""
        from data.pictures.files import picture_bytes

        return self.decode_image(picture_bytes(path), str(path), shape)

    def decode_image(self, data: bytes, name: str, shape: Shape) -> Array:
        """The image in the bytes of a file as one of the data set's, of a network's shape (H, W, C), uint8.

        Raises:    UserError, a sentence that begins with `name`, where there is none.
        """
        from data.pictures.digits import decode_digit
        from data.pictures.files import fit_picture

        height, width, channels = shape
        return decode_digit(data, name) if channels == 1 else fit_picture(data, name, height, width)

    def build_preprocessing(self, dataset: Dataset, folder: Path | None = None, say: Say = quiet) -> Preprocessing:
        """From bytes to the network's input; a fit is read from the folder, or stored there, if one is given."""
        return self.fixed_preprocessing() or fitted(self.preprocessing, dataset, folder, say)

    def fixed_preprocessing(self) -> Preprocessing | None:
        """The preprocessing, where it needs no data set to be fitted on."""
        fixed: dict[str, Preprocessing] = {"scale": Scale(), "gcn": Contrast()}
        return fixed.get(self.preprocessing)

    def build_augmentation(self) -> CropFlip | None:
        """What varies the training images, if anything."""
        return CropFlip() if self.augment else None
