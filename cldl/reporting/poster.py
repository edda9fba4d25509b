"""The results that CLDL's poster reports, to compare runs with.

Source: Jin, Chen, Dong, Feng and Yan, "Collaborative layer-wise discriminative learning in deep neural networks",
poster at ECCV 2016, its two tables: CLDL has three classifiers; its network is NIN for MNIST and CIFAR-100, GoogLeNet for
ImageNet, and VGG with 11, 16 and 11 convolutional layers for MIT67, SUN397 and Places205.
"""

from __future__ import annotations

from collections.abc import Mapping

from cldl.recipes.recipe import Recipe

NAMES = {  # of the data sets
    "mnist": "MNIST",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
    "mit67": "MIT67",
    "sun397": "SUN397",
    "places205": "Places205",
    "folder": "a folder of your own",
}
CLASSIFIERS = 3  # of CLDL
TOP5 = ("ImageNet", "Places205")  # data sets with top-5 errors
Cells = Mapping[str, Mapping[str, float]]  # by data set and system, as the poster has them
ERRORS: Cells = {  # object classification: test error in %
    "CIFAR-100": {"Maxout": 38.57, "NIN": 35.96, "DSN": 34.57, "CLDL": 30.40},
    "CIFAR-100, augmented": {"NIN": 32.75, "CLDL": 29.05},  # the poster's CIFAR-100*
    "MNIST": {"Maxout": 0.47, "NIN": 0.42, "DSN": 0.39, "CLDL": 0.28},
    "ImageNet": {"GoogLeNet": 11.1, "CLDL": 10.21},
}
ACCURACIES: Cells = {  # scene classification: in %
    "MIT67": {
        **{"Places": 54.32, "Deep19": 70.80, "DAG-CNN": 77.50, "Places-AlexNet": 68.20, "Places-CNDS8": 76.10},
        **{"Places-GoogLeNet": 76.30, "Places205-VGG11": 82.00, "Places205-VGG13": 81.90, "Places205-VGG16": 81.20},
        "CLDL": 84.69,
    },
    "SUN397": {
        **{"Places": 68.24, "Deep19": 51.90, "DAG-CNN": 56.20, "Places-AlexNet": 54.30, "Places-CNDS8": 60.70},
        **{"Places-GoogLeNet": 61.10, "Places205-VGG11": 65.30, "Places205-VGG13": 66.70, "Places205-VGG16": 66.90},
        "CLDL": 70.40,
    },
    "Places205": {
        **{"Places": 50.00, "Places-AlexNet": 80.90, "Places-CNDS8": 84.10, "Places-GoogLeNet": 85.41},
        **{"Places205-VGG11": 87.60, "Places205-VGG13": 88.10, "Places205-VGG16": 88.50, "CLDL": 88.67},
    },
}
MISLABELLED = "Places"  # a column whose rows do not fit their labels, see `cldl.reporting.poster_tables`
ON_PLACES = {"GoogLeNet": "Places-GoogLeNet", **{f"VGG{depth}": f"Places205-VGG{depth}" for depth in (11, 13, 16, 19)}}


def errors(dataset: str, augmented: bool = False) -> dict[str, float]:
    """The poster's test errors in % on a data set, by system, the best first; empty where it has none.

    augmented -- in training, as photographs always are
    """
    name = dataset.partition(", partition")[0]  # of SUN397's ten
    return {} if name in TOP5 else _errors(f"{name}, augmented" if augmented and name not in ACCURACIES else name)


def top5_errors(dataset: str) -> dict[str, float]:
    """The same on the data sets for which the poster reports top-5 errors."""
    return _errors(dataset) if dataset in TOP5 else {}


def _errors(name: str) -> dict[str, float]:
    scenes = {system: 100 - accuracy for system, accuracy in ACCURACIES.get(name, {}).items() if system != MISLABELLED}
    return dict(sorted((scenes or ERRORS.get(name, {})).items(), key=lambda cell: cell[1]))


def dataset(recipe: Recipe) -> str:
    """What the poster calls the recipe's data, a key of its cells; their own name where the poster does not have them."""
    name = NAMES.get(recipe.data.dataset, recipe.data.dataset)
    return f"{name}, augmented" if recipe.data.augment and recipe.data.kind == "images" else name


def method(recipe: Recipe) -> str:
    """What the poster calls the recipe's method, or a description where the poster does not have it."""
    published = recipe.model.method
    is_cldl = recipe.loss.kind == "cldl" and recipe.loss.values["exponent"] != 0  # with 0 every T is 1
    if not is_cldl:
        published = published or recipe.model.supervised_method
    if published:
        return ON_PLACES.get(published, published) if recipe.data.dataset == "places205" else published
    M, kind = recipe.model.n_classifiers, "CLDL" if is_cldl else "deep supervision"
    return kind if kind == "CLDL" and M == CLASSIFIERS else f"{kind}, {M} classifiers"


def why_not(recipe: Recipe) -> str:
    """Why a recipe reaches no cell of the poster's tables; empty where it reaches one, that of its data set and method."""
    cells = {**ERRORS, **ACCURACIES}.get(dataset(recipe))
    if cells is None:
        return "the poster does not have these data"
    if recipe.loss.kind == "cldl" and (recipe.loss.values["unweighted_share"] or recipe.loss.values["exponent_epochs"]):
        return "its loss goes beyond the poster's formula"
    return "" if method(recipe) in cells else f"the poster has no {method(recipe)} on {dataset(recipe)}"


def number(recipe: Recipe) -> float | None:
    """The poster's, in the cell that a recipe reaches; None where it reaches none."""
    return None if why_not(recipe) else {**ERRORS, **ACCURACIES}[dataset(recipe)][method(recipe)]


def classifier_names(M: int) -> list[str]:
    """What a reader calls classifiers 1 to M."""
    if M == 1:
        return ["the classifier"]
    places = {1: " (bottom)", M: " (top)"}
    return [f"classifier {m}{places.get(m, '')}" for m in range(1, M + 1)]


def rows(errors: dict[str, float], is_ensemble: bool = True) -> list[tuple[str, str]]:
    """Rows of a table: our classifiers and their errors in %.

    `is_ensemble` says whether several classifiers predict jointly; otherwise the top one's prediction is the network's.
    """
    M = len(errors) - 1
    ours = list(zip(classifier_names(M), errors.values(), strict=False))
    if M > 1 and is_ensemble:  # one classifier predicts alone
        ours.append(("all together (fused)", errors["fused"]))
    return [(name, f"{error:.2f}") for name, error in ours]


def listed(poster: dict[str, float]) -> str:
    """The poster's systems and their errors, apart from ours: each of them is a network of its own.

    >>> listed(errors("CIFAR-100", augmented=True))
    'on the poster: CLDL 29.05, NIN 32.75'
    """
    return f"on the poster: {', '.join(f'{system} {error:.2f}' for system, error in poster.items())}" if poster else ""
