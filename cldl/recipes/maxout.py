"""Maxout networks (Goodfellow et al., ICML 2013): MNIST and CIFAR-100, short schedules and published ones."""

from __future__ import annotations

from dataclasses import replace

from cldl.recipes.nin import CIFAR100_NIN, MNIST_NIN
from cldl.recipes.sources import (
    AS_MNIST,
    NO_NETWORK,
    NO_OPTIMISER,
    NO_SCHEDULE,
    POSTER,
    TUNED,
    UNTRIED,
)

MNIST = "lisa-lab/pylearn2, scripts/papers/maxout/mnist.yaml"
CIFAR = "lisa-lab/pylearn2, scripts/papers/maxout/cifar10_no_aug.yaml"
AS_CIFAR10 = CIFAR + "; inferred for CIFAR-100, whose own was never published"

_OF_THE_NETWORK = {
    "network": POSTER,
    "augment": POSTER + ": Maxout is listed without",
    "classifiers": "Goodfellow et al., ICML 2013: one",
    "weights": "one classifier has one weight",
    "loss": "Goodfellow et al., ICML 2013: softmax cross-entropy, the CLDL loss of one classifier",
    **dict.fromkeys(("exponent", "through_companions"), "not used by one classifier"),
    **dict.fromkeys(
        ("relu_on_scores", "top_rate", "lower", "lower_rate", "lower_gamma", "lower_power", "lower_epochs"), NO_NETWORK
    ),
    "weight_decay": "Goodfellow et al., ICML 2013: none; the norms are bounded instead",
    "penalty": "not used without weight decay",
}


def _published(definition: str) -> dict[str, str]:
    """Sources of what the definitions say of the training."""
    said = (
        "initialisation", "dropout", "input_dropout", "convolution_rate", "bias_rate", "optimiser", "learning_rate", "momentum",
        "final_momentum", "momentum_epochs", "schedule", "factor", "floor", "decay_epochs", "batch_size",
    )  # fmt: skip
    return {
        **dict.fromkeys(said, definition),
        "nesterov": definition + ": no",
        "warmup": definition + ": none",
        "beta2": NO_OPTIMISER,
        "steps": NO_SCHEDULE,
    }


MNIST_MAXOUT = replace(
    MNIST_NIN,
    name="mnist_maxout",
    summary="Maxout on MNIST: three convolutions, a short schedule (poster: 0.47 % error)",
    network="maxout",
    classifiers=1,
    initialisation="published",
    input_dropout=0.2,
    weights=(1.0,),
    weight_decay=0.0,
    sources={
        **{name: source.replace(TUNED, AS_MNIST) for name, source in MNIST_NIN.sources.items()},
        **_OF_THE_NETWORK,
        **dict.fromkeys(("dropout", "input_dropout"), MNIST),
        "convolution_rate": MNIST + ": one rate for all",
        "initialisation": MNIST,
        "learning_rate": AS_MNIST,
    },
)

MNIST_MAXOUT_PUBLISHED = replace(
    MNIST_MAXOUT,
    name="mnist_maxout_published",
    summary="Maxout on MNIST with its published schedule: SGD, a rising momentum, 300 epochs (days on a CPU)",
    optimiser="sgd",
    learning_rate=0.05,
    momentum=0.5,
    final_momentum=0.7,
    momentum_epochs=250.0,
    lr_schedule="exponential",
    warmup=0.0,
    factor=1.00004**-469,
    floor=2e-5,
    epochs=300,
    batch_size=128,
    sources={
        **MNIST_MAXOUT.sources,
        **_published(MNIST),
        "factor": MNIST + ": divided by 1.00004 an update; an epoch of 60,000 images has 469",
        "floor": MNIST + ": 0.000001 / 0.05",
        "power": NO_SCHEDULE,
        "decay_epochs": NO_SCHEDULE,
        "epochs": UNTRIED + ": the authors stop by the error on 10,000 of the training images, then go on with all",
    },
)

CIFAR100_MAXOUT = replace(
    CIFAR100_NIN,
    name="cifar100_maxout",
    summary="Maxout on CIFAR-100: three convolutions and a linear layer, a short schedule (poster: 38.57 % error)",
    network="maxout",
    classifiers=1,
    initialisation="published",
    dropout=0.5,
    input_dropout=0.2,
    weights=(1.0,),
    weight_decay=0.0,
    sources={
        **CIFAR100_NIN.sources,
        **_OF_THE_NETWORK,
        "network": AS_CIFAR10,
        **dict.fromkeys(("dropout", "input_dropout"), AS_CIFAR10),
        "convolution_rate": UNTRIED + ": AdamW's steps do not depend on the gradients' size, so one rate does for all",
        "initialisation": AS_CIFAR10,
        **dict.fromkeys(("learning_rate", "warmup", "batch_size"), UNTRIED + ": as cifar100_nin"),
    },
)

CIFAR100_MAXOUT_PUBLISHED = replace(
    CIFAR100_MAXOUT,
    name="cifar100_maxout_published",
    summary="Maxout on CIFAR-100 with the schedule published for CIFAR-10: SGD, 785 epochs (weeks on a CPU)",
    convolution_rate=0.05,
    optimiser="sgd",
    learning_rate=0.17,
    momentum=0.5,
    final_momentum=0.6,
    momentum_epochs=250.0,
    lr_schedule="polynomial",
    warmup=0.0,
    power=1.0,
    floor=0.01,
    decay_epochs=500.0,
    epochs=785,
    batch_size=128,
    sources={
        **CIFAR100_MAXOUT.sources,
        **_published(AS_CIFAR10),
        "factor": NO_SCHEDULE,
        "power": AS_CIFAR10 + ": linear",
        "epochs": AS_CIFAR10,
    },
)

RECIPES = (MNIST_MAXOUT, MNIST_MAXOUT_PUBLISHED, CIFAR100_MAXOUT, CIFAR100_MAXOUT_PUBLISHED)
