"""The results that CLDL's poster reports, to compare runs with.

Source: Jin, Chen, Dong, Feng and Yan, "Collaborative layer-wise discriminative learning in deep neural networks",
poster at ECCV 2016, the table "Result for object classification": CLDL has three classifiers; its network is NIN for
MNIST and CIFAR-100, and GoogLeNet for ImageNet.
"""

from __future__ import annotations

from itertools import zip_longest

from cldl.recipes.recipe import Recipe

NAMES = {
    "mnist": "MNIST",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
    "mit67": "MIT67",
    "sun397": "SUN397",
    "places205": "Places205",
    "folder": "a folder of your own",
}  # of the data sets
CLASSIFIERS = 3  # of CLDL
ERRORS = {  # test error in %, the best first; by data set
    "MNIST": {"CLDL": 0.28, "DSN": 0.39, "NIN": 0.42, "Maxout": 0.47},
    "CIFAR-100": {"CLDL": 30.40, "DSN": 34.57, "NIN": 35.96, "Maxout": 38.57},
    "CIFAR-100, augmented": {"CLDL": 29.05, "NIN": 32.75},  # the poster's CIFAR-100*
    "ImageNet": {"CLDL": 10.21, "GoogLeNet": 11.1},  # top-5: the right class is not among the five best
}


def errors(dataset: str, augmented: bool = False) -> dict[str, float]:
    """The poster's test errors in % on a data set, by system, the best first; empty where it has none."""
    return ERRORS.get(f"{dataset}, augmented" if augmented else dataset, {})


def dataset(recipe: Recipe) -> str:
    """What the poster calls the recipe's data, a key of ERRORS; their own name where the poster does not have them."""
    name = NAMES.get(recipe.data.dataset, recipe.data.dataset)
    return f"{name}, augmented" if recipe.data.augment and recipe.data.kind == "images" else name


def method(recipe: Recipe) -> str:
    """What the poster calls the recipe's method, or a description where the poster does not have it."""
    if recipe.model.method:
        return recipe.model.method
    if recipe.loss.kind != "cldl" and recipe.model.supervised_method:
        return recipe.model.supervised_method
    M, kind = recipe.model.n_classifiers, "CLDL" if recipe.loss.kind == "cldl" else "deep supervision"
    return kind if kind == "CLDL" and M == CLASSIFIERS else f"{kind}, {M} classifiers"


def classifier_names(M: int) -> list[str]:
    """What a reader calls classifiers 1 to M."""
    if M == 1:
        return ["the classifier"]
    places = {1: " (bottom)", M: " (top)"}
    return [f"classifier {m}{places.get(m, '')}" for m in range(1, M + 1)]


def beside(errors: dict[str, float], poster: dict[str, float], is_ensemble: bool = True) -> list[tuple[str, ...]]:
    """Rows of a table: our classifiers and their errors, and beside them the poster's systems and theirs, where any.

    `is_ensemble` says whether several classifiers predict jointly; otherwise the top one's prediction is the network's.
    """
    M = len(errors) - 1
    ours = list(zip(classifier_names(M), errors.values(), strict=False))
    if M > 1 and is_ensemble:  # one classifier predicts alone
        ours.append(("all together (fused)", errors["fused"]))
    rows = zip_longest(*([ours, poster.items()] if poster else [ours]), fillvalue=("", None))
    return [tuple(cell for side in row for cell in _cells(*side)) for row in rows]


def _cells(name: str, error: float | None) -> tuple[str, str]:
    return name, "" if error is None else f"{error:.2f}"
