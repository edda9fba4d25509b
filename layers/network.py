"""A network: a trunk of blocks, and a classifier on top of each block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.context import Context
from engine.errors import UserError
from engine.parameters import Parameter
from engine.typing import Array, Shape
from layers.layer import Layer
from layers.sequential import Sequential


class Network:
    """M blocks one after another, and M classifiers H^(m), the m-th on top of block m.

    Forward:   h_m = block_m(h_{m-1}), h_0 = x;  z^(m) = H^(m)(h_m)
    Backward:  h_m is read by its classifier and by the next block, so dh_m is the sum of what the two give back; from
               the top block, which only its classifier reads, down to the image.
    Shapes:    x (N, H, W, C), z^(m) (N, K).
    """

    def __init__(self, blocks: Sequence[Layer], classifiers: Sequence[Layer], input_shape: Shape) -> None:
        if not blocks or len(blocks) != len(classifiers):
            raise UserError(
                f"there are {len(blocks)} blocks and {len(classifiers)} classifiers: give each block its own one."
            )
        self.blocks, self.classifiers, self.input_shape = list(blocks), list(classifiers), input_shape
        shapes = {c.output_shape(s) for c, s in zip(self.classifiers, self._heights(), strict=True)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise UserError(
                f"the classifiers give scores of shapes {sorted(shapes)}; all must give the same K numbers."
            )
        self.classes = next(iter(shapes))[0]
        self._name_parameters()

    def forward(self, x: Array, ctx: Context) -> tuple[list[Array], list]:
        """The scores of the M classifiers, M arrays (N, K), and the cache for `backward`."""
        logits, caches = [], []
        for block, classifier in zip(self.blocks, self.classifiers, strict=True):
            x, below = block.forward(x, ctx)
            z, above = classifier.forward(x, ctx)
            logits.append(z)
            caches.append((below, above))
        return logits, caches

    def backward(self, dlogits: Sequence[Array], cache: list, ctx: Context, need_dx: bool = True) -> Array | None:
        """dx, where it is needed; the parameters' gradients are added to `ctx`."""
        dh: Array | None = None
        for m in reversed(range(len(self.blocks))):
            below, above = cache[m]
            own = self.classifiers[m].backward(dlogits[m], above, ctx)
            assert own is not None
            total = own if dh is None else np.add(dh, own, out=ctx.empty(own.shape, own.dtype))
            dh = self.blocks[m].backward(total, below, ctx, need_dx or m > 0)
        return dh

    def parameters(self) -> list[Parameter]:
        """All parameters, block by block, each block's followed by its classifier's."""
        pairs = zip(self.blocks, self.classifiers, strict=True)
        return [p for block, classifier in pairs for layer in (block, classifier) for p in layer.parameters()]

    def layers(self) -> list[tuple[str, Layer, Shape]]:
        """Every simple layer as (name, layer, the shape of one sample of its input), in forward order."""
        rows = []
        shape = self.input_shape
        for m, (block, classifier) in enumerate(zip(self.blocks, self.classifiers, strict=True), 1):
            for name, layer in ((f"block{m}", block), (f"classifier{m}", classifier)):
                inner = shape
                for i, part in enumerate(layer.layers if isinstance(layer, Sequential) else [layer]):
                    rows.append((f"{name}.{i}", part, inner))
                    inner = part.output_shape(inner)
                if layer is block:
                    shape = inner
        return rows

    def caches(self, cache: list) -> list[tuple[str, Layer, Any]]:
        """Every simple layer as (name, layer, what its forward left for its backward), as often as it was called."""
        names = {layer: name for name, layer, _ in self.layers()}
        own: list = []
        for block, classifier, kept in zip(self.blocks, self.classifiers, cache, strict=True):
            for layer, left in zip((block, classifier), kept, strict=True):
                own += layer.caches(left) if isinstance(layer, Sequential) else [(layer, left)]
        return [(names[layer], layer, left) for layer, left in own]

    def multiply_adds(self) -> int:
        """Multiplications that are added up, for one image's forward pass."""
        return sum(layer.multiply_adds(shape) for _, layer, shape in self.layers())

    def _heights(self) -> list[Shape]:
        """The shape of one sample of h_m, for each m."""
        shapes, shape = [], self.input_shape
        for block in self.blocks:
            shape = block.output_shape(shape)
            shapes.append(shape)
        return shapes

    def _name_parameters(self) -> None:
        """Give every parameter a name that checkpoints can rely on: block1.0.weight."""
        for name, layer, _ in self.layers():
            for parameter in layer.parameters():
                parameter.name = f"{name}.{parameter.name.rsplit('.', 1)[-1]}"
