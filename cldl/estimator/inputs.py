"""The layout, range and feature names of the training samples, and the conversion of new samples to them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from cldl.estimator.arrays import PixelRange, as_array, as_bytes, as_floats, find_layout, fit_layout
from cldl.estimator.conventions import DataError
from engine.typing import Array, Shape
from layers.network import Network


@dataclass(frozen=True)
class Inputs:
    """The form of the samples that a network takes.

    shape  -- of one
    pixels -- their range, where they are images
    names  -- of the features, where they were columns of a table
    """

    shape: Shape
    pixels: PixelRange | None = None
    names: tuple[str, ...] | None = None

    @classmethod
    def find(cls, X: Any, model: str | Network | None, bytes_only: bool) -> tuple[Inputs, Array]:
        """The form of training samples, and the samples in it: images uint8 (N, H, W, C), or floats (N, ...).

        Whole numbers from 0 to 255 are bytes, floats stay floats; with `bytes_only` images become bytes.

        Raises:    DataError where their layout or range is not certain.
        """
        names, samples = _names(X), as_array(X)
        if isinstance(model, Network):
            samples = fit_layout(samples, model.input_shape)
        elif model is not None:
            samples = find_layout(samples)
        elif samples.ndim != 2:
            raise DataError(
                f"Found array with dim {samples.ndim}, X of shape {samples.shape}, while dim <= 2 is required: give vectors "
                "(N, F), or for images a model such as 'nin'."
            )
        if samples.ndim != 4:
            return cls(samples.shape[1:], names=names), as_floats(samples)
        if bytes_only or samples.dtype == bool:
            samples = as_bytes(samples)
        elif samples.dtype.kind in "iu" and samples.min() >= 0 and samples.max() <= 255:
            samples = samples.astype(np.uint8, copy=False)
        else:
            samples = as_floats(samples)
        return cls(samples.shape[1:], PixelRange.of(samples)), samples

    def take(self, X: Any) -> Array:
        """New samples in this form; raises DataError where they have another, and it is not certain how to bring them to it."""
        self._check_names(_names(X))
        samples = fit_layout(as_array(X), self.shape)
        return self.pixels.fit(samples) if self.pixels else as_floats(samples)

    def _check_names(self, names: tuple[str, ...] | None) -> None:
        """Warn where only the one or the other samples have names; raise DataError where the names differ."""
        if self.names == names:
            return
        if names is None or self.names is None:
            with_names, without = ("X has", "without") if names else ("X does not have valid", "with")
            warnings.warn(
                f"{with_names} feature names, but CldlClassifier was fitted {without} feature names",
                UserWarning,
                stacklevel=4,
            )
            return
        unseen, missing = sorted({*names} - {*self.names}), sorted({*self.names} - {*names})
        lines = ["The feature names should match those that were passed during fit."]
        lines += ["Feature names unseen at fit time:", *(f"- {name}" for name in unseen)] if unseen else []
        lines += (
            ["Feature names seen at fit time, yet now missing:", *(f"- {name}" for name in missing)] if missing else []
        )
        if not unseen and not missing:
            lines.append("Feature names must be in the same order as they were in fit.")
        raise DataError("\n".join(lines) + "\n")


def _names(X: Any) -> tuple[str, ...] | None:
    """The names of a table's columns, where all are strings."""
    columns = getattr(X, "columns", None)
    names = () if columns is None else tuple(columns)
    return names if names and all(isinstance(name, str) for name in names) else None
