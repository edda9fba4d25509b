"""A network that needs no training and no compiled kernel, a run of it, and metrics as a training leaves them."""

from pathlib import Path

import numpy as np

from cldl.recipes.families.nin import MNIST_NIN
from cldl.recipes.recipe import Recipe
from cldl.recipes.stored import to_json
from cldl.training.run import Run
from layers.dropout import Dropout
from layers.flatten import Flatten
from layers.linear import Linear
from layers.network import Network
from layers.sequential import Sequential
from tests.networks import stack

RECIPE = MNIST_NIN.changed(classifiers=2, weights=(1.0, 1.0), epochs=2)
SETTINGS = {
    "seed": 0,
    "threads": 1,
    "device": "cpu",
    "precision": "float32",
    "limit_train": None,
    "limit_test": None,
}
POSITION = {"epoch": 2, "step": 0, "updates": 4, "samples": 0, "loss": 0.0, "seconds": 0.0}


def network(M: int = 2) -> Network:
    """M classifiers that answer k where pixel k of the first row is bright; the bottom one with less confidence."""
    heads = [Sequential(Flatten(), Linear(784, 10)) for _ in range(M)]
    built = stack([Dropout(0.0) for _ in range(M)], heads, (28, 28, 1))
    for parameter in built.parameters():
        parameter.value[...] = 0
        if parameter.shape == (784, 10):
            parameter.value[:10] = np.eye(10) * (2 if "head1" in parameter.name else 5)
    return built


def bright(k: int) -> np.ndarray:
    """The image that both take for a k, (28, 28, 1)."""
    image = np.zeros((28, 28, 1), np.uint8)
    image[0, k] = 255
    return image


def run(folder, monkeypatch) -> Run:
    """A finished run of this network."""
    monkeypatch.setattr("cldl.recipes.recipe.Recipe.build_network", lambda recipe: network())
    made = Run.create(folder, RECIPE, **SETTINGS)
    made.record(metrics(2, M=2))
    made.save({f"weights/{p.name}": p.value for p in network().parameters()}, POSITION)
    return made


def opened(folder: str, recipe: Recipe = RECIPE, seed: int = 0) -> Run:
    """A run of the recipe that has no folder yet."""
    return Run(Path(folder), {"recipe": to_json(recipe), "sources": recipe.sources, **SETTINGS, "seed": seed})


def metrics(epochs: int, M: int = 3) -> list[dict]:
    """The lines of metrics.jsonl."""
    names = [str(m) for m in range(1, M + 1)]
    return [
        {
            "epoch": e,
            "train_loss": 1 / e,
            "train_error": dict.fromkeys([*names, "fused"], 80 / e),
            "train_companions": dict.fromkeys(names, 0.9 / e),
            "test_loss": 1 / e,
            "test_error": {name: 50 / e / (i + 1) for i, name in enumerate([*names, "fused"])},
            "test_companions": dict.fromkeys(names, 0.8 / e),
            "test_share": dict.fromkeys(names, 100 / M),
            "dead_units": {},
            "learning_rate": 0.001,
            "images_per_second": 1234.5,
            "seconds": 61.0,
        }
        for e in range(1, epochs + 1)
    ]
