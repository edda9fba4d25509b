"""Each layer as a line of PyTorch, the channels first: a map is (N, C, H, W) there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from engine.errors import UserError
from layers.conv2d import Conv2d
from layers.flatten import Flatten
from layers.layer import Layer
from layers.linear import Linear
from layers.maxout import Maxout
from layers.merge import Add, Concat
from layers.normalise import L2Normalize, LocalResponseNorm
from layers.pooling import AvgPool2d, GlobalAvgPool, MaxPool2d
from layers.relu import ReLU

Inputs = tuple[str, ...]


def declaration(layer: Layer) -> str | None:
    """What makes the module of a layer with weights; None for one without."""
    if type(layer) is Conv2d:
        k, s, p = layer.window
        options = {"stride": (s, 1), "padding": (p, 0), "groups": (layer.groups, 1)}
        given = "".join(f", {name}={value}" for name, (value, usual) in options.items() if value != usual)
        return f"nn.Conv2d({layer.inputs}, {layer.outputs}, {k}{given})"
    if type(layer) is Linear:
        return f"nn.Linear({layer.weight.shape[0]}, {layer.weight.shape[1]})"
    return None


def attribute(name: str) -> str:
    """Where the module of a node is: conv1 is self.conv1, and head_pool1.linear self.head_pool1["linear"].

    >>> attribute("head_pool1.linear")
    'self.head_pool1["linear"]'
    """
    first, *others = name.split(".")
    return f"self.{first}" + "".join(f"[{json.dumps(part)}]" for part in others)


def expression(name: str, layer: Layer, inputs: Inputs, shape: Any) -> str:
    """What computes a layer's output of variables; shapes are of one sample, (H, W, C) or (C,).

    Raises:    UserError for a layer that is not known here, such as one of the user's.
    """
    if type(layer) in (Conv2d, Linear):
        return f"{attribute(name)}({inputs[0]})"
    write = EXPRESSIONS.get(type(layer))
    if write is None:
        raise UserError(
            f"the layer {name}, {layer!r}, cannot be exported: export a network of the layers in `layers` alone."
        )
    return write(layer, inputs, shape)


def _relu(layer: ReLU, inputs: Inputs, shape: Any) -> str:
    return f"F.relu({inputs[0]})"


def _pool(function: str) -> Callable[..., str]:
    def write(layer: MaxPool2d | AvgPool2d, inputs: Inputs, shape: Any) -> str:
        padding, ceil = f", padding={layer.padding}" * (layer.padding > 0), ", ceil_mode=True" * layer.ceil
        return f"F.{function}({inputs[0]}, {layer.kernel}, {layer.stride}{padding}{ceil})"

    return write


def _flatten(layer: Flatten, inputs: Inputs, shape: Any) -> str:
    """The elements in the order of (H, W, C)."""
    rows = ".permute(0, 2, 3, 1)" if len(shape) == 3 else ""
    return f"{inputs[0]}{rows}.flatten(1)"


def _maxout(layer: Maxout, inputs: Inputs, shape: Any) -> str:
    return f"{inputs[0]}.unflatten(1, ({shape[-1] // layer.pieces}, {layer.pieces})).amax(2)"


def _lrn(layer: LocalResponseNorm, inputs: Inputs, shape: Any) -> str:
    x, n = inputs[0], layer.size
    pixel, vector = ("", "") if len(shape) == 3 else ("[:, :, None]", ".flatten(1)")
    return f"F.local_response_norm({x}{pixel}, {n}, alpha={layer.alpha}, beta={layer.beta}, k={layer.k}){vector}"


EXPRESSIONS: dict[type, Callable[..., str]] = {
    ReLU: _relu,
    MaxPool2d: _pool("max_pool2d"),
    AvgPool2d: _pool("avg_pool2d"),
    GlobalAvgPool: lambda layer, inputs, shape: f"{inputs[0]}.mean(dim=(2, 3))",
    Flatten: _flatten,
    Maxout: _maxout,
    LocalResponseNorm: _lrn,
    L2Normalize: lambda layer, inputs, shape: f"F.normalize({inputs[0]}, dim=1)",
    Concat: lambda layer, inputs, shape: f"torch.cat([{', '.join(inputs)}], dim=1)",
    Add: lambda layer, inputs, shape: " + ".join(inputs),
}
