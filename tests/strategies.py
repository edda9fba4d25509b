"""What Hypothesis draws: the structure (shapes, strides, labels, M, K, seeds); the numbers come from the grid."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from cldl.verification.cases import LAYERS, Case
from engine.gradcheck import grid
from engine.random import Key

seeds = st.integers(0, 2**32 - 1)


@st.composite
def layer_cases(draw, name: str) -> Case:
    """A layer of this name, small, with the shape of its input."""
    return LAYERS[name](lambda low, high: draw(st.integers(low, high)))


def batch(case: Case, dtype: type = np.float64) -> np.ndarray | tuple[np.ndarray, ...]:
    """Numbers from the grid for a case's layer: an array (N, ...), or a tuple of them where it has several inputs."""
    if isinstance(case.shape, tuple):
        return grid((case.samples, *case.shape), Key(case.seed)).astype(dtype)
    keys = map(Key(case.seed).fold, range(len(case.shape)))
    return tuple(grid((case.samples, *shape), key).astype(dtype) for key, shape in zip(keys, case.shape, strict=True))


def mapped(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray | tuple[np.ndarray, ...]):
    """The function of an array, or of each of several."""
    return tuple(map(function, x)) if isinstance(x, tuple) else function(x)


@dataclass(frozen=True)
class LossCase:
    logits: list[np.ndarray]
    labels: np.ndarray
    weights: np.ndarray
    exponent: float | None
    through: bool

    @property
    def arguments(self) -> tuple:
        return self.logits, self.labels, self.weights, self.exponent, self.through

    @property
    def g(self) -> float:
        M = len(self.logits)
        return (1 / (M - 1) if M > 1 else 1.0) if self.exponent is None else self.exponent


@st.composite
def loss_cases(draw, classes: int = 12, widths: tuple[float, ...] = (1.0, 3.0)) -> LossCase:
    """Scores from the grid (each classifier its own width), labels, lambda with zeros, and exponents of all kinds."""
    M, N, K = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(2, classes))
    key = Key(draw(seeds))
    logits = [grid((N, K), key.fold(m), draw(st.sampled_from(widths))) for m in range(M)]
    labels = np.array(draw(st.lists(st.integers(0, K - 1), min_size=N, max_size=N)))
    weights = np.array(draw(st.lists(st.sampled_from([0.0, 0.25, 1.0, 3.0]), min_size=M, max_size=M)))
    exponent = draw(st.sampled_from([None, 0.0, 0.5, 1.0, M - 1.0, 2.5]))
    return LossCase(logits, labels, weights, exponent, draw(st.booleans()))
