"""Linear classifiers on the features of networks that were trained on Places205, or ImageNet: scenes of MIT67 and SUN397."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.models.features import linear_on_features
from cldl.recipes.deep import CLASSES, NamedSpec
from cldl.recipes.families.alexnet import PLACES205_ALEXNET
from cldl.recipes.families.cnds import PLACES205_CNDS8
from cldl.recipes.families.googlenet import PLACES205_GOOGLENET
from cldl.recipes.families.vgg import PLACES205_VGG11
from cldl.recipes.losses import HingeSpec
from cldl.recipes.optimisers import SGDSpec
from cldl.recipes.recipe import Recipe
from cldl.recipes.schedules import CosineSpec
from cldl.recipes.sources import POSTER, UNTRIED
from cldl.recipes.spec import cited
from engine.typing import Shape
from layers.network import Network

README = "wanglimin/Places205-VGGNet, README: features of fc6, divided by their length"
AS_VGG = UNTRIED + ": as " + README
SVM = UNTRIED + ": the usual linear classifier of features"
METHODS = {  # the poster's names for the features of these networks
    "alexnet": "AlexNet",
    "places_alexnet": "Places-AlexNet",
    "cnds8": "Places-CNDS8",
    "googlenet": "Places-GoogLeNet",
    "vgg11": "Places205-VGG11",
    "vgg13": "Places205-VGG13",
    "vgg16": "Places205-VGG16",
    "vgg19": "Deep19",
}


@dataclass(frozen=True, kw_only=True)
class FeaturesSpec(NamedSpec):
    """A linear classifier on a layer of a deep network (see `cldl.models.features`).

    layer        -- the node that gives the features
    body_lr_mult -- multiplies the learning rate of the network below the classifier; 0: it stays as it is
    """

    kind: ClassVar[str] = "features"
    checked_at: ClassVar[Mapping[str, Any]] = {**NamedSpec.checked_at, "size": 67, "body_lr_mult": 1.0}
    definitions: ClassVar[Mapping[str, str]] = METHODS
    layer: str
    body_lr_mult: float

    def make(self, image: Shape, classes: int) -> Network:
        body = super().make(image, classes)
        return linear_on_features(body, self.layer, classes, initialisation=self.initialisation)


def features(dataset: str, name: str, network: str, layer: str, base: Recipe, what: str) -> Recipe:
    """The recipe of a linear classifier on a network's features; its images are seen as in the tests of the recipe `base`."""
    source = README if network.startswith("vgg") else AS_VGG
    return base.changed(
        name=f"{dataset}_{name}_features",
        summary=what,
        dataset=cited(dataset, POSTER),
        n_classes=cited(CLASSES[dataset], POSTER),
        augment=cited(False, UNTRIED + ": the features of the crop in the middle"),
        model=cited(
            FeaturesSpec(
                definition=cited(network, POSTER),
                layer=cited(layer, source),
                dropout=cited(0.0, UNTRIED + ": features are those of a test"),
                initialisation=cited("published", UNTRIED + ": the classifier begins at 0, the body is not trained"),
                bias_lr_mult=cited(1.0, SVM),
                body_lr_mult=cited(0.0, source),
                width=cited(1.0, POSTER),
            ),
            source,
        ),
        loss=cited(HingeSpec(weights=cited((1.0,), SVM), companion_epochs=cited(None, SVM)), SVM),
        optimiser=cited(
            SGDSpec(
                momentum=cited(0.9, SVM),
                nesterov=cited(True, SVM),
                weight_decay=cited(1e-4, SVM + "; C is about 1"),
                penalty=cited("l2", SVM),
            ),
            SVM,
        ),
        schedule=cited(
            CosineSpec(
                learning_rate=cited(0.5, SVM),
                warmup=cited(0.0, SVM),
                min_lr_ratio=cited(0.0, SVM),
                decay_epochs=cited(None, SVM),
                momentum_ramp=cited(None, SVM),
                epochs=cited(50, SVM),
                batch_size=cited(64, SVM),
            ),
            SVM,
        ),
    )


BODIES = {  # network, layer, the recipe of its images
    "alexnet": ("places_alexnet", "fc6_relu", PLACES205_ALEXNET),
    "cnds8": ("cnds8", "fc6_relu", PLACES205_CNDS8),
    "googlenet": ("googlenet", "head_top.mean", PLACES205_GOOGLENET),
    "vgg11": ("vgg11", "fc6_relu", PLACES205_VGG11),
    "vgg13": ("vgg13", "fc6_relu", PLACES205_VGG11),
    "vgg16": ("vgg16", "fc6_relu", PLACES205_VGG11),
    "vgg19": ("vgg19", "fc6_relu", PLACES205_VGG11),
}
RECIPES = tuple(
    features(
        dataset,
        name,
        *body,
        f"Features of {METHODS[body[0]]} with a linear classifier, on {dataset.upper()}",
    )
    for dataset in ("mit67", "sun397")
    for name, body in BODIES.items()
)
MODELS = {"features": next(recipe.model for recipe in RECIPES if recipe.name == "mit67_vgg11_features")}
