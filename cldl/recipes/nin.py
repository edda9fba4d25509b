"""CLDL on Network in Network, and Network in Network alone: MNIST and CIFAR-100, short schedules and published ones."""

from __future__ import annotations

from dataclasses import replace

from cldl.recipes.recipe import Recipe
from cldl.recipes.sources import (
    ADAMW,
    AS_MNIST,
    HE,
    INFERRED,
    NO_NETWORK,
    NO_OPTIMISER,
    NO_PREPROCESSING,
    NO_SCHEDULE,
    POSTER,
    TUNED,
)

NIN = "mavenlin/cuda-convnet, NIN/mnist_def"
NIN_CIFAR = "mavenlin/cuda-convnet, NIN/cifar-100_def"
NIN_EPOCHS = "mavenlin/cuda-convnet, NIN: the CIFAR-10 schedule; the authors left this one's open"

SHARED_SOURCES = {
    "dataset": POSTER,
    "preprocessing": "Lin et al., ICLR 2014, as maxout: Goodfellow et al., ICML 2013",
    "mean": "Lin et al., ICLR 2014 (pixels divided by 255, as in Goodfellow et al., ICML 2013)",
    "deviation": "Lin et al., ICLR 2014 (pixels divided by 255)",
    "augment": POSTER + ": only CIFAR-100 is augmented",
    "network": POSTER,
    "classifiers": POSTER + ": three classifiers are used",
    "dropout": NIN,
    "relu_on_scores": "s9xie/DSN, best_cifar10_9.65 (commented out there); NIN has it, and classes die of it",
    "initialisation": HE,
    "top_rate": TUNED,
    "lower": INFERRED + "; s9xie/DSN: one inner product on the whole map",
    "lower_rate": TUNED + "; s9xie/DSN multiplies its companions' rate by 0.001 to 0.002",
    "lower_epochs": POSTER + ": all classifiers are trained together",
    "bias_rate": "inferred: AdamW's steps do not depend on the gradients' size, so one rate does for all",
    "loss": POSTER,
    "weights": INFERRED,
    "exponent": POSTER + ": the text's geometric mean, 1 / (M - 1); the print says M - 1",
    "through_companions": POSTER + ": the loss is minimised, T^(m) is part of it",
    "optimiser": TUNED,
    "learning_rate": TUNED,
    "momentum": ADAMW + " (beta1)",
    "nesterov": TUNED,
    "beta2": ADAMW,
    "weight_decay": TUNED,
    "penalty": INFERRED + "; the poster prints the norm, its square is what is usually meant",
    "lr_schedule": TUNED,
    "warmup": TUNED,
    "steps": NIN_EPOCHS,
    "factor": NIN_EPOCHS,
    "power": NO_SCHEDULE,
    "floor": TUNED,
    "decay_epochs": "inferred: the schedule ends with the run",
    **dict.fromkeys(("input_dropout", "convolution_rate", "lower_gamma", "lower_power"), NO_NETWORK),
    **dict.fromkeys(("final_momentum", "momentum_epochs"), NO_OPTIMISER),
    "epochs": TUNED,
    "batch_size": TUNED + " (cuda-convnet: 128)",
}


def _published(definition: str) -> dict[str, str]:
    """Sources of what a definition of NIN's says of the training."""
    said = ("relu_on_scores", "top_rate", "learning_rate", "momentum", "weight_decay", "optimiser", "nesterov")
    return {
        **dict.fromkeys(said, definition),
        **dict.fromkeys(("lr_schedule", "epochs", "warmup"), NIN_EPOCHS),
        "bias_rate": definition + ": epsB is twice epsW",
        **dict.fromkeys(("final_momentum", "momentum_epochs"), definition + ": one momentum throughout"),
        "decay_epochs": NO_SCHEDULE,
        "batch_size": "cuda-convnet's default",
    }


MNIST_NIN = Recipe(
    name="mnist_nin",
    summary="CLDL on MNIST: NIN with three classifiers (poster: 0.28 % error)",
    sources=SHARED_SOURCES,
)

MNIST_NIN_SOFTMAX = replace(
    MNIST_NIN,
    name="mnist_nin_softmax",
    summary="NIN on MNIST: one classifier, plain cross-entropy, the same schedule (poster: 0.42 % error)",
    classifiers=1,
    weights=(1.0,),
    sources={**SHARED_SOURCES, "classifiers": POSTER + ": the NIN column"},
)

MNIST_NIN_PUBLISHED = replace(
    MNIST_NIN,
    name="mnist_nin_published",
    summary="CLDL on MNIST with NIN's published schedule: SGD, 260 epochs (days on a CPU)",
    relu_on_scores=True,
    initialisation="published",
    top_rate=0.1,
    bias_rate=2.0,
    optimiser="sgd",
    learning_rate=0.1,
    weight_decay=1e-4,
    lr_schedule="step",
    steps=(200.0, 230.0),
    warmup=0.0,
    epochs=260,
    batch_size=128,
    sources={**SHARED_SOURCES, **_published(NIN), "initialisation": NIN + ": N(0, 0.05^2)"},
)

TRIED = "tried here: 800 steps on 6,400 images, see docs/results.md"

CIFAR_SOURCES = {
    **SHARED_SOURCES,
    "preprocessing": "Lin et al., ICLR 2014: as maxout, global contrast normalisation and ZCA whitening",
    "dropout": TRIED + " (0.5 in " + NIN_CIFAR + ")",
    "augment": POSTER + ": CIFAR-100 with and without",
    **dict.fromkeys(("mean", "deviation"), NO_PREPROCESSING),
    **{name: source.replace(TUNED, AS_MNIST) for name, source in SHARED_SOURCES.items() if source.startswith(TUNED)},
    **dict.fromkeys(("learning_rate", "warmup", "batch_size"), TRIED),
    "epochs": "chosen here: two processor cores train for an hour",
}

CIFAR100_NIN = Recipe(
    name="cifar100_nin",
    summary="CLDL on CIFAR-100: NIN with three classifiers, a short schedule (poster: 30.40 % error)",
    dataset="cifar100",
    preprocessing="gcn_zca",
    dropout=0.2,
    learning_rate=0.0007,
    warmup=0.25,
    epochs=8,
    batch_size=32,
    sources=CIFAR_SOURCES,
)

CIFAR100_NIN_SOFTMAX = replace(
    CIFAR100_NIN,
    name="cifar100_nin_softmax",
    summary="NIN on CIFAR-100: one classifier, plain cross-entropy, the same schedule (poster: 35.96 % error)",
    classifiers=1,
    weights=(1.0,),
    sources={**CIFAR_SOURCES, "classifiers": POSTER + ": the NIN column"},
)

CIFAR100_NIN_AUGMENTED = replace(
    CIFAR100_NIN,
    name="cifar100_nin_augmented",
    summary="CLDL on CIFAR-100 with crops and reflections (poster: 29.05 % error)",
    augment=True,
    epochs=24,
)

CIFAR100_NIN_AUGMENTED_SOFTMAX = replace(
    CIFAR100_NIN_SOFTMAX,
    name="cifar100_nin_augmented_softmax",
    summary="NIN on CIFAR-100 with crops and reflections, one classifier (poster: 32.75 % error)",
    augment=True,
    epochs=24,
)

CIFAR100_NIN_PUBLISHED = replace(
    MNIST_NIN_PUBLISHED,
    name="cifar100_nin_published",
    summary="CLDL on CIFAR-100 with NIN's published schedule: SGD, 260 epochs (days on a CPU)",
    dataset="cifar100",
    preprocessing="gcn_zca",
    top_rate=1.0,
    learning_rate=0.02,
    weight_decay=5e-4,
    sources={
        **CIFAR_SOURCES,
        **_published(NIN_CIFAR),
        "dropout": NIN_CIFAR,
        "initialisation": NIN_CIFAR + ": N(0, d^2) with d = 0.001, 0.01 and 0.05",
    },
)

RECIPES = (
    MNIST_NIN,
    MNIST_NIN_SOFTMAX,
    MNIST_NIN_PUBLISHED,
    CIFAR100_NIN,
    CIFAR100_NIN_SOFTMAX,
    CIFAR100_NIN_AUGMENTED,
    CIFAR100_NIN_AUGMENTED_SOFTMAX,
    CIFAR100_NIN_PUBLISHED,
)
