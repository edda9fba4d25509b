"""What the losses and the joint prediction take, checked: logits, labels, lambda and the exponent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.device import on_gpu
from engine.errors import UserError
from engine.typing import REALS, Array, is_real, is_whole


def default_exponent(classifiers: int) -> float:
    """g = 1 / (M - 1), the geometric mean over the companions; 1 where there are none (an empty product is 1)."""
    return 1.0 / (classifiers - 1) if classifiers > 1 else 1.0


def stack(logits: Sequence[Array], weights: Sequence[float] | Array | None, exponent: float | None):
    """The logits as one array (N, M, K), lambda as (M,) and g, checked; raises UserError where they do not fit."""
    checked = check_logits(logits)
    return np.stack(checked, axis=1), check_weights(weights, len(checked)), check_exponent(exponent, len(checked))


def check_inputs(
    logits: Sequence[Array],
    labels: Array,
    weights: Sequence[float] | Array | None,
    exponent: float | None,
    samples: int | None,
) -> tuple[tuple[Array, ...], Array, Array, float]:
    """The logits, the labels as int64, lambda as (M,) and g; raises UserError where they do not fit."""
    checked = check_logits(logits)
    weights, g = check_weights(weights, len(checked)), check_exponent(exponent, len(checked))
    if samples is not None and not (is_whole(samples) and samples > 0):
        raise UserError(f"samples is {samples!r}; the number of samples of the whole batch is needed, 1 or more.")
    return checked, check_labels(labels, checked[0]), weights, g


def check_logits(logits: Sequence[Array]) -> tuple[Array, ...]:
    """M arrays (N, K) of one dtype; raises UserError where they are not."""
    try:
        given = list(logits)
    except TypeError:
        raise UserError(
            f"the logits are a {type(logits).__name__}; a list of M arrays (N, K) is needed, one a classifier."
        ) from None
    arrays = tuple(z if on_gpu(z) else _as_array(z, "the logits") for z in given)
    if not arrays or any(z.ndim != 2 or z.shape != arrays[0].shape for z in arrays):
        shapes = ", ".join(str(z.shape) for z in arrays) or "none"
        raise UserError(
            f"the logits have shapes {shapes}; M arrays of one shape (N, K) are needed: check the classifiers."
        )
    for z in arrays:
        if z.dtype not in REALS:
            raise UserError(f"the logits are {z.dtype}; float32 or float64 is needed: convert them.")
    dtype = np.result_type(*(z.dtype for z in arrays))
    N, K = arrays[0].shape
    if N == 0 or K < 2:
        raise UserError(f"the logits are of {N} samples and {K} classes; at least 1 sample and 2 classes are needed.")
    return tuple(z.astype(dtype, copy=False) for z in arrays)


def check_weights(weights: Sequence[float] | Array | None, M: int) -> Array:
    """Lambda as (M,) float64; raises UserError where it is not."""
    weights = np.ones(M) if weights is None else _as_array(weights, "the weights", np.float64)
    if weights.shape != (M,) or not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise UserError(
            f"the weights are {weights.tolist()}; {M} finite numbers of 0 or more are needed, one a classifier."
        )
    return weights


def check_exponent(exponent: float | None, M: int) -> float:
    """g; raises UserError where it is out of range."""
    if exponent is None:
        return default_exponent(M)
    if not (is_real(exponent) and 0 <= exponent < math.inf):
        g = float(exponent) if is_real(exponent) else exponent
        raise UserError(f"the exponent is {g!r}; a finite number of 0 or more is needed (1 / (M - 1) is the default).")
    return float(exponent)


def check_labels(labels: Array, z: Array) -> Array:
    """The labels as (N,) int64 where z (N, K) is; raises UserError where they do not fit z, or are on another device."""
    labels = labels if on_gpu(labels) else _as_array(labels, "the labels")
    N, K = z.shape
    if labels.shape != (N,) or labels.dtype.kind not in "iu":
        raise UserError(
            f"the labels are {labels.dtype} of shape {labels.shape}; ({N},) integers are needed, one a sample."
        )
    if not on_gpu(labels) and (labels.min() < 0 or labels.max() >= K):
        raise UserError(
            f"the labels go from {labels.min()} to {labels.max()}; 0 to {K - 1} are the classes: check the data."
        )
    return labels.astype(np.int64, copy=False)


def _as_array(values: Any, what: str, dtype: type | None = None) -> Array:
    """The values as an array; raises UserError where they make none."""
    try:
        return np.asarray(values, dtype)
    except (TypeError, ValueError):
        raise UserError(f"{what} make no array of numbers: give one, or nested lists of one length.") from None
