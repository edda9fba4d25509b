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

from cldl.models import INITIALISERS, LOWER, MAXOUT_CIFAR, MAXOUT_MNIST, NIN_CIFAR, NIN_MNIST, dsn, maxout, nin
from cldl.objective import LOSSES, Objective
from data.dataset import Dataset
from data.fetch.download import Say, quiet
from data.registry import LOADERS
from data.transforms.augmentation import CropFlip
from data.transforms.preprocessing import KINDS, Contrast, Preprocessing, Scale, fitted
from engine.errors import UserError
from engine.optim.optimisers import SGD, AdamW, Optimiser
from engine.optim.schedules import SCHEDULES, learning_rate, ramp
from layers.network import Network

NETWORKS = {"nin": (1, 2, 3, 4, 5), "dsn": (4,), "maxout": (1,)}  # how many classifiers each can have
OPTIMISERS = ("sgd", "adamw")
PENALTIES = ("square", "norm")


class FlatSchedule:
    def __init__(self, recipe):
        self.recipe, self.epochs, self.batch_size = recipe, recipe.epochs, recipe.batch_size

    def learning_rate_at(self, epoch):
        return self.recipe.rate(epoch)

    def momentum_at(self, epoch):
        return self.recipe.momentum_after(epoch)


@dataclass(frozen=True)
class Recipe:
    """One training run, but for its seed and the machine."""

    name: str
    summary: str
    dataset: str = "mnist"
    preprocessing: str = "scale"  # or one that is fitted (see data.transforms.preprocessing)
    mean: float = 0.0  # of "scale", in units of 255
    deviation: float = 1.0
    augment: bool = False  # random crops of the image with 4 zeros around it, and reflections
    network: str = "nin"
    classifiers: int = 3  # M; for nin from the top downwards
    dropout: float = 0.5
    input_dropout: float = 0.0  # of the image, by maxout
    relu_on_scores: bool = False  # a ReLU behind the top classifier's 1x1 convolution
    initialisation: str = "he"
    top_rate: float = 1.0  # multiplies the learning rate of the top classifier's 1x1 convolution
    lower: str = "map"  # what the lower classifiers see: the whole map, or its mean
    lower_rate: float = 0.0005  # multiplies the learning rate of the lower classifiers
    lower_gamma: float = 0.0  # after t updates, dsn multiplies it by (1 + lower_gamma t)^-lower_power too
    lower_power: float = 0.75
    lower_epochs: float | None = None  # after which the loss leaves the lower classifiers out; None: never
    convolution_rate: float = 1.0  # multiplies the learning rate of maxout's convolutions
    bias_rate: float = 1.0  # multiplies the learning rate of all biases
    loss: str = "cldl"
    weights: tuple[float, ...] = (1.0, 1.0, 1.0)  # lambda, from the bottom classifier to the top one
    exponent: float | None = None  # g; None: 1 / (M - 1)
    through_companions: bool = True  # False: every T^(m) is held constant in the gradient
    optimiser: str = "adamw"
    learning_rate: float = 0.0015
    momentum: float = 0.9  # of sgd; of adamw, beta1
    final_momentum: float | None = None  # of sgd, reached in a line after momentum_epochs; None: it stays
    momentum_epochs: float = 1.0
    nesterov: bool = False
    beta2: float = 0.999  # of adamw
    weight_decay: float = 0.05
    penalty: str = "square"  # or "norm", as the poster prints it
    lr_schedule: str = "cosine"
    warmup: float = 0.5  # epochs
    steps: tuple[float, ...] = ()  # epochs at which the step schedule multiplies the rate by `factor`
    factor: float = 0.1  # of the step schedule; of the exponential one, an epoch
    power: float = 1.0  # of the polynomial schedule
    floor: float = 0.0  # the last rate of the exponential, polynomial and cosine schedules, as a share of the first
    decay_epochs: float | None = None  # after which polynomial and cosine are at their floor; None: at the end
    epochs: int = 12
    batch_size: int = 64
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def build_network(self) -> Network:
        """The network, with its weights as the initialiser draws them for key 0."""
        mnist = self.dataset == "mnist"
        image, classes = ((28, 28, 1), 10) if mnist else ((32, 32, 3), 100)
        shared: dict = {"initialisation": self.initialisation, "dropout": self.dropout}
        if self.network == "maxout":
            own: dict = {"input_dropout": self.input_dropout, "convolution_lr_mult": self.convolution_rate}
            network = maxout(MAXOUT_MNIST if mnist else MAXOUT_CIFAR, image, classes, **shared, **own)
        else:
            definition = NIN_MNIST if mnist else NIN_CIFAR
            shared |= {"top_lr_mult": self.top_rate, "lower_lr_mult": self.lower_rate}
            if self.network == "dsn":
                decay: dict = {"lower_gamma": self.lower_gamma, "lower_power": self.lower_power}
                network = dsn(definition, image, classes, **shared, **decay)
            else:
                head: dict = {"relu_on_logits": self.relu_on_scores, "lower": self.lower}
                network = nin(definition, image, classes, self.classifiers, **shared, **head)
        for parameter in network.parameters():
            if parameter.name.endswith("bias"):
                parameter.lr_mult *= self.bias_rate
        return network

    def build_objective(self) -> Objective:
        """The loss, and the prediction."""
        return Objective(self.weights, self.exponent, self.through_companions, self.loss, self.lower_epochs)

    @property
    def schedule(self) -> FlatSchedule:
        return FlatSchedule(self)

    def build_preprocessing(self, dataset: Dataset, folder: Path | None = None, say: Say = quiet) -> Preprocessing:
        """From bytes to the network's input; what is fitted on the data set is looked up and kept in the folder, if any."""
        return self.fixed_preprocessing() or fitted(self.preprocessing, dataset, folder, say)

    def fixed_preprocessing(self) -> Preprocessing | None:
        """The preprocessing, where it needs no data set to be fitted on."""
        fixed: dict[str, Preprocessing] = {"scale": Scale(self.mean, self.deviation), "gcn": Contrast()}
        return fixed.get(self.preprocessing)

    def build_augmentation(self) -> CropFlip | None:
        """What varies the training images."""
        return CropFlip() if self.augment else None

    def build_optimiser(self, network: Network) -> Optimiser:
        """The optimiser of the network's parameters."""
        parameters, decay, penalty = network.parameters(), self.weight_decay, self.penalty
        if self.optimiser == "sgd":
            return SGD(
                parameters,
                momentum=self.momentum,
                nesterov=self.nesterov,
                weight_decay=decay,
                penalty="l2" if penalty == "square" else penalty,
            )
        return AdamW(
            parameters,
            betas=(self.momentum, self.beta2),
            weight_decay=decay,
            penalty="l2" if penalty == "square" else penalty,
        )

    def rate(self, epoch: float) -> float:
        """The learning rate after `epoch` epochs (a fraction within one)."""
        multiple = learning_rate(
            self.lr_schedule,
            epoch,
            self.epochs if self.decay_epochs is None else self.decay_epochs,
            warmup=self.warmup,
            steps=self.steps,
            factor=self.factor,
            power=self.power,
            floor=self.floor,
        )
        return self.learning_rate * multiple

    def momentum_after(self, epoch: float) -> float:
        """The momentum after `epoch` epochs."""
        if self.final_momentum is None:
            return self.momentum
        return ramp(self.momentum, self.final_momentum, epoch / self.momentum_epochs)

    def changed(self, **values) -> Recipe:
        """The recipe with other values, checked; the source of what differs is then the command line.

        Where the number of classifiers changes and all had one weight, all have that weight.
        """
        M = values.get("classifiers", self.classifiers)
        if self.classifiers != M and "weights" not in values and len(set(self.weights)) == 1:
            values["weights"] = self.weights[:1] * M
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
            "dropout": (0, 0.99),
            "input_dropout": (0, 0.99),
            "top_rate": (0, 1000),
            "lower_rate": (0, 1000),
            "lower_gamma": (0, 1000),
            "lower_power": (0, 100),
            "lower_epochs": (0, 100_000),
            "convolution_rate": (0, 1000),
            "bias_rate": (0, 1000),
            "exponent": (0, 1e9),
            "learning_rate": (0, 1000),
            "momentum": (0, 0.9999),
            "final_momentum": (0, 0.9999),
            "momentum_epochs": (1e-6, 100_000),
            "beta2": (0, 0.999999),
            "weight_decay": (0, 1),
            "warmup": (0, self.epochs),
            "factor": (0, 1),
            "power": (0, 100),
            "floor": (0, 1),
            "decay_epochs": (1e-6, 100_000),
            "batch_size": (1, 60_000),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise UserError(f"{name} is {value}; choose a value from {least:g} to {most:g}.")
        choices = {
            "dataset": tuple(LOADERS),
            "preprocessing": ("scale", "gcn", *KINDS),
            "network": tuple(NETWORKS),
            "loss": LOSSES,
            "lower": tuple(LOWER),
            "initialisation": INITIALISERS,
            "optimiser": OPTIMISERS,
            "penalty": PENALTIES,
            "lr_schedule": SCHEDULES,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")
        if self.classifiers not in NETWORKS[self.network]:
            raise UserError(
                f"classifiers is {self.classifiers}; {self.network} has places for "
                f"{' or '.join(map(str, NETWORKS[self.network]))}: choose so many."
            )
        if len(self.weights) != self.classifiers or not all(0 <= w < math.inf for w in self.weights):
            raise UserError(
                f"weights is {self.weights}; give {self.classifiers} numbers of 0 or more, one a classifier."
            )
        if self.loss == "cldl" and self.lower_epochs is not None:
            raise UserError(
                f"lower_epochs is {self.lower_epochs:g}; under the CLDL loss the lower classifiers cannot be left out, because "
                "they weight the others' losses: choose the loss softmax or hinge."
            )
        if self.final_momentum is not None and self.optimiser != "sgd":
            raise UserError(f"final_momentum is {self.final_momentum:g}; only sgd has a momentum that can change.")


def settings(recipe: Recipe) -> dict:
    """The fields that decide the run, by name."""
    return {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name != "sources"}
