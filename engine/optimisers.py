"""From gradients to the next weights: SGD with momentum, and AdamW; and the penalty on the weights.

The penalty. The poster prints alpha |W|_2; what is usually meant, and the default here, is the square, whose gradient is
decay * w ("square"); the printed norm, over all decayed weights together, has the gradient decay * w / |W| ("norm").
Biases are not decayed (`Parameter.decay` is 0 for them).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.device import launch, module_of
from engine.kernels import updates
from engine.parameters import Flat, Parameter


class Optimiser:
    """What both rules share: the parameters, the penalty, the number of steps taken, and a state to store.

    The parameters' values become views of one buffer, so that a step is one pass over memory.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Sequence[Parameter], *, decay: float = 0.0, penalty: str = "square") -> None:
        self.parameters, self.decay, self.penalty = list(parameters), decay, penalty
        self.steps = 0
        self.weights = Flat.holding(self.parameters)
        self.state = {slot: Flat(self.parameters) for slot in self.slots}
        xp = module_of(self.weights.buffer)
        self._starts = xp.asarray(self.weights.starts)
        self._rates = xp.asarray([p.rate for p in self.parameters], np.float64)
        self._decays = xp.asarray([p.decay for p in self.parameters], np.float64)

    def step(self, gradients: Flat, rate: float) -> None:
        """Move every parameter against its gradient; `rate` is the learning rate of this step."""
        self.apply(gradients, self.numbers(rate))

    def numbers(self, rate: float) -> np.ndarray:
        """Count a step; what `apply` must know of it, (4,): the rate, the decay, two numbers more."""
        self.steps += 1
        return np.array([rate, self.decay, *self._corrections()])

    def apply(self, gradients: Flat, numbers: np.ndarray) -> None:
        """Take the step of these `numbers`, which lie where the parameters do; of a rate that is no number, none."""
        if self.penalty == "norm" and self.decay:
            launch(updates.divide_by_norm, self.weights.buffer, self._starts, self._decays, numbers)
        state = [self.state[slot].buffer for slot in self.slots]
        self._update(self.weights.buffer, gradients.buffer, *state, self._starts, self._rates, self._decays, numbers)

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
        super().__init__(parameters, **penalty)
        self.momentum, self.nesterov = momentum, nesterov

    def _update(self, w, *rest) -> None:
        launch(updates.sgd, w, *rest, w.dtype.type(self.momentum), self.nesterov)


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
        super().__init__(parameters, **penalty)
        self.betas, self.epsilon = betas, epsilon

    def _corrections(self) -> tuple[float, float]:
        beta1, beta2 = self.betas
        return 1 / (1 - beta1**self.steps), 1 / (1 - beta2**self.steps)

    def _update(self, w, *rest) -> None:
        launch(updates.adamw, w, *rest, *map(w.dtype.type, (*self.betas, self.epsilon)))
