"""Deeply supervised nets (Lee et al., AISTATS 2015): MNIST and CIFAR-100, short schedules and published ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.models.dsn import dsn
from cldl.recipes.families.nin import CIFAR100_NIN, DEFINITIONS, HELD_OUT, MNIST_NIN
from cldl.recipes.losses import DeepSupervisionSpec, HingeSpec, SoftmaxSpec
from cldl.recipes.model import ModelSpec
from cldl.recipes.optimisers import SGDSpec
from cldl.recipes.recipe import Recipe
from cldl.recipes.schedules import StepSpec
from cldl.recipes.sources import AS_MNIST, POSTER, TUNED, UNTRIED
from cldl.recipes.spec import cited
from engine.typing import Shape
from layers.network import Network

DSN = "s9xie/DSN, examples/best_cifar10_9.65"
README = (
    "s9xie/DSN, README: CIFAR-100 is trained with softmax, because the hinge loss does not converge with many classes"
)
TRUNK = (
    "inferred: the companions of " + DSN + " on NIN's trunk for MNIST; the authors published no definition for MNIST"
)
OUTPUTS = DSN + '; README: "same architecture" for CIFAR-100'
THIRD = UNTRIED + ": the companions go after a third of the run, as in " + DSN
AS_CIFAR100 = UNTRIED + ": as cifar100_nin"


@dataclass(frozen=True, kw_only=True)
class DsnSpec(ModelSpec):
    """A deeply supervised net: three companions below NIN's classifier (see `cldl.models.dsn`).

    top_lr_mult       -- multiplies the learning rate of the top classifier's 1x1 convolution
    companion_lr_mult -- multiplies the learning rate of the companions,
    companion_gamma, companion_power -- times (1 + gamma t)^-power after t updates
    """

    kind: ClassVar[str] = "dsn"
    top_lr_mult: float
    companion_lr_mult: float
    companion_gamma: float
    companion_power: float

    @property
    def n_classifiers(self) -> int:
        return 4

    @property
    def method(self) -> str | None:
        return "DSN"

    def check(self) -> None:
        super().check()
        self.check_choice(DEFINITIONS, "definition")
        self.check_range(0, 1000, "top_lr_mult", "companion_lr_mult", "companion_gamma")
        self.check_range(0, 100, "companion_power")

    def make(self, image: Shape, classes: int) -> Network:
        return dsn(
            DEFINITIONS[self.definition],
            image,
            classes,
            initialisation=self.initialisation,
            dropout=self.dropout,
            top_lr_mult=self.top_lr_mult,
            lower_lr_mult=self.companion_lr_mult,
            lower_gamma=self.companion_gamma,
            lower_power=self.companion_power,
        )


def short_training(nin: Recipe, definition: str, loss: DeepSupervisionSpec) -> dict[str, Any]:
    """What makes DSN of a short recipe of NIN's: its network and loss, trained as NIN is."""
    sources = nin.model.sources
    return {
        "augment": cited(False, POSTER + ": DSN is listed without"),
        "model": cited(
            DsnSpec(
                definition=definition,
                dropout=cited(0.5, DSN),
                initialisation=cited("he", sources["initialisation"]),
                top_lr_mult=cited(1.0, sources["top_lr_mult"]),
                companion_lr_mult=cited(0.0005, MNIST_NIN.sources["model.lower_lr_mult"]),
                companion_gamma=cited(0.0, UNTRIED + ": the schedule decays already"),
                companion_power=cited(0.75, DSN),
                bias_lr_mult=cited(1.0, sources["bias_lr_mult"]),
            ),
            POSTER,
        ),
        "loss": loss,
    }


def published_training(*, companion_epochs: float, milestone: float, epochs: int) -> dict[str, Any]:
    """How the authors train: what it changes of a short recipe."""
    return {
        "initialisation": cited("published", DSN + ": N(0, 0.05^2), companions xavier"),
        "top_lr_mult": cited(0.1, DSN),
        "companion_lr_mult": cited(0.001, DSN),
        "companion_gamma": cited(1e-4, DSN),
        "companion_power": cited(0.75, DSN),
        "bias_lr_mult": cited(2.0, DSN),
        "companion_epochs": cited(companion_epochs, DSN + ": 50,000 steps of 100 images"),
        "optimiser": cited(
            SGDSpec(
                momentum=cited(0.9, DSN),
                nesterov=cited(False, DSN + " (Caffe's sgd)"),
                weight_decay=cited(5e-4, DSN),
                penalty=cited("l2", DSN),
            ),
            DSN,
        ),
        "schedule": cited(
            StepSpec(
                learning_rate=cited(0.025, DSN),
                warmup=cited(0.0, DSN + ": none"),
                milestones=cited((milestone,), DSN + ": 120,000 steps of 100 images"),
                gamma=cited(0.004, DSN + ": 0.0001 / 0.025"),
                momentum_ramp=cited(None, DSN + ": one momentum throughout"),
                epochs=cited(epochs, DSN + ": 150,000 steps of 100 images"),
                batch_size=cited(100, DSN),
            ),
            DSN + ": rate 0.025 for 120,000 steps of 100 images, then 0.0001",
        ),
    }


EQUAL = cited((1.0, 1.0, 1.0, 1.0), DSN)

AS_CIFAR100_NIN = CIFAR100_NIN.recite(HELD_OUT, AS_CIFAR100)

CIFAR100_DSN = AS_CIFAR100_NIN.changed(
    name="cifar100_dsn",
    summary="DSN on CIFAR-100: NIN with three companions that go early",
    preprocessing=cited("gcn", DSN + " (contrast normalisation alone; the norm is pylearn2's, inferred)"),
    **short_training(
        AS_CIFAR100_NIN,
        definition=cited("cifar", OUTPUTS),
        loss=cited(SoftmaxSpec(weights=EQUAL, companion_epochs=cited(20.0, THIRD)), README),
    ),
)

CIFAR100_DSN_PUBLISHED = CIFAR100_DSN.changed(
    name="cifar100_dsn_published",
    summary="DSN on CIFAR-100 as published: 300 epochs",
    **published_training(companion_epochs=100.0, milestone=240.0, epochs=300),
)

AS_MNIST_NIN = MNIST_NIN.recite(TUNED, AS_MNIST)

MNIST_DSN = AS_MNIST_NIN.changed(
    name="mnist_dsn",
    summary="DSN on MNIST: NIN with companions that go early, squared hinge",
    **short_training(
        AS_MNIST_NIN,
        definition=cited("mnist", TRUNK),
        loss=cited(HingeSpec(weights=EQUAL, companion_epochs=cited(4.0, THIRD)), DSN),
    ),
)

MNIST_DSN_PUBLISHED = MNIST_DSN.changed(
    name="mnist_dsn_published",
    summary="DSN on MNIST as published for CIFAR-10: 250 epochs",
    **published_training(companion_epochs=83.0, milestone=200.0, epochs=250),
)

MODELS = {"dsn": CIFAR100_DSN.model}
RECIPES = (MNIST_DSN, MNIST_DSN_PUBLISHED, CIFAR100_DSN, CIFAR100_DSN_PUBLISHED)
