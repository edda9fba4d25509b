"""safetensors files: with the names of torchvision, timm or cldl.

The library checks the header, a JSON text with names, types, shapes and places; places that overlap or lie outside the file
are refused.

Sources:   huggingface/safetensors; pytorch/vision, torchvision/models/alexnet.py, vgg.py and googlenet.py;
           huggingface/pytorch-image-models, timm/models/vgg.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cldl.interop.files import RefusedError, reading, require
from cldl.interop.fold import BatchNorm, fold
from cldl.interop.stored import Stored, StoredLayer, Tensor, checked_shape
from engine.errors import UserError
from engine.io.fields import shown
from engine.typing import Array

OWN_FORMAT = "cldl"  # in the metadata of what `save_weights` writes
TYPES = ("F16", "F32", "F64")
OTHER_FLOATS = ("BF16", "F8_")  # what their names begin with
NORM = ("weight", "bias", "running_mean", "running_var")  # of PyTorch's batch normalisation
TIMM_HIDDEN = ("pre_logits.fc1", "pre_logits.fc2", "head.fc")
INCEPTION = {  # torchvision's branches
    "branch1": "1x1",
    "branch2.0": "3x3_reduce",
    "branch2.1": "3x3",
    "branch3.0": "5x5_reduce",
    "branch3.1": "5x5",
    "branch4.1": "pool_proj",
}
OTHER_GOOGLENET = (
    "torchvision's GoogLeNet has batch normalisation instead of local response normalisation, and 3x3 convolutions where the "
    "published one has 5x5"
)


def read_safetensors(path: Path, parameters: frozenset[str]) -> Stored:
    """The weights of a safetensors file.

    parameters -- the names of the network's, by which a file with cldl's own names is known

    Raises:    UserError where it is damaged, or its names are of no network that is known here.
    """
    with reading(path):
        metadata, tensors = _open(path)
        if not tensors:
            raise RefusedError("holds no array of floats")
        if metadata.get("format") == OWN_FORMAT:
            return Stored("cldl", arrays=tuple(tensors.values()), names=tuple(tensors))
        if parameters & tensors.keys():
            return _stored("PyTorch with cldl's names", tensors, _layers(tensors), None)
        if "features.0.weight" in tensors:
            return _stored("PyTorch", tensors, _chain(tensors), "rgb_standard", ordered=True)
        if "inception3a.branch1.conv.weight" in tensors:
            return _stored("torchvision", tensors, _googlenet(tensors), "rgb_standard", note=OTHER_GOOGLENET)
        raise RefusedError(
            f"has the names of no network that is known here, such as {shown(min(tensors))}; expected those of "
            "torchvision's or timm's AlexNet, VGG or GoogLeNet, or the network's own"
        )


def _open(path: Path) -> tuple[Mapping[str, str], dict[str, Tensor]]:
    """The metadata and the arrays of a file; those that are no floats, such as counters, are left out."""
    library, tensors = require("safetensors"), dict[str, Tensor]()
    try:
        with library.safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 -- not iterable
                part = file.get_slice(name)
                if part.get_dtype().startswith(OTHER_FLOATS):
                    raise RefusedError(f"has {shown(name)} in {part.get_dtype()}", "convert it to F32, F16 or F64")
                if part.get_dtype() in TYPES and part.get_shape():
                    tensors[name] = _tensor(path, name, tuple(part.get_shape()))
            return file.metadata() or {}, tensors
    except library.SafetensorError:
        raise UserError("is damaged, or no .safetensors file") from None


def _tensor(path: Path, name: str, shape: tuple[int, ...]) -> Tensor:
    library = require("safetensors")

    def read() -> Array:
        with library.safe_open(path, framework="np") as file:
            return file.get_tensor(name).astype(np.float32)

    return Tensor(name, checked_shape(name, shape), read)


def _stored(
    kind: str,
    tensors: Mapping[str, Tensor],
    layers: list[StoredLayer],
    preprocessing: str | None,
    ordered: bool = False,
    note: str = "",
) -> Stored:
    return Stored(kind, tuple(layers), (), tuple(tensors), ordered, preprocessing=preprocessing, note=note)


def _layer(tensors: Mapping[str, Tensor], name: str, called: str = "") -> StoredLayer:
    """A layer with the arrays NAME.weight and perhaps NAME.bias."""
    return StoredLayer(called or name, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))


def _layers(tensors: Mapping[str, Tensor]) -> list[StoredLayer]:
    """All layers, each by its own name."""
    names = (name.removesuffix(".weight") for name in tensors if name.endswith(".weight"))
    return [_layer(tensors, name) for name in names]


def _chain(tensors: Mapping[str, Tensor]) -> list[StoredLayer]:
    """AlexNet or VGG: features.0, features.2, ..., then classifier.0, ... or timm's names; batch normalisation is folded."""
    layers = list[StoredLayer]()
    for part, rank in (("features", 4), ("classifier", 2)):
        numbers = (re.fullmatch(rf"{part}\.(\d{{1,4}})\.weight", name) for name in tensors)
        for number in sorted(int(match[1]) for match in numbers if match):
            name = f"{part}.{number}"
            if len(tensors[f"{name}.weight"].shape) == rank:
                layers.append(_layer(tensors, name))
            elif f"{name}.running_var" in tensors:
                if not layers:
                    raise RefusedError(f"has batch normalisation, {name}, before its first convolution")
                layers[-1] = fold(layers[-1], _norm(tensors, name, 1e-5))
    return layers + [_layer(tensors, name) for name in TIMM_HIDDEN if f"{name}.weight" in tensors]


def _googlenet(tensors: Mapping[str, Tensor]) -> list[StoredLayer]:
    """torchvision's GoogLeNet, with the names of cldl's."""
    called = {"conv1": "conv1", "conv2": "conv2_reduce", "conv3": "conv2"}
    for block in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        called |= {f"inception{block}.{theirs}": f"inception_{block}.{own}" for theirs, own in INCEPTION.items()}
    heads = {"fc": "head_top.fc"}
    for aux, block in (("aux1", "4a"), ("aux2", "4d")):
        called[f"{aux}.conv"] = f"head_inception_{block}.conv"
        heads |= {f"{aux}.fc1": f"head_inception_{block}.fc1", f"{aux}.fc2": f"head_inception_{block}.fc"}
    layers = [_layer(tensors, name, own) for name, own in heads.items() if f"{name}.weight" in tensors]
    for name, own in called.items():
        if f"{name}.conv.weight" in tensors:
            layers.append(fold(_layer(tensors, f"{name}.conv", own), _norm(tensors, f"{name}.bn", 1e-3)))
    return layers


def _norm(tensors: Mapping[str, Tensor], name: str, epsilon: float) -> BatchNorm:
    """PyTorch's batch normalisation of this name."""
    for part in NORM:
        if f"{name}.{part}" not in tensors:
            raise UserError(f"has no {name}.{part}")
    gamma, beta, mean, var = (tensors[f"{name}.{part}"] for part in NORM)
    return BatchNorm(gamma, beta, mean, var, epsilon)
