"""DAG-CNNs on VGG-19: scenes of MIT67 and SUN397."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.models import build
from cldl.recipes.deep import SIDES, DeepSpec
from cldl.recipes.families.vgg import MIT67_VGG11, SUN397_VGG16
from cldl.recipes.losses import CrossEntropySpec
from cldl.recipes.model import ModelSpec
from cldl.recipes.sources import UNTRIED
from cldl.recipes.spec import cited
from engine.typing import Shape
from layers.network import Network

DAG = "Yang and Ramanan, ICCV 2015"
DEFINITIONS = ("dag_vgg19", "dag_alexnet")


@dataclass(frozen=True, kw_only=True)
class DagCnnSpec(ModelSpec):
    """A DAG-CNN (see `cldl.models.dag_cnn`), all of whose layers with a ReLU are tapped.

    body_lr_mult -- multiplies the learning rate of all layers but those that give scores
    width        -- multiplies the outputs of all layers but the classifiers; 1 is the published network
    """

    kind: ClassVar[str] = "dag_cnn"
    checked_at: ClassVar[Mapping[str, Any]] = DeepSpec.checked_at
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
        return "DAG-CNN"

    def check(self) -> None:
        super().check()
        self.check_choice(DEFINITIONS, "definition")
        self.check_range(0, 1000, "body_lr_mult")
        self.check_range(0.01, 10, "width")

    def make(self, image: Shape, classes: int) -> Network:
        return build(
            self.definition,
            image,
            classes,
            initialisation=self.initialisation,
            dropout=self.dropout,
            width=self.width,
        )


DAG_CNN: dict[str, Any] = {
    "model": cited(
        DagCnnSpec(
            definition=cited("dag_vgg19", DAG + ": Deep19"),
            dropout=cited(0.5, "Simonyan and Zisserman, ICLR 2015, section 3.1"),
            initialisation=cited("published", UNTRIED + ": as vgg; the authors begin with trained weights"),
            bias_lr_mult=cited(2.0, UNTRIED + ": as vgg"),
            body_lr_mult=cited(1.0, UNTRIED + ": one rate for all"),
            width=cited(1.0, DAG),
        ),
        DAG,
    ),
    "loss": cited(CrossEntropySpec(), DAG + ": one softmax on the added scores"),
}

MIT67_DAG_CNN = MIT67_VGG11.changed(
    name="mit67_dag_cnn", summary="DAG-CNN on MIT67: the scores of all layers of VGG-19 added up", **DAG_CNN
)

SUN397_DAG_CNN = SUN397_VGG16.changed(
    name="sun397_dag_cnn", summary="DAG-CNN on SUN397: the scores of all layers of VGG-19 added up", **DAG_CNN
)

MODELS = {name: MIT67_DAG_CNN.model.named(name) for name in DEFINITIONS}
RECIPES = (MIT67_DAG_CNN, SUN397_DAG_CNN)
