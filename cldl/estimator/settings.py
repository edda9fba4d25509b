"""What a classifier's parameters stand for: a seed, a preprocessing."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from data.dataset import Dataset
from data.floats import FloatSplit, Standardise
from data.transforms.preprocessing import Contrast, Preprocessing, Scale, fitted
from engine.errors import UserError
from engine.typing import is_whole

STANDARD = "standard"
PREPROCESSINGS = (STANDARD, "scale", "gcn", "gcn_zca")
SEEDS = 2**32


def seed_of(random_state: Any) -> int:
    """A seed: the integer itself, one that a generator of NumPy's draws, or for None one that no one knows.

    Raises:    UserError for anything else.
    """
    if random_state is None:
        return secrets.randbelow(SEEDS)
    if is_whole(random_state) and random_state >= 0:
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(SEEDS))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(SEEDS, dtype=np.int64))
    raise UserError(
        f"random_state is {random_state!r}; give a whole number of 0 or more, a generator of NumPy's, or None."
    )


def find_preprocessing(chosen: str | Preprocessing, dataset: Dataset) -> Preprocessing:
    """The preprocessing that was given, or that of this name; one that is fitted is fitted on the training samples."""
    if isinstance(dataset.train, FloatSplit):
        return Standardise.fit(dataset.train.samples)
    if not isinstance(chosen, str):
        return chosen
    fixed: dict[str, Preprocessing] = {"scale": Scale(), "gcn": Contrast()}
    return fixed.get(chosen) or fitted(chosen, dataset)
