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

from engine.kernels import updates
from engine.parameters import Flat, Parameter


class Optimiser:
    """What both rules share: the parameters, the penalty, the number of steps taken, and a state to store."""

    slots: tuple[str, ...] = ()

    def __init__(
        self, parameters: Sequence[Parameter], *, momentum: float, decay: float = 0.0, penalty: str = "square"
    ) -> None:
        self.parameters, self.decay, self.penalty = list(parameters), decay, penalty
        self.momentum = momentum  # may be set before each step, where it changes in the course of a run
        self.steps = 0
        self.state = {slot: Flat(self.parameters) for slot in self.slots}

    def step(self, gradients: Flat, rate: float) -> None:
        """Move every parameter against its gradient; `rate` is the learning rate of this step."""
        self.steps += 1
        decay = self._decay()
        for parameter in self.parameters:
            own = parameter.rate * (parameter.policy(self.steps - 1) if parameter.policy else 1.0)
            scalars = (rate * own, decay * parameter.decay)
            state = [self.state[slot].views[parameter].reshape(-1) for slot in self.slots]
            self._update(parameter.value.reshape(-1), gradients.views[parameter].reshape(-1), state, *scalars)
            if parameter.max_norm < math.inf:
                updates.limit_columns(parameter.value.reshape(-1, parameter.shape[-1]), parameter.max_norm)

    def _decay(self) -> float:
        if self.penalty == "square" or self.decay == 0:
            return self.decay
        norm = np.sqrt(sum(float(np.vdot(p.value, p.value)) for p in self.parameters if p.decay > 0))
        return self.decay / max(norm, 1e-30)

    def _update(self, w, g, state, rate: float, decay: float) -> None:
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

    def _update(self, w, g, state, rate: float, decay: float) -> None:
        real = w.dtype.type
        updates.sgd(w, g, *state, real(rate), real(self.momentum), self.nesterov, real(decay))


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

    def _update(self, w, g, state, rate: float, decay: float) -> None:
        beta1, beta2 = self.momentum, self.beta2
        corrections = (1 / (1 - beta1**self.steps), 1 / (1 - beta2**self.steps))
        scalars = (rate, beta1, beta2, *corrections, self.epsilon, decay)
        updates.adamw(w, g, *state, *map(w.dtype.type, scalars))
