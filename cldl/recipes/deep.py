"""Deep networks as parts of a recipe: what the families of `cldl.models.by_name` share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.models import build
from cldl.models.vgg import STAGES
from cldl.recipes.model import ModelSpec
from cldl.recipes.photos import PhotoSpec
from cldl.recipes.spec import cited
from engine.errors import UserError
from engine.typing import Shape
from layers.network import Network

CLASSES = {"imagenet": 1000, "mit67": 67, "sun397": 397, "places205": 205}

SIDES = {  # of images: the least with which a network is of use, and the published one
    **dict.fromkeys(("alexnet", "places_alexnet", "dag_alexnet"), (67, 227)),
    "cnds8": (40, 227),
    **dict.fromkeys(("googlenet", *(f"vgg{depth}" for depth in STAGES), "dag_vgg19"), (32, 224)),
}


@dataclass(frozen=True, kw_only=True)
class NamedSpec(ModelSpec):
    """A deep network by its name in `cldl.models`, with one classifier.

    body_lr_mult -- multiplies the learning rate of all layers but the classifiers: below 1 for a body that was trained before
    width        -- multiplies the outputs of all layers but the classifiers; 1 is the published network

    definitions -- the names of the family's networks, each with the method as which it was published
    """

    checked_at: ClassVar[Mapping[str, Any]] = {"n_classes": 4, "width": 1 / 16, "initialisation": "he"}
    definitions: ClassVar[Mapping[str, str]]
    body_lr_mult: float = 1.0
    width: float = 1.0

    @property
    def n_classifiers(self) -> int:
        return 1

    @property
    def sizes(self) -> tuple[int, int]:
        return SIDES[self.definition]

    @property
    def method(self) -> str | None:
        return self.definitions[self.definition]

    def check(self) -> None:
        super().check()
        self.check_choice(self.definitions, "definition")
        self.check_range(0, 1000, "body_lr_mult")
        self.check_range(0.01, 10, "width")

    def options(self) -> dict[str, Any]:
        """What `cldl.models.build` is told beside the name, the images and the numbers of classes and classifiers."""
        return {"initialisation": self.initialisation, "dropout": self.dropout, "width": self.width}

    def make(self, image: Shape, classes: int) -> Network:
        return build(self.definition, image, classes, self.n_classifiers, **self.options())


@dataclass(frozen=True, kw_only=True)
class DeepSpec(NamedSpec):
    """The same with classifiers on lower layers, too.

    classifiers   -- M, from the top downwards
    lower_lr_mult -- multiplies the learning rate of the lower classifiers

    published_classifiers -- the M with which it was published; places -- the largest M
    """

    published_classifiers: ClassVar[int] = 1
    places: ClassVar[int] = 5
    classifiers: int
    lower_lr_mult: float

    @property
    def n_classifiers(self) -> int:
        return self.classifiers

    @property
    def method(self) -> str | None:
        return super().method if self.classifiers == 1 else None

    @property
    def supervised_method(self) -> str | None:
        return super().method if self.classifiers == self.published_classifiers else None

    def check(self) -> None:
        super().check()
        if not 1 <= self.classifiers <= self.places:
            raise UserError(
                f"model.classifiers is {self.classifiers}; {self.kind} has places for 1 to {self.places}: choose so many."
            )
        self.check_range(0, 1000, "lower_lr_mult")

    def options(self) -> dict[str, Any]:
        return {**super().options(), "lower_lr_mult": self.lower_lr_mult}


def photographs(
    dataset: str,
    size: int,
    resize: str,
    scales: tuple[int, int],
    test_scale: int,
    source: str,
    colour_shift: float = 0.0,
) -> PhotoSpec:
    """Crops of a data set of photographs as a publication takes them, less the mean colour."""
    spec = PhotoSpec(
        dataset=cited(dataset, source),
        preprocessing=cited("rgb_mean", source),
        augment=cited(True, source),
        size=cited(size, source),
        resize=cited(resize, source),
        min_scale=cited(scales[0], source),
        max_scale=cited(scales[1], source),
        test_scale=cited(test_scale, source),
        mirror=cited(True, source),
        colour_shift=cited(colour_shift, source),
        partition=cited(1, "inferred: the first; SUN397 has ten, whose mean is published"),
        n_classes=cited(CLASSES[dataset], source),
    )
    return cited(spec, "")  # each of its values has a source
