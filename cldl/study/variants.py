"""The tables of the training study: what is compared, each variant as options of `cldl.train`."""

from __future__ import annotations

from dataclasses import dataclass

SOFTMAX = "--classifiers 1"
DSN = "--exponent 0"
LEARNING = "--lower-lr-mult 1"  # of the lower classifiers: as fast as the rest
MEAN, CONV = f"--lower-head mean {LEARNING}", f"--lower-head conv {LEARNING}"
MAP = "--lower-head map --lower-lr-mult 0.1"  # it has so many weights that at the full rate it learns too fast
DROPPED = "--lower-head map --lower-dropout 0.5"


@dataclass(frozen=True)
class Table:
    """Variants of one recipe under one regime, at equal cost: the same images, passes and seeds.

    recipe   -- the recipe that all of them change
    common   -- the options of the regime, which all of them share
    variants -- the options of each variant by its name; the first one is what the others are compared with
    """

    recipe: str
    common: str
    variants: dict[str, str]


CLDL = {
    "CLDL, heads on the mean": MEAN,
    "CLDL, heads of convolutions": CONV,
    "CLDL, heads on the map": "--lower-head map --lower-lr-mult 0.0005",  # as mnist_nin
    "deep supervision, heads on the map": f"{MAP} {DSN}",
    "map, a tenth unweighted": f"{MAP} --unweighted-share 0.1",
    "map, half unweighted": f"{MAP} --unweighted-share 0.5",
    "map, exponent 0.1": f"{MAP} --exponent 0.1",
    "map with dropout": f"{DROPPED} --lower-lr-mult 0.3",
    "map with dropout, exponent 0.1": f"{DROPPED} --lower-lr-mult 0.3 --exponent 0.1",
    "map with dropout, half unweighted": f"{DROPPED} {LEARNING} --unweighted-share 0.5",
    "exponent 0.25": f"{CONV} --exponent 0.25",
    "exponent 0.1": f"{CONV} --exponent 0.1",
    "exponent rising to 1/2": f"{CONV} --exponent-epochs 4",
    "a tenth unweighted": f"{CONV} --unweighted-share 0.1",
    "three tenths unweighted": f"{CONV} --unweighted-share 0.3",
    "half unweighted": f"{CONV} --unweighted-share 0.5",
    "T held constant": f"{CONV} --through-companions no",
    "lambda 0.3, 0.3, 1": f"{CONV} --loss.weights 0.3,0.3,1",
}
VARIANTS = {"softmax": SOFTMAX, "deep supervision": f"{CONV} {DSN}", **CLDL}
METHODS = {"softmax": SOFTMAX, "deep supervision": f"{MEAN} {DSN}", "CLDL": MEAN}
EVERY_CLASSIFIER = {  # ways in which each of them learns
    "softmax": SOFTMAX,
    "deep supervision": f"{DROPPED} --lower-lr-mult 0.3 {DSN}",
    "CLDL, exponent 0.1": CLDL["map with dropout, exponent 0.1"],
    "CLDL, half unweighted": CLDL["map with dropout, half unweighted"],
}
WITH_SGD = {  # the lower classifiers at a tenth of the rate
    "softmax": SOFTMAX,
    "CLDL": f"{DROPPED} --lower-lr-mult 0.1",
    "CLDL, exponent 0.1": f"{DROPPED} --lower-lr-mult 0.1 --exponent 0.1",
}
COUNTS = {f"M = {M}": f"--classifiers {M}" for M in range(1, 6)}  # of classifiers
BRANCHES = {"softmax": SOFTMAX, "deep supervision": DSN, "CLDL": ""}  # of a deep network: as its recipe has them
HALF = "--width 0.5 --held-out 10000"
SMALL = "--dataset folder --n-classes 10 --size 64 --min-scale 64 --max-scale 80 --test-scale 64 --preprocessing rgb_standard"
ADAMW = "--optimiser adamw --weight-decay 0.01 --initialisation he --schedule cosine --learning-rate 0.0005 --warmup 1"
FITTING = "--dropout 0.2 --warmup 0.25"  # leaves the plateau of the first epochs early
SGD = "--optimiser sgd --momentum 0.9"

TABLES = {
    "mnist": Table("mnist_nin", f"{HALF} --epochs 6", VARIANTS),
    "mnist_sgd": Table("mnist_nin", f"{HALF} --epochs 6 {SGD} --learning-rate 0.05 --weight-decay 0.0001", WITH_SGD),
    "mnist_full": Table("mnist_nin", "--held-out 10000", EVERY_CLASSIFIER),
    "cifar100": Table("cifar100_nin", f"{HALF} {FITTING} --epochs 8", VARIANTS),
    "cifar100_sgd": Table(
        "cifar100_nin",
        f"{HALF} --epochs 12 --dropout 0.2 {SGD} --learning-rate 0.05 --weight-decay 0.0005",
        METHODS,
    ),
    "cifar100_few": Table("cifar100_nin", f"{HALF} {FITTING} --epochs 40 --limit-train 10000", METHODS),
    "cifar100_dropout": Table("cifar100_nin", f"{HALF} --epochs 16", METHODS),
    "cifar100_augmented": Table("cifar100_nin_augmented", f"{HALF} {FITTING} --epochs 16", METHODS),
    "cifar100_long": Table("cifar100_nin", HALF, METHODS),
    "cifar100_full": Table("cifar100_nin", "--held-out 10000 --epochs 16", METHODS),
    "classifiers": Table("cifar100_nin", f"{HALF} --epochs 16", COUNTS),
    "classifiers_augmented": Table("cifar100_nin_augmented", f"{HALF} --epochs 16", COUNTS),
    "scenes": Table("mit67_vgg11", f"{SMALL} --width 0.5 {ADAMW} --epochs 20 --batch-size 64", BRANCHES),
}
