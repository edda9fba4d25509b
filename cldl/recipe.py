"""A recipe: everything that decides a training run, as data.

A recipe is a frozen dataclass. Each of its values says where it comes from in `sources`: a paper, a published
definition, a measurement of this project, or "inferred" where the paper is silent. Every field can be set on the
command line: --learning-rate 0.001 for learning_rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from cldl.network import Network
from cldl.networks import INITIALISERS, LOWER, nin
from data.augmentation import CropFlip
from data.dataset import Dataset
from data.preprocessing import KINDS, Preprocessing, Scale, fitted
from data.sets import LOADERS
from data.sources import Say, quiet
from engine.errors import UserError
from engine.optimisers import SGD, AdamW, Optimiser
from engine.schedules import SCHEDULES, learning_rate

OPTIMISERS = ("sgd", "adamw")
PENALTIES = ("square", "norm")


@dataclass(frozen=True)
class Recipe:
    """One training run, but for its seed and the machine."""

    name: str
    summary: str
    dataset: str = "mnist"
    preprocessing: str = "scale"  # or one that is fitted (see data.preprocessing)
    mean: float = 0.0  # of "scale", in units of 255
    deviation: float = 1.0
    augment: bool = False  # random crops of the image with 4 zeros around it, and reflections
    classifiers: int = 3  # M, from the top block downwards
    dropout: float = 0.5
    relu_on_scores: bool = False  # a ReLU behind the top classifier's 1x1 convolution
    initialisation: str = "he"
    top_rate: float = 1.0  # multiplies the learning rate of the top classifier's 1x1 convolution
    lower: str = "map"  # what the lower classifiers see: the whole map, or its mean
    lower_rate: float = 0.0005  # multiplies the learning rate of the lower classifiers
    weights: tuple[float, ...] = (1.0, 1.0, 1.0)  # lambda, from the bottom classifier to the top one
    exponent: float | None = None  # g; None: 1 / (M - 1)
    through_companions: bool = True  # False: every T^(m) is held constant in the gradient
    optimiser: str = "adamw"
    learning_rate: float = 0.0015
    momentum: float = 0.9  # of sgd; of adamw, beta1
    nesterov: bool = False
    beta2: float = 0.999  # of adamw
    weight_decay: float = 0.05
    penalty: str = "square"  # or "norm", as the poster prints it
    schedule: str = "cosine"
    warmup: float = 0.5  # epochs
    steps: tuple[float, ...] = ()  # epochs at which the step schedule multiplies the rate by `factor`
    factor: float = 0.1
    power: float = 1.0  # of the polynomial schedule
    floor: float = 0.0  # the last rate of the polynomial and cosine schedules, as a share of the first
    epochs: int = 12
    batch_size: int = 64
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def build(self) -> Network:
        """The network, with its weights as the initialiser draws them for key 0."""
        return nin(
            self.dataset,
            self.classifiers,
            initialisation=self.initialisation,
            dropout=self.dropout,
            top_rate=self.top_rate,
            relu_on_scores=self.relu_on_scores,
            lower=self.lower,
            lower_rate=self.lower_rate,
        )

    def make_preprocessing(self, dataset: Dataset, folder: Path | None = None, say: Say = quiet) -> Preprocessing:
        """From bytes to the network's input; what is fitted on the data set is looked up and kept in the folder, if any."""
        if self.preprocessing == "scale":
            return Scale(self.mean, self.deviation)
        return fitted(self.preprocessing, dataset, folder, say)

    def make_augmentation(self) -> CropFlip | None:
        """What varies the training images."""
        return CropFlip() if self.augment else None

    def make_optimiser(self, network: Network) -> Optimiser:
        """The optimiser of the network's parameters."""
        parameters, decay, penalty = network.parameters(), self.weight_decay, self.penalty
        if self.optimiser == "sgd":
            return SGD(parameters, momentum=self.momentum, nesterov=self.nesterov, decay=decay, penalty=penalty)
        return AdamW(parameters, betas=(self.momentum, self.beta2), decay=decay, penalty=penalty)

    def rate(self, epoch: float) -> float:
        """The learning rate after `epoch` epochs (a fraction within one)."""
        multiple = learning_rate(
            self.schedule,
            epoch / self.epochs,
            warmup=self.warmup / self.epochs,
            steps=tuple(step / self.epochs for step in self.steps),
            factor=self.factor,
            power=self.power,
            floor=self.floor,
        )
        return self.learning_rate * multiple

    def changed(self, **values) -> Recipe:
        """The recipe with other values, checked; the source of what differs is then the command line."""
        other = [name for name, value in values.items() if value != getattr(self, name)]
        recipe = replace(self, **values, sources={**self.sources, **dict.fromkeys(other, "command line")})
        recipe.check()
        return recipe

    def check(self) -> None:
        """Raise UserError unless every value is in its range."""
        ranges = {
            "epochs": (1, 100_000),
            "mean": (-10, 10),
            "deviation": (1e-6, 10),
            "classifiers": (1, 3),
            "dropout": (0, 0.99),
            "top_rate": (0, 1000),
            "lower_rate": (0, 1000),
            "learning_rate": (0, 1000),
            "momentum": (0, 0.9999),
            "beta2": (0, 0.999999),
            "weight_decay": (0, 1),
            "warmup": (0, self.epochs),
            "factor": (0, 1),
            "power": (0, 100),
            "floor": (0, 1),
            "batch_size": (1, 60_000),
        }
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise UserError(f"{name} is {getattr(self, name)}; choose a value from {least:g} to {most:g}.")
        choices = {
            "dataset": tuple(LOADERS),
            "preprocessing": ("scale", *KINDS),
            "lower": tuple(LOWER),
            "initialisation": INITIALISERS,
            "optimiser": OPTIMISERS,
            "penalty": PENALTIES,
            "schedule": SCHEDULES,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")
        if len(self.weights) != self.classifiers or not all(0 <= w < math.inf for w in self.weights):
            raise UserError(
                f"weights is {self.weights}; give {self.classifiers} numbers of 0 or more, one a classifier."
            )
        if self.exponent is not None and not 0 <= self.exponent < math.inf:
            raise UserError(
                f"exponent is {self.exponent}; choose a finite value of 0 or more (1 / (M - 1) by default)."
            )


def settings(recipe: Recipe) -> dict:
    """The fields that decide the run, by name."""
    return {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name != "sources"}
