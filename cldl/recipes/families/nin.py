"""CLDL on Network in Network, and Network in Network alone: MNIST and CIFAR-100, short schedules and published ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cldl.models.nin import LOWER, NIN_CIFAR, NIN_MNIST, nin
from cldl.recipes.data import DataSpec
from cldl.recipes.losses import CldlLossSpec
from cldl.recipes.model import ModelSpec
from cldl.recipes.optimisers import AdamWSpec, SGDSpec
from cldl.recipes.recipe import Recipe
from cldl.recipes.schedules import CosineSpec, StepSpec
from cldl.recipes.sources import ADAMW, AS_MNIST, HE, INFERRED, POSTER, TUNED
from cldl.recipes.spec import cited
from engine.errors import UserError
from engine.typing import Shape
from layers.network import Network

NIN = "mavenlin/cuda-convnet, NIN/mnist_def"
CIFAR_DEF = "mavenlin/cuda-convnet, NIN/cifar-100_def"
NIN_EPOCHS = "mavenlin/cuda-convnet, NIN: the CIFAR-10 schedule; the authors left this one's open"
ONE_RATE = "inferred: AdamW's steps do not depend on the gradients' size, so one rate does for all"
HELD_OUT = "chosen here on training images that were held out, see docs/results.md"
PENALTY = cited("l2", INFERRED + "; the poster prints the norm, its square is what is usually meant")


DEFINITIONS = {"mnist": NIN_MNIST, "cifar": NIN_CIFAR}


@dataclass(frozen=True, kw_only=True)
class NinSpec(ModelSpec):
    """Network in Network with 1 to 5 classifiers (see `cldl.models.nin`).

    classifiers    -- M, from the top downwards
    relu_on_logits -- whether a ReLU follows the top classifier's 1x1 convolution
    top_lr_mult    -- multiplies the learning rate of the top classifier's 1x1 convolution
    lower_head     -- what the lower classifiers see: the whole "map", its "mean", or its pixels through two convolutions, "conv"
    lower_lr_mult  -- multiplies the learning rate of the lower classifiers
    lower_dropout  -- the dropout of what the lower classifiers see
    width          -- multiplies the number of outputs of every convolution but the last
    """

    kind: ClassVar[str] = "nin"
    classifiers: int
    relu_on_logits: bool
    top_lr_mult: float
    lower_head: str
    lower_lr_mult: float
    lower_dropout: float = 0.0
    width: float = 1.0

    @property
    def n_classifiers(self) -> int:
        return self.classifiers

    @property
    def method(self) -> str | None:
        return "NIN" if self.classifiers == 1 else None

    def check(self) -> None:
        super().check()
        self.check_choice(DEFINITIONS, "definition")
        if not 1 <= self.classifiers <= 5:
            raise UserError(f"model.classifiers is {self.classifiers}; nin has places for 1 to 5: choose so many.")
        self.check_choice(LOWER, "lower_head")
        self.check_range(0, 1000, "top_lr_mult", "lower_lr_mult")
        self.check_range(0, 0.99, "lower_dropout")
        self.check_range(0.01, 10, "width")

    def make(self, image: Shape, classes: int) -> Network:
        return nin(
            DEFINITIONS[self.definition],
            image,
            classes,
            self.classifiers,
            initialisation=self.initialisation,
            dropout=self.dropout,
            top_lr_mult=self.top_lr_mult,
            relu_on_logits=self.relu_on_logits,
            lower=self.lower_head,
            lower_lr_mult=self.lower_lr_mult,
            lower_dropout=self.lower_dropout,
            width=self.width,
        )


MNIST_NIN = Recipe(
    name="mnist_nin",
    summary="CLDL on MNIST: NIN with three classifiers",
    data=DataSpec(
        dataset=cited("mnist", POSTER),
        preprocessing=cited("scale", "Lin et al., ICLR 2014, as maxout: Goodfellow et al., ICML 2013 (pixels / 255)"),
        augment=cited(False, POSTER + ": only CIFAR-100 is augmented"),
    ),
    model=cited(
        NinSpec(
            definition=cited("mnist", NIN),
            classifiers=cited(3, POSTER + ": three classifiers are used"),
            dropout=cited(0.5, NIN),
            initialisation=cited("he", HE),
            relu_on_logits=cited(
                False, "s9xie/DSN, best_cifar10_9.65 (commented out); NIN has it, and classes die of it"
            ),
            top_lr_mult=cited(1.0, TUNED),
            lower_head=cited("map", INFERRED + "; s9xie/DSN: one inner product on the whole map"),
            lower_lr_mult=cited(
                0.0005, "chosen here, see docs/results.md; s9xie/DSN multiplies its companions' rate by 0.001 to 0.002"
            ),
            lower_dropout=cited(0.0, INFERRED + "; s9xie/DSN has none"),
            bias_lr_mult=cited(1.0, ONE_RATE),
            width=cited(1.0, NIN),
        ),
        POSTER,
    ),
    loss=cited(
        CldlLossSpec(
            weights=cited((1.0, 1.0, 1.0), INFERRED),
            exponent=cited(None, POSTER + ": the text's geometric mean, 1 / (M - 1); the print says M - 1"),
            through_companions=cited(True, POSTER + ": the loss is minimised, T^(m) is part of it"),
            unweighted_share=cited(0.0, POSTER + " has none"),
            exponent_epochs=cited(None, POSTER + ": one exponent throughout"),
        ),
        POSTER,
    ),
    optimiser=cited(
        AdamWSpec(
            beta1=cited(0.9, ADAMW),
            beta2=cited(0.999, ADAMW),
            weight_decay=cited(0.05, TUNED),
            penalty=PENALTY,
        ),
        TUNED,
    ),
    schedule=cited(
        CosineSpec(
            learning_rate=cited(0.0015, TUNED),
            warmup=cited(0.5, TUNED),
            min_lr_ratio=cited(0.0, TUNED),
            decay_epochs=cited(None, "inferred: the schedule ends with the run"),
            momentum_ramp=cited(None, ADAMW + ": beta1 does not change"),
            epochs=cited(12, TUNED),
            batch_size=cited(64, TUNED + " (cuda-convnet: 128)"),
        ),
        TUNED,
    ),
)


def published_training(definition: str, *, learning_rate: float, weight_decay: float) -> dict[str, Any]:
    """How a definition of NIN's trains: what it changes of a short recipe."""
    return {
        "relu_on_logits": cited(True, definition),
        "bias_lr_mult": cited(2.0, definition + ": epsB is twice epsW"),
        "optimiser": cited(
            SGDSpec(
                momentum=cited(0.9, definition),
                nesterov=cited(False, definition),
                weight_decay=cited(weight_decay, definition),
                penalty=PENALTY,
            ),
            definition,
        ),
        "schedule": cited(
            StepSpec(
                learning_rate=cited(learning_rate, definition),
                warmup=cited(0.0, NIN_EPOCHS),
                milestones=cited((200.0, 230.0), NIN_EPOCHS),
                gamma=cited(0.1, NIN_EPOCHS),
                momentum_ramp=cited(None, definition + ": one momentum throughout"),
                epochs=cited(260, NIN_EPOCHS),
                batch_size=cited(128, "cuda-convnet's default"),
            ),
            NIN_EPOCHS,
        ),
    }


def one_classifier(recipe: Recipe) -> dict[str, Any]:
    """What makes NIN alone of a recipe of CLDL's: the top classifier only."""
    return {
        "classifiers": cited(1, POSTER + ": the NIN column"),
        "weights": cited((1.0,), recipe.sources["loss.weights"]),
    }


MNIST_NIN_SOFTMAX = MNIST_NIN.changed(
    name="mnist_nin_softmax",
    summary="NIN on MNIST: one classifier, the same schedule",
    **one_classifier(MNIST_NIN),
)

MNIST_NIN_SHARED = MNIST_NIN.changed(
    name="mnist_nin_shared",
    summary="CLDL on MNIST, half of each loss unweighted: not the poster's loss",
    lower_dropout=cited(0.5, HELD_OUT),
    lower_lr_mult=cited(1.0, HELD_OUT),
    unweighted_share=cited(0.5, HELD_OUT),
)

MNIST_NIN_PUBLISHED = MNIST_NIN.changed(
    name="mnist_nin_published",
    summary="CLDL on MNIST, NIN's schedule: 260 epochs",
    initialisation=cited("published", NIN + ": N(0, 0.05^2)"),
    top_lr_mult=cited(0.1, NIN),
    **published_training(NIN, learning_rate=0.1, weight_decay=1e-4),
)

CIFAR100_NIN = MNIST_NIN.recite(TUNED, AS_MNIST).changed(
    name="cifar100_nin",
    summary="CLDL on CIFAR-100: NIN with three classifiers",
    dataset=cited("cifar100", POSTER),
    preprocessing=cited("gcn_zca", "Lin et al., ICLR 2014: as maxout, global contrast normalisation and ZCA whitening"),
    augment=cited(False, POSTER + ": CIFAR-100 with and without"),
    definition=cited("cifar", CIFAR_DEF),
    dropout=cited(0.5, CIFAR_DEF),
    lower_head=cited("mean", HELD_OUT + "; so is NIN's top classifier"),
    lower_lr_mult=cited(1.0, HELD_OUT),
    learning_rate=cited(0.001, HELD_OUT),
    warmup=cited(1.0, HELD_OUT),
    epochs=cited(60, "chosen here: two processor cores train for hours; 260 in " + NIN_EPOCHS),
    batch_size=cited(64, HELD_OUT),
)

CIFAR100_NIN_SOFTMAX = CIFAR100_NIN.changed(
    name="cifar100_nin_softmax",
    summary="NIN on CIFAR-100: one classifier, the same schedule",
    **one_classifier(CIFAR100_NIN),
)

AUGMENTED: dict[str, Any] = {"augment": cited(True, POSTER + ": CIFAR-100 with and without")}

CIFAR100_NIN_AUGMENTED = CIFAR100_NIN.changed(
    name="cifar100_nin_augmented",
    summary="CLDL on CIFAR-100 with crops and reflections",
    **AUGMENTED,
)

CIFAR100_NIN_AUGMENTED_SOFTMAX = CIFAR100_NIN_SOFTMAX.changed(
    name="cifar100_nin_augmented_softmax",
    summary="NIN on CIFAR-100 with crops and reflections",
    **AUGMENTED,
)

CIFAR100_NIN_PUBLISHED = CIFAR100_NIN.changed(
    name="cifar100_nin_published",
    summary="CLDL on CIFAR-100, NIN's 260 epochs",
    initialisation=cited("published", CIFAR_DEF + ": N(0, d^2) with d = 0.001, 0.01 and 0.05"),
    top_lr_mult=cited(1.0, CIFAR_DEF),
    **published_training(CIFAR_DEF, learning_rate=0.02, weight_decay=5e-4),
)

MODELS: dict[str, ModelSpec] = {}  # registered in `folder`, where it takes images of any size
RECIPES = (
    MNIST_NIN,
    MNIST_NIN_SOFTMAX,
    MNIST_NIN_SHARED,
    MNIST_NIN_PUBLISHED,
    CIFAR100_NIN,
    CIFAR100_NIN_SOFTMAX,
    CIFAR100_NIN_AUGMENTED,
    CIFAR100_NIN_AUGMENTED_SOFTMAX,
    CIFAR100_NIN_PUBLISHED,
)
