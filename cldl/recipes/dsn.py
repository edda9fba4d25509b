"""Deeply supervised nets (Lee et al., AISTATS 2015): MNIST and CIFAR-100, short schedules and published ones."""

from __future__ import annotations

from dataclasses import replace

from cldl.recipes.nin import CIFAR100_NIN, MNIST_NIN
from cldl.recipes.sources import (
    AS_MNIST,
    NO_LOSS,
    NO_NETWORK,
    NO_OPTIMISER,
    NO_SCHEDULE,
    POSTER,
    TUNED,
    UNTRIED,
)

DSN = "s9xie/DSN, examples/best_cifar10_9.65"
README = (
    "s9xie/DSN, README: CIFAR-100 is trained with softmax, because the hinge loss does not converge with many classes"
)
TRUNK = (
    "inferred: the companions of " + DSN + " on NIN's trunk for MNIST; the authors published no definition for MNIST"
)
THIRD = UNTRIED + ": the companions go after a third of the run, as in " + DSN

_OF_THE_NETWORK = {
    "network": POSTER,
    "augment": POSTER + ": DSN is listed without",
    **dict.fromkeys(("classifiers", "dropout", "weights"), DSN),
    "relu_on_scores": NO_NETWORK + ": it has no ReLU there",
    "lower": NO_NETWORK + ": its companions see the whole map",
    **dict.fromkeys(("exponent", "through_companions"), NO_LOSS),
    **dict.fromkeys(("input_dropout", "convolution_rate"), NO_NETWORK),
}

_SHORT = {
    "lower_gamma": UNTRIED + ": the schedule decays already",
    "lower_power": "not used where lower_gamma is 0",
    "lower_epochs": THIRD,
}

_PUBLISHED = {
    **_OF_THE_NETWORK,
    "initialisation": DSN + ": N(0, 0.05^2), companions xavier",
    **dict.fromkeys(("top_rate", "lower_rate", "lower_gamma", "lower_power", "bias_rate"), DSN),
    **dict.fromkeys(("optimiser", "learning_rate", "momentum", "weight_decay", "penalty", "batch_size"), DSN),
    "nesterov": DSN + " (Caffe's sgd)",
    "beta2": NO_OPTIMISER,
    **dict.fromkeys(("final_momentum", "momentum_epochs"), DSN + ": one momentum throughout"),
    **dict.fromkeys(("power", "floor", "decay_epochs"), NO_SCHEDULE),
    "warmup": DSN + ": none",
    "lower_epochs": DSN + ": 50,000 steps of 100 images",
    **dict.fromkeys(("lr_schedule", "steps"), DSN + ": rate 0.025 for 120,000 steps of 100 images, then 0.0001"),
    "factor": DSN + ": 0.0001 / 0.025",
    "epochs": DSN + ": 150,000 steps of 100 images",
}

CIFAR100_DSN = replace(
    CIFAR100_NIN,
    name="cifar100_dsn",
    summary="DSN on CIFAR-100: NIN with three companions that go early, a short schedule (poster: 34.57 % error)",
    preprocessing="gcn",
    network="dsn",
    classifiers=4,
    dropout=0.5,
    lower_epochs=3.0,
    loss="softmax",
    weights=(1.0, 1.0, 1.0, 1.0),
    sources={
        **CIFAR100_NIN.sources,
        **_OF_THE_NETWORK,
        **_SHORT,
        **dict.fromkeys(("learning_rate", "warmup", "batch_size"), UNTRIED + ": as cifar100_nin"),
        "preprocessing": DSN + " (contrast normalisation alone; the norm is pylearn2's, inferred)",
        "loss": README,
    },
)

CIFAR100_DSN_PUBLISHED = replace(
    CIFAR100_DSN,
    name="cifar100_dsn_published",
    summary="DSN on CIFAR-100 with its published schedule: SGD, 300 epochs, companions for 100 (days on a CPU)",
    initialisation="published",
    top_rate=0.1,
    lower_rate=0.001,
    lower_gamma=1e-4,
    lower_power=0.75,
    lower_epochs=100.0,
    bias_rate=2.0,
    optimiser="sgd",
    learning_rate=0.025,
    weight_decay=5e-4,
    lr_schedule="step",
    warmup=0.0,
    steps=(240.0,),
    factor=0.004,
    epochs=300,
    batch_size=100,
    sources={
        **CIFAR100_DSN.sources,
        **_PUBLISHED,
    },
)

MNIST_DSN = replace(
    MNIST_NIN,
    name="mnist_dsn",
    summary="DSN on MNIST: NIN with three companions that go early, squared hinge, a short schedule (poster: 0.39 % error)",
    network="dsn",
    classifiers=4,
    lower_epochs=4.0,
    loss="hinge",
    weights=(1.0, 1.0, 1.0, 1.0),
    sources={
        **{name: source.replace(TUNED, AS_MNIST) for name, source in MNIST_NIN.sources.items()},
        **_OF_THE_NETWORK,
        **_SHORT,
        "network": TRUNK,
        "loss": DSN,
    },
)

MNIST_DSN_PUBLISHED = replace(
    CIFAR100_DSN_PUBLISHED,
    name="mnist_dsn_published",
    summary="DSN on MNIST with the schedule published for CIFAR-10: SGD, 250 epochs, companions for 83 (days on a CPU)",
    dataset="mnist",
    preprocessing="scale",
    loss="hinge",
    lower_epochs=83.0,
    steps=(200.0,),
    epochs=250,
    sources={
        **MNIST_DSN.sources,
        **_PUBLISHED,
        "network": TRUNK,
    },
)

RECIPES = (CIFAR100_DSN, CIFAR100_DSN_PUBLISHED, MNIST_DSN, MNIST_DSN_PUBLISHED)
