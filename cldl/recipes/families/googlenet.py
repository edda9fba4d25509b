"""CLDL on GoogLeNet, and GoogLeNet as published: ImageNet and Places205, with the published solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.recipes.deep import DeepSpec, photographs
from cldl.recipes.families.nin import MNIST_NIN
from cldl.recipes.losses import SoftmaxSpec
from cldl.recipes.optimisers import SGDSpec
from cldl.recipes.schedules import PolynomialSpec
from cldl.recipes.sources import POSTER
from cldl.recipes.spec import cited

GOOGLENET = "BVLC/caffe, models/bvlc_googlenet"
DEFINITION = GOOGLENET + "/train_val.prototxt"
SOLVER = GOOGLENET + "/quick_solver.prototxt"
NO_RAMP = "one momentum throughout"
PLACES = "natanielruiz/net-archive, places205-googlenet"


@dataclass(frozen=True, kw_only=True)
class GoogLeNetSpec(DeepSpec):
    """GoogLeNet (see `cldl.models.googlenet`)."""

    kind: ClassVar[str] = "googlenet"
    definitions: ClassVar[Mapping[str, str]] = {"googlenet": "GoogLeNet"}
    published_classifiers: ClassVar[int] = 3
    checked_at: ClassVar[Mapping[str, Any]] = {
        **DeepSpec.checked_at,
        "width": 1 / 8,
        "initialisation": "published",
    }


IMAGENET_GOOGLENET = MNIST_NIN.changed(
    name="imagenet_googlenet",
    summary="CLDL on ImageNet: GoogLeNet with three classifiers",
    data=photographs("imagenet", 224, "warp", (256, 256), 256, DEFINITION + "; Caffe's examples/imagenet: 256 x 256"),
    model=cited(
        GoogLeNetSpec(
            definition=cited("googlenet", DEFINITION),
            classifiers=cited(3, POSTER + ": three classifiers are used"),
            dropout=cited(0.4, DEFINITION),
            initialisation=cited("published", DEFINITION + ": xavier, biases 0.2"),
            bias_lr_mult=cited(2.0, DEFINITION),
            lower_lr_mult=cited(1.0, DEFINITION + ": one rate for all"),
            body_lr_mult=cited(1.0, DEFINITION + ": one rate for all"),
            width=cited(1.0, DEFINITION),
        ),
        POSTER,
    ),
    optimiser=cited(
        SGDSpec(
            momentum=cited(0.9, SOLVER),
            nesterov=cited(False, SOLVER),
            weight_decay=cited(2e-4, SOLVER),
            penalty=cited("l2", SOLVER),
        ),
        SOLVER,
    ),
    schedule=cited(
        PolynomialSpec(
            learning_rate=cited(0.01, SOLVER),
            warmup=cited(0.0, SOLVER + ": none"),
            power=cited(0.5, SOLVER),
            min_lr_ratio=cited(0.0, SOLVER),
            decay_epochs=cited(None, SOLVER + ": the schedule ends with the run"),
            momentum_ramp=cited(None, SOLVER + ": " + NO_RAMP),
            epochs=cited(60, SOLVER + ": 2,400,000 steps of 32 of 1,281,167 images"),
            batch_size=cited(32, DEFINITION),
        ),
        SOLVER,
    ),
)

IMAGENET_GOOGLENET_SOFTMAX = IMAGENET_GOOGLENET.changed(
    name="imagenet_googlenet_softmax",
    summary="GoogLeNet on ImageNet as published: the lower two at 0.3",
    loss=cited(
        SoftmaxSpec(
            weights=cited((0.3, 0.3, 1.0), DEFINITION), companion_epochs=cited(None, DEFINITION + ": to the end")
        ),
        DEFINITION,
    ),
)

PLACES205_GOOGLENET = IMAGENET_GOOGLENET_SOFTMAX.changed(
    name="places205_googlenet",
    summary="GoogLeNet on Places205 as published: the lower two at 0.3",
    dataset=cited("places205", PLACES),
    n_classes=cited(205, PLACES),
    epochs=cited(125, PLACES + ": tested after 2,400,000 steps of 128 of 2,448,873 images"),
    batch_size=cited(128, PLACES),
)

MODELS = {"googlenet": IMAGENET_GOOGLENET.model}
RECIPES = (IMAGENET_GOOGLENET, IMAGENET_GOOGLENET_SOFTMAX, PLACES205_GOOGLENET)
