"""What a file of weights holds, whatever its format: named arrays, and the layers that they belong to.

Nothing is read yet: shapes are known, and the numbers are read when they are wanted, an array at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.errors import UserError
from engine.io.fields import shown
from engine.typing import Array, Shape

MOST_AXES = 8


class Tensor(NamedTuple):
    """An array in a file: what it is called there, its shape, and what reads it as float32."""

    name: str
    shape: Shape
    read: Callable[[], Array]


class StoredLayer(NamedTuple):
    """A convolution or a fully connected layer.

    weight -- (D, C / groups, k, k), or of a fully connected layer (D, inputs), as Caffe, PyTorch and ONNX have them
    folded -- names of other arrays that were folded into weight and bias
    """

    name: str
    weight: Tensor
    bias: Tensor | None
    folded: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What its arrays are called in the file."""
        return (self.weight.name, *([self.bias.name] if self.bias else []), *self.folded)


@dataclass(frozen=True)
class Stored:
    """A file's weights.

    kind          -- where they come from, for a sentence
    layers        -- in the order in which the network computes them, where `ordered`
    arrays        -- those that have the names and the layout of cldl's own parameters
    names         -- of all arrays in the file
    ordered       -- whether layers are told by their order; otherwise by their names
    bgr           -- whether the first convolution's channels are blue, green, red
    preprocessing -- what the images were preprocessed by, as a recipe calls it; None: the file does not tell
    note          -- what is to be known of these weights, or nothing
    """

    kind: str
    layers: tuple[StoredLayer, ...] = ()
    arrays: tuple[Tensor, ...] = ()
    names: tuple[str, ...] = ()
    ordered: bool = False
    bgr: bool = False
    preprocessing: str | None = None
    note: str = ""


def checked_shape(name: str, dims: tuple[int, ...]) -> Shape:
    """The shape of an array in a file.

    Raises:    UserError, a predicate, where no array of weights has such a shape.
    """
    if not 1 <= len(dims) <= MOST_AXES or min(dims) < 1:
        raise UserError(f"has {shown(name)} of shape {shown(list(dims))}, which no array of weights has")
    return tuple(dims)


def expect_bytes(name: str, held: int, dtype: str, shape: Shape) -> None:
    """Raise UserError, a predicate, where an array has more bytes than its shape says, or fewer."""
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    if held != expected:
        raise UserError(f"has {held:,} bytes for {shown(name)} of shape {shape}, expected {expected:,}")


def from_bytes(name: str, data: bytes, dtype: str, shape: Shape) -> Array:
    """An array of this little-endian dtype as float32; a number that this does not hold becomes infinite."""
    expect_bytes(name, len(data), dtype, shape)
    return np.frombuffer(data, dtype).reshape(shape).astype(np.float32)
