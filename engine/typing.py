"""Names for types that every package uses, and the tests for an integer and for a real number."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray  # of NumPy's; on a GPU the same text works on CuPy's
CudaArray = Any  # of CuPy's, which is not installed everywhere
REALS = np.dtype(np.float32), np.dtype(np.float64)  # what layers and losses compute in
Shape = tuple[int, ...]  # of one sample, without N: an image is (H, W, C), a vector (C,)


def is_whole(value: Any) -> bool:
    """Whether this is an integer; True and 2.0 are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether this is an integer or a float; True is none."""
    return is_whole(value) or isinstance(value, float | np.floating)
