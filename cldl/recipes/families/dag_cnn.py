"""DAG-CNNs on VGG-19: scenes of MIT67 and SUN397."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.recipes.deep import NamedSpec
from cldl.recipes.families.vgg import MIT67_VGG11, SUN397_VGG16
from cldl.recipes.losses import CrossEntropySpec
from cldl.recipes.sources import UNTRIED
from cldl.recipes.spec import cited

DAG = "Yang and Ramanan, ICCV 2015"


@dataclass(frozen=True, kw_only=True)
class DagCnnSpec(NamedSpec):
    """A DAG-CNN (see `cldl.models.dag_cnn`), all of whose layers with a ReLU are tapped: these give scores."""

    kind: ClassVar[str] = "dag_cnn"
    definitions: ClassVar[Mapping[str, str]] = {"dag_vgg19": "DAG-CNN", "dag_alexnet": "DAG-CNN"}


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

MODELS = {name: MIT67_DAG_CNN.model.named(name) for name in DagCnnSpec.definitions}
RECIPES = (MIT67_DAG_CNN, SUN397_DAG_CNN)
