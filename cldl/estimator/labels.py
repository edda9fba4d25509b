"""Labels of any type, and the classes that they name."""

from __future__ import annotations

from typing import Any

import numpy as np

from cldl.estimator.arrays import of_one_shape
from cldl.estimator.conventions import DataError, warn_of_column
from engine.typing import Array


def check_y(y: Any, samples: int) -> Array:
    """The labels (N,), one a sample; raises DataError for what are none."""
    if y is None:
        raise DataError("CldlClassifier requires y to be passed, but the target y is None: give the labels.")
    labels = of_one_shape("y", y)
    if labels.dtype.kind not in "biufUSOT":
        raise DataError(f"Unknown label type: y is of dtype {labels.dtype}; give integers, strings or booleans.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        warn_of_column(labels.shape)
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(f"y should be a 1d array, got an array of shape {labels.shape}: give one label to each sample.")
    if len(labels) != samples:
        raise DataError(f"X has {samples} samples and y has {len(labels)} labels: give one to each.")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise DataError("y contains NaN or infinity: leave these samples out.")
        if not (labels == np.round(labels)).all():
            raise DataError("Unknown label type: continuous numbers are no classes; give whole numbers or names.")
    return labels


def find_classes(labels: Array) -> tuple[Array, Array]:
    """The classes (K,) in order, and each label's index among them, (N,); raises DataError for fewer than two classes."""
    try:
        classes, indices = np.unique(labels, return_inverse=True)
    except TypeError:
        kinds = ", ".join(sorted({type(label).__name__ for label in labels}))
        raise DataError(
            f"y holds labels of several types, {kinds}, which have no order: convert them to one."
        ) from None
    if len(classes) < 2:
        raise DataError(f"y holds 1 class, {classes.tolist()[0]!r}: at least 2 classes are needed.")
    return classes, indices.reshape(-1)


def shown_classes(classes: Array) -> str:
    """The first classes, for a sentence."""
    first = ", ".join(repr(k) for k in classes[:3].tolist())
    return first if len(classes) <= 3 else f"{first}, ..."
