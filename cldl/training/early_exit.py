"""Early exit of a trained run: what each threshold costs and gives; the best measure and thresholds are kept in its exits.json.

Temperatures, the measure and the thresholds are chosen on images that were not trained on, and tried on others: chosen on the
training images that the run holds out, and tried on the test images; where it holds none out, on one half of these and the other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from cldl import exits
from cldl.exits import ExitRule, Point
from cldl.joint import SURE
from cldl.training.run_data import limited
from cldl.training.trained import TrainedModel
from data.dataset import Dataset, Part, Split
from engine.errors import UserError
from engine.io.fields import choice, fields, list_of, number, text
from engine.io.files import write_json
from engine.io.json import parse, read_bytes, refusing
from engine.typing import Array
from layers.in_turn import multiply_adds

NAME, MAX_BYTES, REMEDY = "exits.json", 1 << 20, "make it anew by cldl.evaluate --exit."
# In points: how much more error than the joint prediction's is allowed; a threshold is kept for each, and USUAL is the one that
# is shown where only one is.
ABOVE = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
USUAL = ABOVE[1]
TIMED, ROUNDS = 2048, 3  # images, and how often they are timed in turn
POINT = fields(
    {
        "above": number(0, 100),
        "threshold": number(0, 1),
        "error": number(0, 100),
        "cost": number(0, 1),
        "time": number(0),
        "shares": list_of(number(0, 100)),
    }
)
EXITS = fields(
    {
        "measure": choice(exits.MEASURES),
        "temperatures": list_of(number(1e-9)),
        "fitted_on": text,
        "tried_on": text,
        "error": number(0, 100),
        "points": list_of(POINT),
    }
)


@dataclass(frozen=True)
class Kept:
    """A threshold that was chosen for an error of so many points above that of all classifiers, and what it gave elsewhere.

    time -- of the whole network's, for the same images
    """

    above: float
    threshold: float
    error: float
    cost: float
    time: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class ExitStudy:
    """What was measured.

    fitted_on, tried_on -- which images; split, logits, labels -- the latter, and M arrays (N, K), (N,) of them
    error               -- theirs, of all classifiers jointly, in %
    temperatures        -- tau of each classifier
    curves              -- of each measure, on the images that it is tried on; measure -- the best one
    kept                -- a point for each of ABOVE
    """

    fitted_on: str
    tried_on: str
    split: Split
    logits: list[Array]
    labels: Array
    error: float
    temperatures: tuple[float, ...]
    curves: dict[str, list[Point]]
    measure: str
    kept: list[Kept]

    @property
    def usual(self) -> Kept:
        """The point of USUAL points of error."""
        return self.kept[ABOVE.index(USUAL)]

    def save(self, folder: Path) -> None:
        """Keep the measure, the temperatures and the thresholds in a run's folder."""
        content = {
            "measure": self.measure,
            "temperatures": self.temperatures,
            "fitted_on": self.fitted_on,
            "tried_on": self.tried_on,
            "error": self.error,
            "points": [asdict(point) for point in self.kept],
        }
        write_json(folder / NAME, content)


def kept_rule(folder: Path, threshold: float, M: int) -> ExitRule:
    """The rule of a run with this threshold: by the measure and at the temperatures in its exits.json, or by plain confidence.

    Raises:    UserError for a threshold that is none, for a run with one classifier, and for a file that is damaged.
    """
    if M == 1:
        raise UserError("the run has one classifier, so there is no early exit: leave --exit out.")
    measure, temperatures = exits.MEASURES[0], (1.0,) * M
    if kept := _read(folder, M):
        measure, temperatures = kept["measure"], tuple(kept["temperatures"])
    return ExitRule(measure, threshold, temperatures)


def usual_rule(folder: Path, M: int) -> tuple[ExitRule, bool]:
    """The rule of a run whose threshold is the one kept for USUAL points of error, and whether there is one.

    Where there is none, the run was not measured: then the threshold is `cldl.joint.SURE`.

    Raises:    UserError as `kept_rule`.
    """
    kept = _read(folder, M) or {"points": []}
    thresholds = [point["threshold"] for point in kept["points"] if point["above"] == USUAL]
    return kept_rule(folder, thresholds[0] if thresholds else SURE, M), bool(thresholds)


def _read(folder: Path, M: int) -> dict[str, Any] | None:
    """What the exits.json of a run with M classifiers holds; None where there is none."""
    path = folder / NAME
    with refusing(path, REMEDY), suppress(FileNotFoundError):
        content = parse(read_bytes(path, MAX_BYTES))
        EXITS(content, "")
        if len(content["temperatures"]) != M:
            raise UserError(f"has {len(content['temperatures'])} temperatures, expected {M}")
        return content
    return None


def study(model: TrainedModel, dataset: Dataset, config: Mapping[str, Any]) -> ExitStudy:
    """Measure early exit of a run's model; dataset -- all of it, config -- the run's."""
    if len(model.network.exits) == 1:
        raise UserError("the run has one classifier, so there is no early exit: leave --exit out.")
    fitting, fitted_on, trying, tried_on = _splits(dataset, config)
    costs = multiply_adds(model.network)
    fitted = _Predicted.by(model, fitting)
    temperatures = exits.fit_temperatures(fitted.logits, fitted.labels)
    tried = _Predicted.by(model, trying)
    own, other = fitted.curves(temperatures, costs), tried.curves(temperatures, costs)
    best = min(exits.MEASURES, key=lambda measure: exits.mean_error(own[measure]))
    chosen = [exits.cheapest(own[best], fitted.error + above) for above in ABOVE]
    times = relative_times(model, trying, [ExitRule(best, point.threshold, temperatures) for point in chosen])
    by_threshold = {point.threshold: point for point in other[best]}
    kept = [
        Kept(above, point.threshold, there.error, there.cost, seconds, there.shares)
        for above, point, seconds in zip(ABOVE, chosen, times, strict=True)
        for there in [by_threshold[point.threshold]]
    ]
    result = trying, tried.logits, tried.labels, tried.error
    return ExitStudy(fitted_on, tried_on, *result, temperatures, other, best, kept)


@dataclass(frozen=True)
class _Predicted:
    """Images with the logits of all classifiers, M arrays (N, K), and the joint predictions, (N,)."""

    logits: list[Array]
    labels: Array
    predictions: Array

    @classmethod
    def by(cls, model: TrainedModel, split: Split) -> _Predicted:
        logits = model.split_logits(split)
        return cls(logits, split.labels, model.objective.predictions(logits))

    @property
    def error(self) -> float:
        """Of the joint predictions, in %."""
        return float(100 * np.mean(self.predictions != self.labels))

    def curves(self, temperatures: Sequence[float], costs: Sequence[int]) -> dict[str, list[Point]]:
        """Of each measure."""
        given = self.logits, self.labels, self.predictions, temperatures, costs
        return {measure: exits.curve(measure, *given) for measure in exits.MEASURES}


def _splits(dataset: Dataset, config: Mapping[str, Any]) -> tuple[Split, str, Split, str]:
    """The images to choose on and those to try on, each with what they are."""
    test = dataset.test
    if config.get("held_out"):
        held_out = limited(dataset, config).test
        return held_out, f"{len(held_out):,} training images held out", test, f"{len(test):,} test images"
    N = len(test)
    halves = [
        (Part(test, start, stop), f"test images {start + 1:,} to {stop:,}")
        for start, stop in ((0, N // 2), (N // 2, N))
    ]
    return *halves[0], *halves[1]


def relative_times(model: TrainedModel, split: Split, rules: Sequence[ExitRule]) -> list[float]:
    """The time of each rule over that of the whole network, on the first TIMED images: medians of rounds in turn."""
    part = Part(split, 0, min(TIMED, len(split)))

    def seconds(rule: ExitRule | None) -> float:
        began = time.perf_counter()
        _ = model.in_turn(part, rule) if rule else model.split_logits(part)
        return time.perf_counter() - began

    rounds = [[seconds(rule) for rule in (None, *rules)] for _ in range(1 + ROUNDS)]
    del rounds[0]  # in which kernels are compiled
    whole, *others = [median(column) for column in zip(*rounds, strict=True)]
    return [other / whole for other in others]
