"""Layer-wise adaptive rate scaling: SGD whose learning rate is, for each weight array, proportional to its norm.

With very large batches the learning rate has to be so high that layers whose gradients are large relative to their weights
diverge, while others hardly move. LARS makes the norm of each weight's step a fixed fraction of the weight's norm:

    r = trust |w| / (|g| + weight_decay |w|)
    v = momentum v + lr r (g + weight_decay w)
    w = w - v

Source: You, Gitman and Ginsburg, "Large batch training of convolutional networks", 2017, equation 6 and algorithm 1. Nothing is
published of biases, which begin at 0, where r would be 0 for ever. Here a bias, or a weight of zeros, has r = trust: it follows
SGD at a learning rate of lr trust.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.device import dispatch
from engine.kernels.cpu import updates
from engine.optim.optimisers import Optimiser
from engine.parameters import Parameter
from engine.typing import Array


def lars_reference(
    w: Array,
    g: Array,
    v: Array,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    trust: float,
    is_bias: bool = False,
) -> tuple[Array, Array]:
    """The next w and velocity v, in plain NumPy."""
    norm = np.linalg.norm(w)
    slope = np.linalg.norm(g) + weight_decay * norm
    r = trust if is_bias or norm == 0 or slope == 0 else trust * norm / slope
    v = momentum * v + lr * r * (g + weight_decay * w)
    return w - v, v


class LARS(Optimiser):
    """The rule of this module; the parameters' own learning-rate multipliers multiply r.

    trust -- the length of a step at a learning rate of 1, as a part of the weight's
    """

    slots = ("velocity",)

    def __init__(
        self,
        parameters: Sequence[Parameter],
        *,
        momentum: float = 0.9,
        trust: float = 0.001,
        weight_decay: float = 0.0,
        penalty: str = "l2",
    ) -> None:
        super().__init__(parameters, momentum=momentum, weight_decay=weight_decay, penalty=penalty)
        self.trust = trust

    def _update(self, w: Array, *rest: Array) -> None:
        g, _, *layout = rest
        dispatch(updates.adapt_rates, w, g, *layout, self.trust)
        dispatch(updates.sgd, w, *rest, False, True)  # without nesterov, and with the rate in the velocity
