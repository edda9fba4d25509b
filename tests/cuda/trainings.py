"""Short trainings of a small network, on the CPU or on the simulated GPU; JSON: {training: its steps, test, weights}."""

import json
import sys

import numpy as np

from cldl.recipes import find
from cldl.recipes.recipe import Recipe
from data.dataset import Dataset
from layers import AvgPool2d, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d, ReLU, Sequential
from layers.network import Network
from tests.networks import stack

BASE = find("mnist_nin").changed(classifiers=2, weights=(1.0, 0.5), epochs=1, batch_size=4, warmup=0.0)
SGD = {"optimiser": "sgd", "momentum": 0.9}
TRAININGS = {
    "AdamW": BASE.changed(epochs=2),
    "SGD": BASE.changed(**SGD, learning_rate=0.05, penalty="norm"),
    "augmented and whitened": BASE.changed(**SGD, nesterov=True, augment=True, preprocessing="gcn_zca"),
    "hinge, bounded norms": BASE.changed(**SGD, loss="hinge", companion_epochs=1, epochs=2, learning_rate=0.01),
    "each channel scaled": BASE.changed(preprocessing="standard", through_companions=False, unweighted_share=0.25),
}


def network() -> Network:
    """A little of everything: 5 x 4 images of two channels, three classes."""
    first = [Conv2d(2, 4, 3, padding=1, groups=2), ReLU(), Conv2d(4, 4, 1), ReLU(), MaxPool2d(2, ceil=True)]
    second = [Dropout(0.25), Conv2d(4, 3, 3, padding=1), ReLU(), AvgPool2d(2, 1, 1)]
    top = Sequential(GlobalAvgPool(), Linear(3, 3, max_norm=0.5))
    return stack([Sequential(*first), Sequential(*second)], [Sequential(Flatten(), Linear(24, 3)), top], (5, 4, 2))


def dataset() -> Dataset:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (6, 5, 4, 2)).astype(np.uint8), np.arange(6) % 3
    return Dataset.from_arrays("noise", images, labels, images[:3], labels[:3], ("a", "b", "c"))


def train(recipe: Recipe, device: str) -> dict:
    """Epochs of two steps, the second smaller; then the state, the test, and what it is called."""
    from cldl.training.trainer import Trainer

    trainer = Trainer.from_recipe(recipe, dataset(), seed=3, threads=1, device=device)
    steps = []
    for _ in range(recipe.schedule.epochs):
        for sums in trainer.steps():
            steps.append([sums.loss, *sums.wrong.tolist(), *sums.companions.tolist()])
        line, _ = trainer.end_epoch()
    arrays, numbers = trainer.state()
    trainer.restore(arrays, numbers)
    weights = {name: array.tolist() for name, array in arrays.items()}
    found = {"steps": steps, "test": [line["test_loss"], *line["test_error"].values()], "weights": weights}
    graphs = {size: step.graph for (size, _), step in getattr(trainer.train_step, "captured", {}).items()}
    reasons = {str(size): [graph.reason, graph.graph is not None] for size, graph in graphs.items()}
    return found | {"device": trainer.backend.device_name, "dead": line["dead_units"], "graphs": reasons}


def main(device: str) -> None:
    Recipe.build_network = lambda recipe: network()
    json.dump({name: train(recipe, device) for name, recipe in TRAININGS.items()}, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1] == "cuda":
        from tests.cuda import stand_in

        stand_in.install()
    main(sys.argv[1])
