"""From gradients to the next weights: SGD with momentum, and AdamW; and the penalty on the weights.

The penalty. The poster prints alpha |W|_2; what is usually meant, and the default here, is half its square, whose gradient is
weight_decay * w ("l2"); the printed norm, over all decayed weights together, has the gradient weight_decay * w / |W| ("norm").
Biases are not decayed (`Parameter.decay_mult` is 0 for them).

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
from engine.typing import Array

SHARED = 5  # hyperparameters of a step that all parameters share; each parameter's lr multiplier follows


def sgd_reference(
    w: Array, g: Array, v: Array, lr: float, momentum: float, weight_decay: float, nesterov: bool
) -> tuple[Array, Array]:
    """The next w and v."""
    g = g + weight_decay * w
    v = momentum * v + g
    return w - lr * (g + momentum * v if nesterov else v), v


def adamw_reference(
    w: Array,
    g: Array,
    m: Array,
    s: Array,
    t: int,
    lr: float,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float,
) -> tuple[Array, Array, Array]:
    """The next w, m and s; t counts the steps from 1."""
    m = betas[0] * m + (1 - betas[0]) * g
    s = betas[1] * s + (1 - betas[1]) * g**2
    m_hat, s_hat = m / (1 - betas[0] ** t), s / (1 - betas[1] ** t)
    return w - lr * (m_hat / (np.sqrt(s_hat) + epsilon) + weight_decay * w), m, s


class Optimiser:
    """What both rules share: the parameters, the penalty, the number of steps taken, and a state to store.

    The parameters' values become views of one buffer, so that a step is one pass over memory.
    """

    slots: tuple[str, ...] = ()

    def __init__(
        self, parameters: Sequence[Parameter], *, momentum: float, weight_decay: float = 0.0, penalty: str = "l2"
    ) -> None:
        self.parameters, self.weight_decay, self.penalty = list(parameters), weight_decay, penalty
        self.momentum = momentum  # may be set before each step, where it changes in the course of a run
        self.step_count = 0
        self.bind()

    def bind(self) -> None:
        """Lay out the weights and a new state where the parameters are; once more after they moved to another device."""
        self.weights = FlatBuffer.holding(self.parameters)
        self.state = {slot: FlatBuffer(self.parameters) for slot in self.slots}
        xp = array_module(self.weights.buffer)
        self._starts = xp.asarray(self.weights.starts)
        self._decay_mults = xp.asarray([p.decay_mult for p in self.parameters], np.float64)

    def step(self, gradients: FlatBuffer, lr: float) -> None:
        """Move every parameter against its gradient; `lr` is the learning rate of this step."""
        self.apply(gradients, self.step_hyperparameters(lr))

    def step_hyperparameters(self, lr: float) -> np.ndarray:
        """Count a step; what `apply` needs of it: lr, weight decay, momentum, two corrections, each parameter's multiplier."""
        lr_mults = [p.lr_mult * (p.lr_policy(self.step_count) if p.lr_policy else 1.0) for p in self.parameters]
        self.step_count += 1
        return np.array([lr, self.weight_decay, self.momentum, *self._corrections(), *lr_mults])

    def apply(self, gradients: FlatBuffer, hyperparameters: np.ndarray) -> None:
        """Apply one update; the hyperparameters lie where the parameters do. A NaN learning rate makes it a no-op."""
        if self.penalty == "norm" and self.weight_decay:
            dispatch(updates.divide_by_norm, self.weights.buffer, self._starts, self._decay_mults, hyperparameters)
        state = [self.state[slot].buffer for slot in self.slots]
        lr_mults = hyperparameters[SHARED:]
        self._update(
            self.weights.buffer, gradients.buffer, *state, self._starts, lr_mults, self._decay_mults, hyperparameters
        )
        for p in self.parameters:
            if p.max_norm < math.inf:
                dispatch(updates.limit_columns, p.value.reshape(-1, p.shape[-1]), p.max_norm, hyperparameters)

    def _corrections(self) -> tuple[float, float]:
        return 1.0, 1.0

    def _update(self, w: Array, *rest: Array) -> None:
        raise NotImplementedError


class SGD(Optimiser):
    """Stochastic gradient descent with momentum, the penalty's gradient added to the loss's (`sgd_reference`).

    v = momentum v + g + weight_decay w
    w = w - lr v                                      (Polyak, 1964)
    w = w - lr (g + weight_decay w + momentum v)      (nesterov: Sutskever et al., ICML 2013)
    """

    slots = ("velocity",)

    def __init__(
        self,
        parameters: Sequence[Parameter],
        *,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        penalty: str = "l2",
    ) -> None:
        super().__init__(parameters, momentum=momentum, weight_decay=weight_decay, penalty=penalty)
        self.nesterov = nesterov

    def _update(self, w: Array, *rest: Array) -> None:
        dispatch(updates.sgd, w, *rest, self.nesterov)


class AdamW(Optimiser):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019, algorithm 2; `adamw_reference`).

    m = beta1 m + (1 - beta1) g,   s = beta2 s + (1 - beta2) g^2
    w = w - lr ( (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon) + weight_decay w )
    """

    slots = ("mean", "square")

    def __init__(
        self,
        parameters: Sequence[Parameter],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        penalty: str = "l2",
    ) -> None:
        super().__init__(parameters, momentum=betas[0], weight_decay=weight_decay, penalty=penalty)
        self.beta2, self.epsilon = betas[1], epsilon

    def _corrections(self) -> tuple[float, float]:
        return 1 / (1 - self.momentum**self.step_count), 1 / (1 - self.beta2**self.step_count)

    def _update(self, w: Array, *rest: Array) -> None:
        dispatch(updates.adamw, w, *rest, *map(w.dtype.type, (self.beta2, self.epsilon)))
