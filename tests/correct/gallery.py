"""The gallery of correct layers, written down from the layer lists of other libraries: how one gets into it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from engine.gradcheck.inputs import DOMAIN, Domain
from engine.parameters import initialise
from engine.random import Key
from layers import Layer

VECTOR, IMAGE, SEQUENCE = (4,), (3, 4, 2), (5, 3)


class Correct(NamedTuple):
    make: Callable[[], Layer]
    shape: Any
    domain: Domain


GALLERY: list[Correct] = []


def passes(shape: Any, *arguments: Any, domain: Domain = DOMAIN):
    """Put the class into the gallery, built with these arguments, its parameters drawn."""

    def add(kind: type[Layer]) -> type[Layer]:
        def make() -> Layer:
            layer = kind(*arguments)
            initialise(layer.parameters(), Key(1))
            return layer

        GALLERY.append(Correct(make, shape, domain))
        return kind

    return add


class Elementwise(Layer):
    """y = f(x), element by element, so dx = dy f'(x): `value` and `slope`."""

    def forward(self, x, ctx):
        return self.value(x), x

    def backward(self, dy, x, ctx, need_dx=True):
        return dy * self.slope(x)
