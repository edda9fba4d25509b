"""`load`: a classifier from a run's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cldl.estimator.arrays import PixelRange
from cldl.estimator.classifier import CldlClassifier
from cldl.estimator.inputs import Inputs
from cldl.training.run import Run
from engine.typing import Array

BYTES = PixelRange(is_bytes=True, low=0.0, high=255.0)


def load(
    run: str | Path,
    *,
    threads: int | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    data: str | Path | None = None,
) -> CldlClassifier:
    """The trained classifier in a run's folder; `fit` trains a copy of its network further, by the CLDL loss.

    The loss has the run's exponent and unweighted share, and equal weights. classes_ are the names of the run's classes, or the
    integers 0 .. K-1 where the names are these; history_ has the lines of metrics.jsonl.

    cache, data -- where the data set is, should the preprocessing have to be fitted on it again (see `data.registry.load`)

    Raises:    UserError if there is no run, or no checkpoint in it.
    """
    opened = Run.open(Path(run))
    places = [None if place is None else Path(place) for place in (cache, data)]
    model = opened.model(cache=places[0], data=places[1], threads=threads, device=device)
    schedule = opened.recipe.schedule
    classifier = CldlClassifier(
        model.network,
        epochs=schedule.epochs,
        classifiers=len(model.network.exits),
        exponent=model.objective.g,
        unweighted_share=model.objective.unweighted_share,
        preprocessing=model.preprocessing,
        batch_size=schedule.batch_size,
        learning_rate=schedule.learning_rate,
        random_state=opened.config["seed"],
        threads=threads,
    )
    classifier._become(model, classes_of(model.class_names), Inputs(model.network.input_shape, BYTES))
    classifier.history_ = opened.metrics()
    classifier.best_epoch_ = len(classifier.history_)
    return classifier


def classes_of(names: tuple[str, ...]) -> Array:
    """The classes (K,): numbers where they are called by their numbers, otherwise names.

    >>> classes_of(("0", "1")).tolist(), classes_of(("cat", "dog")).tolist()
    ([0, 1], ['cat', 'dog'])
    """
    numbers = np.arange(len(names))
    return numbers if names == tuple(map(str, numbers)) else np.array(names)
