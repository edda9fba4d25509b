"""Biases that keep a layer's ReLUs away from their kinks, so that there is an input at which its gradient can be checked.

Drawing inputs does not always find one: where all units of a layer are dead, the units above have the same input whatever x
is, and a unit whose input hardly depends on x can be near its kink for every x.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from engine.gradcheck.inputs import MARGIN, Shapes, candidates
from engine.gradcheck.under_test import LayerUnderTest
from engine.typing import Array
from layers.conv2d import Conv2d
from layers.layer import Layer
from layers.relu import ReLU

CLEAR = 2 * MARGIN


def move_biases(layer: Layer, shape: Shapes, *, samples: int, seed: int) -> None:
    """Move the biases of convolutions before a ReLU, as little as possible, until `check_layer` finds its input.

    shape, samples, seed -- as `check_layer` is given them: they decide which inputs it draws. The first of these is taken, as
    far as ReLUs go; where a pooling layer is near a kink there, the next.
    """
    tested = LayerUnderTest(layer, shape, samples=samples, seed=seed)
    for x in candidates(tested.batch_shape, tested.x_key):
        _clear_relus(layer, tested, x)
        if all(tested.layer.kink_distance(x, ctx) >= MARGIN for ctx in _both_modes(tested)):
            return


def nearest_clear(values: Array, distance: float) -> float:
    """The number nearest to 0 that is `distance` away from all values.

    >>> nearest_clear(np.array([3.0, 0.5, -0.25]), 1.0)
    -1.25
    """
    ordered = np.concatenate([[-np.inf], np.sort(values), [np.inf]])
    tried = np.concatenate([[0.0], values - distance, values + distance])
    above = np.searchsorted(ordered, tried).clip(1, len(values) + 1)
    gaps = np.minimum(tried - ordered[above - 1], ordered[above] - tried)
    clear = tried[gaps >= 0.999 * distance]
    return float(clear[np.abs(clear).argmin()])


def _clear_relus(layer: Layer, tested: LayerUnderTest, x: Array) -> None:
    """Walk x through the layer, in training and in evaluation, and move each bias in turn."""
    hs, contexts = [x, x], _both_modes(tested)
    own, copied = _simple_layers(layer), _simple_layers(tested.layer)
    for (f, after), original in zip(pairwise([*copied, None]), own, strict=True):
        assert f is not None
        hs = [f.forward(h, ctx)[0] for h, ctx in zip(hs, contexts, strict=True)]
        if isinstance(f, Conv2d) and isinstance(original, Conv2d) and isinstance(after, ReLU):
            inputs = np.concatenate([h.reshape(-1, f.outputs) for h in hs])  # of the ReLU, (rows, D)
            original.bias.value -= [nearest_clear(column, CLEAR) for column in inputs.T]
            moved = original.bias.value - f.bias.value  # float32 rounded
            f.bias.value += moved
            hs = [h + moved for h in hs]


def _simple_layers(layer: Layer) -> list[Layer]:
    """The layers that x goes through one after another, containers opened."""
    parts = getattr(layer, "layers", None)
    return [layer] if parts is None else [simple for part in parts for simple in _simple_layers(part)]


def _both_modes(tested: LayerUnderTest) -> list:
    return [tested.context(training=training) for training in (True, False)]
