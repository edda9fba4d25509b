"""A trained model as a plain PyTorch module: a file of code that imports torch alone, and its weights."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Any

import numpy as np

from cldl.exporting.flattened import channels_first, with_channels_first
from cldl.exporting.library import library
from cldl.exporting.torch_layers import attribute, declaration, expression
from cldl.exporting.torch_template import TEMPLATE
from cldl.exporting.unfold import unfold
from cldl.training.trained import TrainedModel
from data.floats import Standardise
from data.transforms.preprocessing import NORM, Contrast, Scale, Whitening
from engine.device import to_host
from engine.errors import UserError
from engine.io.files import atomic_write, make_folder
from engine.typing import Array
from layers.conv2d import Conv2d
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.linear import Linear
from layers.network import Network
from layers.node import INPUT, gather

MODULE, WEIGHTS = "model.py", "weights.safetensors"
TAKEN = {"torch", "nn", "F", "image", "self", "x", "x_"}


def save_torch(model: TrainedModel, folder: str | Path) -> None:
    """Write `model.py` and `weights.safetensors` to a folder; what is there by these names is replaced.

    The weights have the names of this project's and PyTorch's layouts.

    Raises:    UserError for a layer or a preprocessing of the user's, and where safetensors is not installed.
    """
    safetensors, network = library("safetensors.numpy"), unfold(model.network)
    source, arrays = module_source(model, network), weights(network) | _fitted(model.preprocessing)
    folder = make_folder(Path(folder))
    with atomic_write(folder / WEIGHTS) as file:
        file.write(safetensors.save(arrays, metadata={"format": "pt"}))
    with atomic_write(folder / MODULE, "w") as file:
        file.write(source)


def weights(network: Network) -> dict[str, Array]:
    """All parameters in PyTorch's layout, by their names here."""
    arrays, flattened = dict[str, Array](), channels_first(network)
    for node in network.nodes:
        if isinstance(node.layer, Conv2d | Linear):
            for parameter in node.layer.parameters():
                value = to_host(parameter.value)
                if node.name in flattened and value.ndim == 2:
                    value = with_channels_first(value, flattened[node.name])
                value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T  # (D, C / G, k, k), (D, C) or (D,)
                arrays[f"{node.name}.{parameter.name.rpartition('.')[2]}"] = np.ascontiguousarray(value)
    return arrays


def module_source(model: TrainedModel, network: Network) -> str:
    """The text of `model.py`."""
    shapes: dict[str, Any] = {INPUT: network.input_shape, **network.node_shapes()}
    variables, flattened = _variables(network), channels_first(network)
    forward = list[str]()
    for node in network.nodes:
        inputs = tuple(variables[name] for name in node.inputs)
        if type(node.layer) is Dropout:
            variables[node.name] = inputs[0]
            continue
        if isinstance(node.layer, Flatten) and node.name in flattened:  # weights behind it are reordered
            text = f"{inputs[0]}.flatten(1)"
        else:
            text = expression(node.name, node.layer, inputs, gather(shapes, node.inputs))
        forward.append(f"{variables[node.name]} = {text}  # {', '.join(map(str, _channels_first(shapes[node.name])))}")
    objective = model.objective
    values = {
        "SHAPE": repr(tuple(map(int, network.input_shape))),
        "CLASSES": repr(list(model.class_names)),
        "WEIGHTS": repr([float(weight) for weight in objective.weights]) if objective.loss == "cldl" else "None",
        "EXPONENT": repr(float(objective.g)),
        "DECLARE": _lines(_declarations(network) + _buffers(model.preprocessing)),
        "PREPROCESS": _lines(_preprocess(model.preprocessing, len(network.input_shape))),
        "FORWARD": _lines([*forward, f"return [{', '.join(variables[name] for name in network.exits)}]"]),
    }
    return re.sub(r"@([A-Z]+)@", lambda found: values[found[1]], TEMPLATE)


def _lines(lines: list[str]) -> str:
    return "\n        ".join(lines)


def _channels_first(shape: tuple[int, ...]) -> tuple[Any, ...]:
    return ("N", shape[-1], *shape[:-1])


def _variables(network: Network) -> dict[str, str]:
    """A name in Python for the output of each node."""
    variables = {INPUT: "x"}
    for node in network.nodes:
        name = re.sub(r"\W", "_", node.name)
        name = f"h_{name}" if not name.isidentifier() or keyword.iskeyword(name) or name in TAKEN else name
        while name in variables.values():
            name += "_"
        variables[node.name] = name
    return variables


def _declarations(network: Network) -> list[str]:
    """A line for each layer with weights; those of one prefix, as in head_pool1.linear, are made a dictionary first."""
    lines, made = list[str](), set[str]()
    for node in network.nodes:
        text = declaration(node.layer)
        if text is None:
            continue
        parts = node.name.split(".")
        for place in (attribute(".".join(parts[:i])) for i in range(1, len(parts))):
            if place not in made:
                lines.append(f"{place} = nn.ModuleDict()")
                made.add(place)
        place = attribute(node.name)
        if not parts[0].isidentifier() or place in made:
            raise UserError(f"the node {node.name!r} cannot be an attribute in Python: give it another name.")
        lines.append(f"{place} = {text}")
        made.add(place)
    return lines


def _fitted(preprocessing: Any) -> dict[str, Array]:
    """The arrays of a preprocessing that are too large to be written as text."""
    if isinstance(preprocessing, Whitening):
        return {"whitening_mean": preprocessing.mean, "whitening_matrix": preprocessing.matrix}
    if isinstance(preprocessing, Standardise):
        return {"feature_mean": preprocessing.mean, "feature_std": preprocessing.std}
    return {}


def _buffers(preprocessing: Any) -> list[str]:
    return [
        f'self.register_buffer("{name}", torch.zeros({tuple(array.shape)}, dtype=torch.{array.dtype}))'
        for name, array in _fitted(preprocessing).items()
    ]


def _preprocess(preprocessing: Any, axes: int) -> list[str]:
    """From what is given to the network's input, as `data.transforms.preprocessing` has it."""
    last = ["return x.permute(0, 3, 1, 2)" if axes == 3 else "return x"]
    if isinstance(preprocessing, Scale):
        factor, shift = (
            f"torch.tensor({array.tolist()}, device=image.device)"
            for array in (preprocessing.factor, preprocessing.shift)
        )
        return [f"x = image.float() * {factor} - {shift}", *last]
    if isinstance(preprocessing, Standardise):
        return ["x = ((image.double() - self.feature_mean) / self.feature_std).float()", *last]
    if not isinstance(preprocessing, Contrast | Whitening):
        raise UserError(f"the preprocessing {type(preprocessing).__name__} cannot be exported: use one of cldl's.")
    contrast = [
        "pixels = image.flatten(1).double()  # (N, D)",
        "centred = pixels - pixels.mean(dim=1, keepdim=True)",
        f"x = ({NORM} * F.normalize(centred, dim=1)).float()  # 0 for an image of one value",
    ]
    whiten = ["x = (x - self.whitening_mean) @ self.whitening_matrix"] if isinstance(preprocessing, Whitening) else []
    return [*contrast, *whiten, "x = x.view(image.shape)", *last]
