"""The data of a run: loaded, preprocessed, and held against what the run was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cldl.recipes.recipe import Recipe
from data.dataset import Dataset
from data.fetch.download import Say, quiet
from data.transforms.preprocessing import Preprocessing
from engine.errors import UserError
from engine.io.files import cache_folder


def load_data(
    recipe: Recipe,
    config: Mapping[str, Any] | None = None,
    *,
    cache: Path | None = None,
    data: Path | None = None,
    say: Say = quiet,
) -> tuple[Dataset, Preprocessing]:
    """The recipe's whole data set, and the preprocessing of its images; data, cache -- see `data.registry`.

    config -- that of a run, if it began already: without `data` its images are where they were then

    Raises:    UserError where they cannot be had, or are not those that the run began with.
    """
    config = config or {}
    if data is None and "data" in config:
        data = Path(config["data"])
    dataset = recipe.load_data(cache, data, say)
    if config.get("training_sha256", dataset.train.fingerprint) != dataset.train.fingerprint:
        raise UserError(
            f"the run was trained on other images or labels than this copy of {dataset.name} has (its SHA-256 is "
            f"{dataset.train.fingerprint}): name the run's own copy by --data, or the folder that holds it by --cache."
        )
    folder = cache_folder(cache)
    preprocessing = recipe.build_preprocessing(dataset, folder, say)
    if config.get("preprocessing_sha256", preprocessing.sha256) != preprocessing.sha256:
        raise UserError(
            f"the run was trained with another {recipe.data.preprocessing} than the one in {folder} (its SHA-256 is "
            f"{preprocessing.sha256}): name the folder that holds the run's own by --cache."
        )
    return dataset, preprocessing


def limited(dataset: Dataset, config: Mapping[str, Any]) -> Dataset:
    """The part of a data set on which the run of this configuration trains, and is tested."""
    return dataset.limited(config["limit_train"], config["limit_test"], config.get("held_out"))


def identity(recipe: Recipe, dataset: Dataset, preprocessing: Preprocessing, data: Path | None) -> dict[str, Any]:
    """What a run's config.json says of what it is trained on, and where its images are, if they stay there."""
    place = {"data": str(data.absolute())} if data and recipe.data.kind == "photos" else {}
    return place | {
        "dataset_name": dataset.name,
        "training_sha256": dataset.train.fingerprint,
        "preprocessing_sha256": preprocessing.sha256,
        "classes": list(dataset.class_names),
    }
