"""CLDL on VGG networks, and the networks alone: scenes of MIT67, SUN397 and Places205."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.models.vgg import STAGES
from cldl.recipes.deep import CLASSES, DeepSpec, photographs
from cldl.recipes.families.nin import MNIST_NIN, one_classifier
from cldl.recipes.optimisers import SGDSpec
from cldl.recipes.schedules import StepSpec
from cldl.recipes.sources import INFERRED, POSTER, UNTRIED
from cldl.recipes.spec import cited

VGG = "Simonyan and Zisserman, ICLR 2015, section 3.1"
DEFINITION = "wanglimin/Places205-VGGNet"
DROPS = UNTRIED + ": three times, after equal parts; " + VGG + ": when the error on held-out images stops falling"


@dataclass(frozen=True, kw_only=True)
class VggSpec(DeepSpec):
    """A VGG network (see `cldl.models.vgg`)."""

    kind: ClassVar[str] = "vgg"
    definitions: ClassVar[Mapping[str, str]] = {f"vgg{depth}": f"VGG{depth}" for depth in STAGES}


PLACES205_VGG11 = MNIST_NIN.changed(
    name="places205_vgg11",
    summary="CLDL on Places205: VGG-11 with three classifiers",
    data=photographs("places205", 224, "short", (256, 512), 384, VGG),
    model=cited(
        VggSpec(
            definition=cited("vgg11", POSTER),
            classifiers=cited(3, POSTER + ": three classifiers are used"),
            dropout=cited(0.5, VGG),
            initialisation=cited("published", VGG + ": N(0, 0.01^2), biases 0; deeper ones by Glorot and Bengio"),
            bias_lr_mult=cited(2.0, INFERRED + "; as in Caffe's networks"),
            lower_lr_mult=cited(1.0, INFERRED),
            body_lr_mult=cited(1.0, VGG + ": one rate for all"),
            width=cited(1.0, DEFINITION),
        ),
        POSTER,
    ),
    optimiser=cited(
        SGDSpec(
            momentum=cited(0.9, VGG),
            nesterov=cited(False, VGG),
            weight_decay=cited(5e-4, VGG),
            penalty=cited("l2", VGG),
        ),
        VGG,
    ),
    schedule=cited(
        StepSpec(
            learning_rate=cited(0.01, VGG),
            warmup=cited(0.0, VGG + ": none"),
            milestones=cited((10.0, 20.0, 30.0), DROPS),
            gamma=cited(0.1, VGG),
            momentum_ramp=cited(None, VGG + ": one momentum throughout"),
            epochs=cited(39, VGG + ": 370,000 steps; of 256 of 2,448,873 images"),
            batch_size=cited(256, VGG),
        ),
        VGG,
    ),
)

PLACES205_VGG11_SOFTMAX = PLACES205_VGG11.changed(
    name="places205_vgg11_softmax",
    summary="VGG-11 on Places205: one classifier",
    **one_classifier(PLACES205_VGG11),
)


def deeper(depth: int) -> dict[str, Any]:
    """What makes another VGG network of a recipe of VGG-11."""
    return {"definition": cited(f"vgg{depth}", DEFINITION)}


PLACES205_VGG13 = PLACES205_VGG11_SOFTMAX.changed(
    name="places205_vgg13", summary="VGG-13 on Places205: one classifier", **deeper(13)
)

PLACES205_VGG16 = PLACES205_VGG11_SOFTMAX.changed(
    name="places205_vgg16", summary="VGG-16 on Places205: one classifier", **deeper(16)
)


def on_few_images(dataset: str, epochs: int) -> dict[str, Any]:
    """What makes a recipe for a smaller data set of one for Places205: more epochs, smaller batches."""
    return {
        "dataset": cited(dataset, POSTER),
        "n_classes": cited(CLASSES[dataset], POSTER),
        "milestones": cited(tuple(epochs * part / 4 for part in (1, 2, 3)), DROPS),
        "epochs": cited(
            epochs, UNTRIED + ": from the beginning, where others begin with the weights of a larger data set"
        ),
        "batch_size": cited(64, UNTRIED + ": 256 in " + VGG),
    }


MIT67_VGG11 = PLACES205_VGG11.changed(
    name="mit67_vgg11",
    summary="CLDL on MIT67: VGG-11 with three classifiers",
    **on_few_images("mit67", 200),
)

MIT67_VGG11_SOFTMAX = MIT67_VGG11.changed(
    name="mit67_vgg11_softmax",
    summary="VGG-11 on MIT67: one classifier",
    **one_classifier(MIT67_VGG11),
)

SUN397_VGG16 = PLACES205_VGG11.changed(
    name="sun397_vgg16",
    summary="CLDL on SUN397: VGG-16 with three classifiers",
    definition=cited("vgg16", POSTER),
    **on_few_images("sun397", 100),
)

SUN397_VGG16_SOFTMAX = SUN397_VGG16.changed(
    name="sun397_vgg16_softmax",
    summary="VGG-16 on SUN397: one classifier",
    **one_classifier(SUN397_VGG16),
)

RECIPES = (
    PLACES205_VGG11,
    PLACES205_VGG11_SOFTMAX,
    PLACES205_VGG13,
    PLACES205_VGG16,
    MIT67_VGG11,
    MIT67_VGG11_SOFTMAX,
    SUN397_VGG16,
    SUN397_VGG16_SOFTMAX,
)
MODELS = {name: PLACES205_VGG11.model.named(name) for name in VggSpec.definitions}
