"""The networks by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from cldl.models.alexnet import ALEXNET, alexnet, places_alexnet
from cldl.models.chain import chain_network
from cldl.models.cnds import cnds8
from cldl.models.dag_cnn import dag_cnn
from cldl.models.dsn import dsn
from cldl.models.googlenet import googlenet
from cldl.models.heads import check_classifiers
from cldl.models.maxout import MAXOUT_CIFAR, MAXOUT_MNIST, maxout
from cldl.models.nin import NIN_CIFAR, NIN_MNIST, nin
from cldl.models.vgg import STAGES, VGG, vgg
from engine.errors import UserError
from engine.typing import Shape, is_real
from layers.network import Network

SEVERAL: dict[str, Callable[..., Network]] = {  # that take a number of classifiers
    "nin_mnist": partial(nin, NIN_MNIST),
    "nin_cifar": partial(nin, NIN_CIFAR),
    "alexnet": alexnet,
    "places_alexnet": places_alexnet,
    "cnds8": cnds8,
    "googlenet": googlenet,
    **{f"vgg{depth}": partial(vgg, depth) for depth in STAGES},
}
FIXED: dict[str, tuple[int, Callable[..., Network]]] = {  # that have so many
    "dsn_mnist": (4, partial(dsn, NIN_MNIST)),
    "dsn_cifar": (4, partial(dsn, NIN_CIFAR)),
    "maxout_mnist": (1, partial(maxout, MAXOUT_MNIST)),
    "maxout_cifar": (1, partial(maxout, MAXOUT_CIFAR)),
    "dag_alexnet": (1, partial(dag_cnn, ALEXNET)),
    "dag_vgg19": (1, partial(dag_cnn, VGG[19])),
}
NETWORKS = (*SEVERAL, *FIXED)


def build(name: str, image_shape: Shape, classes: int, classifiers: int = 1, **options: Any) -> Network:
    """The network of this name, one of `NETWORKS`, for images (H, W, C) of K classes; its weights are not drawn yet.

    classifiers -- how many it has, from the top downwards
    options     -- those of the family's own function, such as dropout and initialisation

    Raises:    UserError where there is no such network or option, or the network does not fit the images.

    >>> network = build("vgg11", image_shape=(32, 32, 3), classes=10, classifiers=3, width=1 / 16)
    >>> network.exits
    ('head_pool3.fc', 'head_pool4.fc', 'head_top.fc')
    """
    if name not in NETWORKS:
        raise UserError(f"there is no network {name!r}; choose one of {', '.join(NETWORKS)}.")
    number, make = FIXED[name] if name in FIXED else (None, SEVERAL[name])
    known = _options(make)
    if unknown := sorted(set(options) - set(known)):
        raise UserError(f"{name} has no option {unknown[0]!r}; choose from {', '.join(known)}.")
    width = options.get("width", 1.0)
    if not is_real(width) or not 0 < width < math.inf:
        raise UserError(
            f"{name} was given the width {width!r}; a number above 0 is needed, and 1 is the published network."
        )
    if number is None:
        return make(tuple(image_shape), classes, classifiers, **options)
    check_classifiers(classifiers, number, number)
    return make(tuple(image_shape), classes, **options)


def _options(make: Callable[..., Network]) -> list[str]:
    """The names of a function's options, and of those that it passes on to a chain."""
    own = [*inspect.signature(make).parameters.values()]
    passed_on = any(p.kind is p.VAR_KEYWORD for p in own)
    chain = [*inspect.signature(chain_network).parameters.values()] if passed_on else []
    return [p.name for p in own + chain if p.kind is p.KEYWORD_ONLY]
