"""What every family of networks tells a recipe; a family's own spec is beside its recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from cldl.models.heads import INITIALISERS, check_task
from cldl.recipes.data import SIZES
from cldl.recipes.spec import PRESETS, Spec, cited
from engine.errors import UserError
from engine.typing import Shape
from layers.network import Network


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """A network; a family adds its own fields, `n_classifiers`, `method` and `make`.

    definition     -- which of the family's published definitions
    dropout        -- the probability that a unit is dropped
    initialisation -- "he", or "published": as the definition has it
    bias_lr_mult   -- multiplies the learning rate of all biases

    checked_at -- changes of a recipe that make a network of the same graph, small enough to be checked from pixels to loss
    """

    section: ClassVar[str] = "model"
    checked_at: ClassVar[Mapping[str, Any]] = {"initialisation": "he"}
    definition: str
    dropout: float
    initialisation: str
    bias_lr_mult: float

    @property
    def n_classifiers(self) -> int:
        """M, the number of classifiers."""
        raise NotImplementedError

    @property
    def sizes(self) -> tuple[int, int]:
        """The least and the most side of images that are given a size for it."""
        return SIZES

    @property
    def method(self) -> str | None:
        """The method by which the network was published, as the poster names it; None where the loss decides."""
        raise NotImplementedError

    @property
    def supervised_method(self) -> str | None:
        """The method as which it was published with so many classifiers, each with a loss of its own; None if it was not."""
        return None

    @property
    def label(self) -> str:
        """What a reader calls the network."""
        return self.definition if self.definition in PRESETS["model"] else f"{self.kind} ({self.definition})"

    def named(self, definition: str) -> Self:
        """The same with another definition."""
        return type(self)(**{**self.cited_values, "definition": cited(definition, self.sources["definition"])})

    def following(self, old: ModelSpec, name: str) -> ModelSpec:
        """This preset, called `name`, in the place of another model, of which it keeps what belongs to the training.

        That is the number of classifiers, how weights are drawn, and the rate of the biases. The name of a kind keeps a model of
        this kind as it is.
        """
        if type(old) is type(self) and (name != self.definition or old.definition == name):
            return old
        kept = {leaf: old.cited_values[leaf] for leaf in ("initialisation", "bias_lr_mult")}
        if "classifiers" in self.values:
            kept["classifiers"] = old.cited_values.get("classifiers", cited(old.n_classifiers, "as many as before"))
        return type(self)(**{**self.cited_values, **kept, "definition": cited(self.definition, "command line")})

    def make(self, image: Shape, classes: int) -> Network:
        """The network, its biases learning as fast as the rest."""
        raise NotImplementedError

    def check(self) -> None:
        self.check_range(0, 0.99, "dropout")
        self.check_range(0, 1000, "bias_lr_mult")
        self.check_choice(INITIALISERS, "initialisation")

    def build(self, image: Shape, classes: int) -> Network:
        """The network for images (H, W, C) and K classes; its weights are not drawn yet."""
        check_task(image, classes)
        try:
            network = self.make(image, classes)
        except UserError:
            least = self.sizes[0]
            if min(image[:2]) >= least:  # it is something else
                raise
            raise UserError(
                f"images of {image[0]} x {image[1]} pixels are too small for {self.label}: give {least} x {least} or more, or "
                "choose another model."
            ) from None
        for parameter in network.parameters():
            if parameter.name.endswith("bias"):
                parameter.lr_mult *= self.bias_lr_mult
            if not parameter.name.startswith("head_"):
                parameter.lr_mult *= self.values.get("body_lr_mult", 1.0)
        return network
