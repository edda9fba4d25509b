"""From gradients to the next weights: SGD with momentum, and AdamW; and the penalty on the weights.

The penalty. The poster prints alpha |W|_2; what is usually meant, and the default here, is the square, whose gradient is
decay * w ("square"); the printed norm, over all decayed weights together, has the gradient decay * w / |W| ("norm").
Biases are not decayed (`Parameter.decay` is 0 for them).

The constraint. After an update, a column of a parameter (all that leads to one output: a kernel of a convolution) that is
longer than the parameter's `max_norm` is scaled back to that length (Srebro and Shraibman, COLT 2005; Goodfellow et al.,
ICML 2013; pylearn2's max_kernel_norm and max_col_norm).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.device import array_module, dispatch
from engine.kernels.cpu import updates
from engine.parameters import FlatBuffer, Parameter

NUMBERS = 5  # of a step: rate, decay, momentum, two corrections; behind them a rate for each parameter


class Optimiser:
    """What both rules share: the parameters, the penalty, the number of steps taken, and a state to store.

    The parameters' values become views of one buffer, so that a step is one pass over memory.
    """

    slots: tuple[str, ...] = ()

    def __init__(
        self, parameters: Sequence[Parameter], *, momentum: float, decay: float = 0.0, penalty: str = "square"
    ) -> None:
        self.parameters, self.decay, self.penalty = list(parameters), decay, penalty
        self.momentum = momentum  # may be set before each step, where it changes in the course of a run
        self.steps = 0
        self.weights = FlatBuffer.holding(self.parameters)
        self.state = {slot: FlatBuffer(self.parameters) for slot in self.slots}
        xp = array_module(self.weights.buffer)
        self._starts = xp.asarray(self.weights.starts)
        self._decays = xp.asarray([p.decay_mult for p in self.parameters], np.float64)

    def step(self, gradients: FlatBuffer, rate: float) -> None:
        """Move every parameter against its gradient; `rate` is the learning rate of this step."""
        self.apply(gradients, self.numbers(rate))

    def numbers(self, rate: float) -> np.ndarray:
        """Count a step; what `apply` must know of it: rate, decay, momentum, two corrections, then each parameter's own rate."""
        own = [p.lr_mult * (p.lr_policy(self.steps) if p.lr_policy else 1.0) for p in self.parameters]
        self.steps += 1
        return np.array([rate, self.decay, self.momentum, *self._corrections(), *own])

    def apply(self, gradients: FlatBuffer, numbers: np.ndarray) -> None:
        """Take the step of these `numbers`, which lie where the parameters do; of a rate that is no number, none."""
        if self.penalty == "norm" and self.decay:
            dispatch(updates.divide_by_norm, self.weights.buffer, self._starts, self._decays, numbers)
        state = [self.state[slot].buffer for slot in self.slots]
        rates = numbers[NUMBERS:]
        self._update(self.weights.buffer, gradients.buffer, *state, self._starts, rates, self._decays, numbers)
        for p in self.parameters:
            if p.max_norm < math.inf:
                dispatch(updates.limit_columns, p.value.reshape(-1, p.shape[-1]), p.max_norm, numbers)

    def _corrections(self) -> tuple[float, float]:
        return 1.0, 1.0

    def _update(self, w, *rest) -> None:
        raise NotImplementedError


class SGD(Optimiser):
    """Stochastic gradient descent with momentum, the penalty's gradient added to the loss's.

    v = momentum v + g + decay w
    w = w - rate v                            (Polyak, 1964)
    w = w - rate (g + decay w + momentum v)   (nesterov: Sutskever et al., ICML 2013)
    """

    slots = ("velocity",)

    def __init__(
        self, parameters: Sequence[Parameter], *, momentum: float = 0.9, nesterov: bool = False, **penalty
    ) -> None:
        super().__init__(parameters, momentum=momentum, **penalty)
        self.nesterov = nesterov

    def _update(self, w, *rest) -> None:
        dispatch(updates.sgd, w, *rest, self.nesterov)


class AdamW(Optimiser):
    """Adam with the weight decay outside the adaptive step (Loshchilov and Hutter, ICLR 2019, algorithm 2).

    m = beta1 m + (1 - beta1) g,   s = beta2 s + (1 - beta2) g^2
    w = w - rate ( (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon) + decay w )
    """

    slots = ("mean", "square")

    def __init__(
        self,
        parameters: Sequence[Parameter],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        **penalty,
    ) -> None:
        super().__init__(parameters, momentum=betas[0], **penalty)
        self.beta2, self.epsilon = betas[1], epsilon

    def _corrections(self) -> tuple[float, float]:
        return 1 / (1 - self.momentum**self.steps), 1 / (1 - self.beta2**self.steps)

    def _update(self, w, *rest) -> None:
        dispatch(updates.adamw, w, *rest, *map(w.dtype.type, (self.beta2, self.epsilon)))
