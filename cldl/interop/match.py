"""Which array of a file is which parameter of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cldl.interop.caffe_names import caffe_names
from cldl.interop.files import RefusedError
from cldl.interop.places import Place, places
from cldl.interop.stored import Stored, StoredLayer, Tensor
from engine.parameters import Parameter
from engine.typing import Array, Shape
from layers.network import Network


@dataclass(frozen=True)
class Offer:
    """An array for a parameter, whether it fits or not.

    there, here   -- the shapes in the file and of the parameter, both as the file lays them out
    read          -- the array, where it fits, as the parameter's value
    is_other_head -- whether it is a classifier's, of another number of classes
    """

    parameter: Parameter
    file_name: str
    all_names: tuple[str, ...]
    there: Shape
    here: Shape
    fits: bool
    is_other_head: bool
    read: Callable[[], Array]


def match(network: Network, stored: Stored, bgr: bool) -> list[Offer]:
    """An offer for every parameter that has a counterpart in the file, in the order of the network's.

    Raises:    UserError, a predicate, where the layers of the file are told by their order, and are not as many as the network's.
    """
    found = places(network)
    if stored.arrays:
        return list(_own(network, found, stored.arrays))
    if stored.ordered:
        pairs = _in_order([place for place in found if place.in_trunk], stored.layers)
    else:
        pairs = _by_name(found, stored.layers)
    offers = {offer.parameter: offer for place, layer in pairs for offer in _layer_offers(place, layer, bgr)}
    return [offers[parameter] for parameter in network.parameters() if parameter in offers]


def _own(network: Network, found: Sequence[Place], arrays: Sequence[Tensor]) -> Iterator[Offer]:
    """Arrays in the engine's own layout, with its names."""
    by_name = {array.name: array for array in arrays}
    decisions = {p for place in found if place.is_decision for p in place.layer.parameters()}
    for parameter in network.parameters():
        if array := by_name.get(parameter.name):
            there, here = array.shape, parameter.shape
            other_head = parameter in decisions and there[:-1] == here[:-1] and there != here
            yield Offer(parameter, array.name, (array.name,), there, here, there == here, other_head, array.read)


def _in_order(trunk: Sequence[Place], layers: Sequence[StoredLayer]) -> list[tuple[Place, StoredLayer]]:
    """One after another; where the network has no top classifier of its own, the file's is left over."""
    without_top = len(layers) - 1 if not any(place.is_decision for place in trunk) else len(layers)
    if len(trunk) not in (len(layers), without_top):
        raise RefusedError(
            f"is of another network: it has {len(layers)} convolutions and fully connected layers with weights, and this network "
            f"has {len(trunk)}"
        )
    return list(zip(trunk, layers[: len(trunk)], strict=True))


def _by_name(found: Sequence[Place], layers: Sequence[StoredLayer]) -> list[tuple[Place, StoredLayer]]:
    """Each with the layer that has the first of its names."""
    by_name = {layer.name: layer for layer in layers}
    pairs = []
    for place in found:
        name = next((name for name in (place.name, *caffe_names(place.name, by_name)) if name in by_name), None)
        if name is not None:
            pairs.append((place, by_name[name]))
    return pairs


def _layer_offers(place: Place, layer: StoredLayer, bgr: bool) -> Iterator[Offer]:
    """The weight, and where it fits the bias, which is 0 where the file has none."""
    W, b, there, here = place.layer.weight, place.layer.bias, layer.weight.shape, place.shape
    fits = place.fits(there)
    other_head = not fits and place.is_decision and place.fits((here[0], *there[1:]))
    names = (layer.weight.name, *layer.folded)
    yield Offer(
        W, layer.weight.name, names, there, here, fits, other_head, lambda: place.weight(layer.weight.read(), bgr)
    )
    if fits and layer.bias:
        bias = layer.bias
        yield Offer(b, bias.name, (bias.name,), bias.shape, b.shape, bias.shape == b.shape, False, bias.read)
    elif fits:
        yield Offer(b, "0", (), b.shape, b.shape, True, False, lambda: np.zeros(b.shape, np.float32))
