"""What both engines are given: a network in plain words, its weights, images and labels, in a folder.

`job.json` describes the layers by their names and numbers, so that the other engine builds the same network without
knowing this one; `arrays.npz` holds the parameters (convolutions (k, k, C, D), linear layers (C, D)), images and labels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cldl.recipes.recipe import Recipe
from cldl.reporting.explain import synthetic_dataset
from data.dataset import read_images
from engine.errors import UserError
from engine.initialisers import he
from engine.parameters import initialise
from engine.random import Key
from layers import AvgPool2d, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d, ReLU
from layers.layer import Layer
from layers.merge import Concat
from layers.network import Network
from layers.normalise import LocalResponseNorm

BATCHES = 4  # different ones, taken in turn
POOLING = ("kernel", "stride", "padding", "ceil")
NUMBERS = {
    Conv2d: lambda c: {
        "inputs": c.inputs,
        "outputs": c.outputs,
        "kernel": c.window.kernel,
        "stride": c.window.stride,
        "padding": c.window.padding,
        "groups": c.groups,
    },
    MaxPool2d: lambda p: {name: getattr(p, name) for name in POOLING},
    AvgPool2d: lambda p: {name: getattr(p, name) for name in POOLING},
    LocalResponseNorm: lambda n: {"size": n.size, "alpha": n.alpha, "beta": n.beta, "k": n.k},
    Concat: lambda _: {},
    Linear: lambda f: {"inputs": f.weight.shape[0], "outputs": f.weight.shape[1]},
    Dropout: lambda d: {"rate": d.rate},
    ReLU: lambda _: {},
    Flatten: lambda _: {},
    GlobalAvgPool: lambda _: {},
}


def write_job(folder: Path, name: str, recipe: Recipe, threads: int) -> Network:
    """Put all that a worker needs into the folder; returns the network."""
    network = recipe.build_network()
    objective = recipe.build_objective()
    initialise(network.parameters(), Key(0))
    for index, parameter in enumerate(network.parameters()):
        if len(parameter.shape) > 1 and not parameter.value.any():  # zeros would hide what goes through them
            parameter.value[...] = he(Key(1).fold(index), parameter.shape)
            parameter.touch()
    data = synthetic_dataset(network, recipe.schedule.batch_size, BATCHES)
    job = {
        "network": name,
        "batch": recipe.schedule.batch_size,
        "size": getattr(recipe.data, "size", None),
        "threads": threads,
        "layers": describe(network),
        "exits": network.exits,
        "scale": 1 / 255,
        "shift": 0.0,
        "weights": objective.weights,
        "exponent": objective.g,
        "optimiser": recipe.optimiser.kind,
        "rate": recipe.schedule.learning_rate,
        **recipe.optimiser.values,
        "multiples": {p.name: [p.lr_mult, p.decay_mult] for p in network.parameters()},
    }
    (folder / "job.json").write_text(json.dumps(job))
    arrays: dict[str, Any] = {p.name: p.value for p in network.parameters()}
    np.savez(folder / "arrays.npz", images=read_images(data.train), labels=data.train.labels, **arrays)
    return network


def describe(network: Network) -> list[dict]:
    """Every node with its name, those of its inputs, and its layer's kind and numbers, in forward order."""
    return [
        {"name": node.name, "sources": list(node.inputs), "kind": type(node.layer).__name__, **_numbers(node.layer)}
        for node in network.nodes
    ]


def _numbers(layer: Layer) -> dict:
    if type(layer) not in NUMBERS:
        raise UserError(f"{layer} cannot be described to another engine yet: add it to benchmarks/job.py.")
    return NUMBERS[type(layer)](layer)
