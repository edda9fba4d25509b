"""From gradients to the next weights: SGD with momentum, and AdamW; the penalty on the weights, and the bound on their norms.

Penalty. The poster prints alpha |W|_2. What is usually meant, and the default here, is half the square, alpha / 2 |W|^2 ("l2"),
whose gradient is alpha w; the norm as printed ("norm"), of all decayed weights together, has the gradient alpha w / |W|. Biases
are not decayed (their `Parameter.decay_mult` is 0).

Bound. After an update, a column of a parameter (the weights that lead to one output: one kernel of a convolution) that is
longer than the parameter's `max_norm` is scaled back to that length (Srebro and Shraibman, COLT 2005; Goodfellow et al.,
ICML 2013; pylearn2's max_kernel_norm and max_col_norm).

Beside each fast path stands its reference, plain NumPy on one parameter; lr and weight_decay include the parameter's multipliers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.device import array_module, dispatch, on_gpu
from engine.errors import UserError
from engine.kernels.cpu import updates
from engine.parameters import FlatBuffer, Parameter
from engine.typing import Array

PENALTIES = ("l2", "norm")
SHARED = 5  # hyperparameters of a step that all parameters share, see `Optimiser.step_hyperparameters`


def sgd_reference(
    w: Array, g: Array, v: Array, *, lr: float, momentum: float, weight_decay: float = 0.0, nesterov: bool = False
) -> tuple[Array, Array]:
    """The next w and velocity v."""
    g = g + weight_decay * w
    v = momentum * v + g
    return w - lr * (g + momentum * v if nesterov else v), v


def adamw_reference(
    w: Array,
    g: Array,
    m: Array,
    s: Array,
    t: int,
    *,
    lr: float,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float = 0.0,
) -> tuple[Array, Array, Array]:
    """The next w, and the next running means m of g and s of g^2; t counts the steps from 1."""
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * g**2
    m_hat, s_hat = m / (1 - beta1**t), s / (1 - beta2**t)
    return w - lr * (m_hat / (np.sqrt(s_hat) + epsilon) + weight_decay * w), m, s


def bound_reference(w: Array, max_norm: float) -> Array:
    """w (n, D) with each column at most `max_norm` long."""
    return w * np.minimum(1, max_norm / np.linalg.norm(w, axis=0))


class Optimiser:
    """The base of all optimisers: the parameters, the penalty, the number of steps made, and the state that a checkpoint stores.

    One update is one pass over memory: the parameters' values become views of one flat buffer, which `bind` lays out.

    Raises UserError for a penalty that is none of PENALTIES.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Sequence[Parameter], *, momentum: float, weight_decay: float, penalty: str) -> None:
        if penalty not in PENALTIES:
            raise UserError(f"the penalty {penalty!r} is unknown; choose one of {', '.join(PENALTIES)}.")
        self.parameters, self.weight_decay, self.penalty = list(parameters), weight_decay, penalty
        self.momentum = momentum  # a schedule may set it before each step
        self.step_count = 0
        self.weights: FlatBuffer | None = None
        self.state: dict[str, FlatBuffer] = {}

    def bind(self) -> None:
        """Lay out the weights and a new state on the device of the parameters; the first step calls it if need be."""
        self.weights = FlatBuffer.holding(self.parameters)
        self.state = {slot: FlatBuffer(self.parameters) for slot in self.slots}
        xp = array_module(self.weights.buffer)
        self._starts = xp.asarray(self.weights.starts)
        self._decay_mults = xp.asarray([p.decay_mult for p in self.parameters], np.float64)

    def step(self, gradients: FlatBuffer, lr: float) -> None:
        """Apply one update with the learning rate `lr`.

        gradients -- of exactly these parameters, in their order, precision and device

        Raises UserError for other gradients, and where a parameter was cast or moved since the first step.
        """
        if self.weights is None:
            self.bind()
        self._check(gradients)
        self.apply(gradients, self.step_hyperparameters(lr))

    def step_hyperparameters(self, lr: float) -> np.ndarray:
        """What changes from step to step, as `apply` takes it; counts a step.

        An array of float64: lr, weight decay, momentum (beta1 of AdamW), the two bias corrections of AdamW, and then for each
        parameter the factor of its learning rate.
        """
        lr_mults = [p.lr_mult * (p.lr_policy(self.step_count) if p.lr_policy else 1.0) for p in self.parameters]
        self.step_count += 1
        return np.array([lr, self.weight_decay, self.momentum, *self._corrections(), *lr_mults])

    def apply(self, gradients: FlatBuffer, hyperparameters: np.ndarray) -> None:
        """Apply one update; a NaN learning rate makes it a no-op.

        hyperparameters -- of `step_hyperparameters`, on the device of the parameters; "norm" overwrites the weight decay
        """
        if self.weights is None:
            self.bind()
        assert self.weights is not None
        if self.penalty == "norm" and self.weight_decay:
            dispatch(updates.divide_by_norm, self.weights.buffer, self._starts, self._decay_mults, hyperparameters)
        state = [self.state[slot].buffer for slot in self.slots]
        lr_mults = hyperparameters[SHARED:]
        self._update(
            self.weights.buffer, gradients.buffer, *state, self._starts, lr_mults, self._decay_mults, hyperparameters
        )
        for p in self.parameters:
            p.touch()
            if p.max_norm < math.inf:
                dispatch(updates.limit_columns, p.value.reshape(-1, p.shape[-1]), p.max_norm, hyperparameters)

    def _check(self, gradients: FlatBuffer) -> None:
        """Raise UserError unless the gradients are those of the parameters; take over values that were assigned to these."""
        weights = self.weights
        assert weights is not None
        for p, view in weights.views.items():
            if p.value is not view:
                _check_like(p.value, view, f"the value of {p.name!r}", "make the optimiser after the conversion")
                view[...] = p.value
                p.value = view
        if not isinstance(gradients, FlatBuffer) or list(gradients.views) != self.parameters:
            raise UserError(
                "the gradients are not those of the optimiser's parameters: give a FlatBuffer of the same parameters in the "
                "same order."
            )
        _check_like(gradients.buffer, weights.buffer, "the gradient", "make its FlatBuffer after the conversion")

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
        dispatch(updates.sgd, w, *rest, self.nesterov, False)


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


def _check_like(given: Array, own: Array, what: str, remedy: str) -> None:
    """Raise UserError unless the array has the precision and device of the optimiser's own."""
    if given.dtype != own.dtype or type(given) is not type(own):
        raise UserError(f"{what} is {_kind(given)}, and the optimiser works in {_kind(own)}: {remedy}.")


def _kind(array: Array) -> str:
    return f"{array.dtype} on the {'GPU' if on_gpu(array) else 'CPU'}"
