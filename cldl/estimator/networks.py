"""The network that a classifier is asked for: by name, as a `Network`, or of linear layers on vectors."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from cldl.estimator.conventions import DataError
from cldl.models.by_name import FIXED, NETWORKS, build
from cldl.models.linear import linear
from cldl.recipes.families.nin import MNIST_NIN
from engine.errors import UserError
from engine.random import Key
from engine.typing import Shape
from layers.network import Network

NIN = "nin"  # nin_mnist for images of one channel, otherwise nin_cifar
TUNED: dict[str, Any] = {name: getattr(MNIST_NIN.model, name) for name in ("relu_on_logits", "lower_lr_mult")}


def check_model(model: Any) -> None:
    """Raise UserError unless this is the name of a network, a `Network` or None."""
    names = (NIN, *NETWORKS)
    if not (model is None or isinstance(model, Network) or (isinstance(model, str) and model in names)):
        raise UserError(f"there is no network {model!r}; choose one of {', '.join(names)}, a Network or None.")


def make_network(
    model: str | Network | None,
    shape: Shape,
    classes: int,
    *,
    classifiers: int,
    hidden: Sequence[int],
    options: Mapping[str, Any] | None,
) -> Network:
    """The network for samples of this shape and this number of classes; a given network is copied.

    Raises:    UserError where it does not fit the samples and the classes.
    """
    if isinstance(model, Network):
        if model.classes != classes:
            raise DataError(f"y holds {classes} classes, and the network tells {model.classes} apart: build it for y.")
        return copy.deepcopy(model)
    if model is None:
        return linear(shape, classes, classifiers, hidden)
    chosen = dict(options or {})
    if model == NIN:
        model, chosen = ("nin_mnist" if shape[-1] == 1 else "nin_cifar"), TUNED | chosen
    if given := {"image_shape", "classes", "classifiers"} & set(chosen):
        raise UserError(f"model_options has {min(given)!r}, which X, y and `classifiers` give: leave it out.")
    return build(model, shape, classes, FIXED[model][0] if model in FIXED else classifiers, **chosen)


def draw(network: Network, key: Key) -> None:
    """Draw the weights that a network does not have yet, as `initialise` would draw them all."""
    for i, parameter in enumerate(network.parameters()):
        if not parameter.is_drawn:
            parameter.value = parameter.initialiser(key.fold(i), parameter.shape).astype(parameter.dtype)
