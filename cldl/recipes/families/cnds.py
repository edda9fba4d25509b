"""CNDS-8 on Places205, with AlexNet's schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.recipes.deep import DeepSpec
from cldl.recipes.families.alexnet import PLACES205_ALEXNET
from cldl.recipes.losses import SoftmaxSpec
from cldl.recipes.spec import cited

CNDS = "lwwang/Places_CNDS_model, train_val.prototxt"
PAPER = "Wang, Lee, Tu and Lazebnik, arXiv 1505.02496"


@dataclass(frozen=True, kw_only=True)
class CndsSpec(DeepSpec):
    """CNDS-8 (see `cldl.models.cnds`)."""

    kind: ClassVar[str] = "cnds"
    definitions: ClassVar[Mapping[str, str]] = {"cnds8": "Places-CNDS8"}
    published_classifiers: ClassVar[int] = 2
    places: ClassVar[int] = 3
    checked_at: ClassVar[Mapping[str, Any]] = {**DeepSpec.checked_at, "size": 40}


PLACES205_CNDS8 = PLACES205_ALEXNET.changed(
    name="places205_cnds8",
    summary="CNDS-8 on Places205: the branch weighted by 0.4",
    model=cited(
        CndsSpec(
            definition=cited("cnds8", CNDS),
            classifiers=cited(2, CNDS),
            dropout=cited(0.5, CNDS),
            initialisation=cited("published", CNDS),
            bias_lr_mult=cited(2.0, CNDS),
            lower_lr_mult=cited(1.0, CNDS),
            body_lr_mult=cited(1.0, CNDS),
            width=cited(1.0, CNDS),
        ),
        CNDS,
    ),
    loss=cited(
        SoftmaxSpec(
            weights=cited((0.4, 1.0), CNDS + "; in the paper the weight of the branch falls to 0"),
            companion_epochs=cited(None, CNDS + ": to the end"),
        ),
        PAPER,
    ),
)

RECIPES = (PLACES205_CNDS8,)
MODELS = {"cnds8": PLACES205_CNDS8.model}
