"""AlexNet on Places205, with the solver published for ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.recipes.deep import DeepSpec, photographs
from cldl.recipes.families.nin import MNIST_NIN
from cldl.recipes.losses import CrossEntropySpec
from cldl.recipes.optimisers import SGDSpec
from cldl.recipes.schedules import StepSpec
from cldl.recipes.sources import INFERRED
from cldl.recipes.spec import cited

ALEXNET = "BVLC/caffe, models/bvlc_alexnet"
SOLVER = ALEXNET + "/solver.prototxt"
AS_ALEXNET = "inferred: as " + SOLVER + "; that of Places205-CNN was not published"
PLACES = "natanielruiz/net-archive, places205-alexnet"
STEPS_AN_EPOCH = 2_448_873 / 256  # of Places205


@dataclass(frozen=True, kw_only=True)
class AlexNetSpec(DeepSpec):
    """AlexNet (see `cldl.models.alexnet`)."""

    kind: ClassVar[str] = "alexnet"
    definitions: ClassVar[Mapping[str, str]] = {"alexnet": "AlexNet", "places_alexnet": "Places-AlexNet"}
    checked_at: ClassVar[Mapping[str, Any]] = {**DeepSpec.checked_at, "size": 67}


PLACES205_ALEXNET = MNIST_NIN.changed(
    name="places205_alexnet",
    summary="AlexNet on Places205, with AlexNet's published schedule",
    data=photographs("places205", 227, "warp", (256, 256), 256, PLACES + "; Caffe's examples/imagenet: 256 x 256"),
    model=cited(
        AlexNetSpec(
            definition=cited("places_alexnet", PLACES),
            classifiers=cited(1, PLACES),
            dropout=cited(0.5, PLACES),
            initialisation=cited("published", "BVLC/caffe, models/bvlc_reference_caffenet"),
            bias_lr_mult=cited(2.0, ALEXNET),
            lower_lr_mult=cited(1.0, INFERRED),
            body_lr_mult=cited(1.0, ALEXNET + ": one rate for all"),
            width=cited(1.0, PLACES),
        ),
        PLACES,
    ),
    loss=cited(CrossEntropySpec(), PLACES),
    optimiser=cited(
        SGDSpec(
            momentum=cited(0.9, AS_ALEXNET),
            nesterov=cited(False, AS_ALEXNET),
            weight_decay=cited(5e-4, AS_ALEXNET),
            penalty=cited("l2", AS_ALEXNET),
        ),
        AS_ALEXNET,
    ),
    schedule=cited(
        StepSpec(
            learning_rate=cited(0.01, AS_ALEXNET),
            warmup=cited(0.0, AS_ALEXNET),
            milestones=cited(
                tuple(round(n * 100_000 / STEPS_AN_EPOCH, 2) for n in (1, 2, 3, 4)),
                AS_ALEXNET + ": every 100,000 steps",
            ),
            gamma=cited(0.1, AS_ALEXNET),
            momentum_ramp=cited(None, AS_ALEXNET),
            epochs=cited(47, AS_ALEXNET + ": 450,000 steps"),
            batch_size=cited(256, AS_ALEXNET),
        ),
        AS_ALEXNET,
    ),
)

RECIPES = (PLACES205_ALEXNET,)
MODELS = {name: PLACES205_ALEXNET.model.named(name) for name in AlexNetSpec.definitions}
