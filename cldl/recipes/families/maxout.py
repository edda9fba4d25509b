"""Maxout networks (Goodfellow et al., ICML 2013): MNIST and CIFAR-100, short schedules and published ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.models.maxout import MAXOUT_CIFAR, MAXOUT_MNIST, maxout
from cldl.recipes.families.nin import CIFAR100_NIN, HELD_OUT, MNIST_NIN, ONE_RATE
from cldl.recipes.losses import CrossEntropySpec
from cldl.recipes.model import ModelSpec
from cldl.recipes.optimisers import SGDSpec
from cldl.recipes.schedules import ExponentialSpec, PolynomialSpec
from cldl.recipes.sources import AS_MNIST, POSTER, TUNED, UNTRIED
from cldl.recipes.spec import cited
from engine.typing import Shape
from layers.network import Network

PAPER = "Goodfellow et al., ICML 2013"
MNIST = "lisa-lab/pylearn2, scripts/papers/maxout/mnist.yaml"
CIFAR = "lisa-lab/pylearn2, scripts/papers/maxout/cifar10_no_aug.yaml"
AS_CIFAR10 = CIFAR + "; inferred for CIFAR-100, whose own was never published"
AS_CIFAR100 = UNTRIED + ": as cifar100_nin"


DEFINITIONS = {"mnist": MAXOUT_MNIST, "cifar": MAXOUT_CIFAR}


@dataclass(frozen=True, kw_only=True)
class MaxoutSpec(ModelSpec):
    """A Maxout network with one classifier (see `cldl.models.maxout`).

    input_dropout -- the probability that a pixel is dropped
    conv_lr_mult  -- multiplies the learning rate of the convolutions
    """

    kind: ClassVar[str] = "maxout"
    input_dropout: float
    conv_lr_mult: float

    @property
    def n_classifiers(self) -> int:
        return 1

    @property
    def method(self) -> str | None:
        return "Maxout"

    def check(self) -> None:
        super().check()
        self.check_choice(DEFINITIONS, "definition")
        self.check_range(0, 0.99, "input_dropout")
        self.check_range(0, 1000, "conv_lr_mult")

    def make(self, image: Shape, classes: int) -> Network:
        return maxout(
            DEFINITIONS[self.definition],
            image,
            classes,
            initialisation=self.initialisation,
            dropout=self.dropout,
            input_dropout=self.input_dropout,
            convolution_lr_mult=self.conv_lr_mult,
        )


def method(definition: str, source: str, conv_lr_mult: float) -> dict[str, Any]:
    """What makes Maxout of a short recipe of NIN's: its network and loss, trained as NIN is."""
    return {
        "augment": cited(False, POSTER + ": Maxout is listed without"),
        "model": cited(
            MaxoutSpec(
                definition=cited(definition, source),
                dropout=cited(0.5, source),
                input_dropout=cited(0.2, source),
                initialisation=cited("published", source),
                conv_lr_mult=conv_lr_mult,
                bias_lr_mult=cited(1.0, ONE_RATE),
            ),
            POSTER,
        ),
        "loss": cited(CrossEntropySpec(), PAPER),
        "weight_decay": cited(0.0, PAPER + ": none; the norms are bounded instead"),
    }


def published_sgd(definition: str) -> SGDSpec:
    """The optimiser of a definition; the schedule raises its momentum."""
    return SGDSpec(
        momentum=cited(0.5, definition),
        nesterov=cited(False, definition + ": no"),
        weight_decay=cited(0.0, PAPER + ": none; the norms are bounded instead"),
        penalty=cited("l2", "inferred: the usual one, of weight 0"),
    )


MNIST_MAXOUT = MNIST_NIN.recite(TUNED, AS_MNIST).changed(
    name="mnist_maxout",
    summary="Maxout on MNIST: three convolutions",
    **method("mnist", MNIST, conv_lr_mult=cited(1.0, MNIST + ": one rate for all")),
)

MNIST_MAXOUT_PUBLISHED = MNIST_MAXOUT.changed(
    name="mnist_maxout_published",
    summary="Maxout on MNIST as published: 300 epochs",
    bias_lr_mult=cited(1.0, MNIST),
    optimiser=cited(published_sgd(MNIST), MNIST),
    schedule=cited(
        ExponentialSpec(
            learning_rate=cited(0.05, MNIST),
            warmup=cited(0.0, MNIST + ": none"),
            gamma=cited(1.00004**-469, MNIST + ": divided by 1.00004 an update; an epoch of 60,000 images has 469"),
            min_lr_ratio=cited(2e-5, MNIST + ": 0.000001 / 0.05"),
            momentum_ramp=cited((0.5, 0.7, 250.0), MNIST),
            epochs=cited(
                300, UNTRIED + ": the authors stop by the error on 10,000 of the training images, then go on with all"
            ),
            batch_size=cited(128, MNIST),
        ),
        MNIST,
    ),
)

CIFAR100_MAXOUT = CIFAR100_NIN.recite(HELD_OUT, AS_CIFAR100).changed(
    name="cifar100_maxout",
    summary="Maxout on CIFAR-100: three convolutions, a linear layer",
    **method("cifar", AS_CIFAR10, conv_lr_mult=cited(1.0, UNTRIED + ONE_RATE.removeprefix("inferred"))),
)

CIFAR100_MAXOUT_PUBLISHED = CIFAR100_MAXOUT.changed(
    name="cifar100_maxout_published",
    summary="Maxout on CIFAR-100 as for CIFAR-10: 785 epochs",
    conv_lr_mult=cited(0.05, AS_CIFAR10),
    bias_lr_mult=cited(1.0, AS_CIFAR10),
    optimiser=cited(published_sgd(AS_CIFAR10), AS_CIFAR10),
    schedule=cited(
        PolynomialSpec(
            learning_rate=cited(0.17, AS_CIFAR10),
            warmup=cited(0.0, AS_CIFAR10 + ": none"),
            power=cited(1.0, AS_CIFAR10 + ": linear"),
            min_lr_ratio=cited(0.01, AS_CIFAR10),
            decay_epochs=cited(500.0, AS_CIFAR10),
            momentum_ramp=cited((0.5, 0.6, 250.0), AS_CIFAR10),
            epochs=cited(785, AS_CIFAR10),
            batch_size=cited(128, AS_CIFAR10),
        ),
        AS_CIFAR10,
    ),
)

MODELS = {"maxout": CIFAR100_MAXOUT.model}
RECIPES = (MNIST_MAXOUT, MNIST_MAXOUT_PUBLISHED, CIFAR100_MAXOUT, CIFAR100_MAXOUT_PUBLISHED)
