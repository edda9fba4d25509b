"""The prediction of a trained model for one image, and its form: text for a person, JSON, or a row of a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from cldl.exits import ExitRule, sureness
from cldl.inference import softmax
from cldl.objective import Objective
from cldl.reporting.poster import classifier_names
from cldl.training.trained import TrainedModel
from data.dataset import ArraySplit
from engine.typing import Array
from layers.in_turn import multiply_adds

LIKELIEST, OWN = 3, 5  # how many classes are listed: of the joint prediction, and of each classifier by itself
CLOSE = 0.1  # two probabilities that differ by no more
COLUMNS = ("file", "label", "probability", "second", "probability_2", "third", "probability_3", "decided_by", "refused")


@dataclass(frozen=True)
class Answer:
    """A class and its probability."""

    label: str
    probability: float


@dataclass(frozen=True)
class Opinion:
    """What a classifier finds by itself: its own answers, the likeliest first, and how probable the prediction is to it."""

    name: str
    likeliest: list[Answer]
    of_prediction: float


@dataclass(frozen=True)
class Prediction:
    """The likeliest answers, the first of which is the prediction; who decided it; and each classifier's own answer.

    likeliest   -- up to three, of all classifiers together
    decided_by  -- the classifier that finds the prediction the most probable
    classifiers -- what each one that was asked finds by itself
    cost        -- the share of the network's multiply-adds that were needed; 1 without early exit
    unsure      -- why no classifier answered alone, where one could have; otherwise empty
    """

    likeliest: list[Answer]
    decided_by: str
    classifiers: list[Opinion]
    cost: float = 1.0
    unsure: str = ""

    @property
    def is_close(self) -> bool:
        """Whether the second answer is nearly as probable as the prediction."""
        return len(self.likeliest) > 1 and self.likeliest[0].probability - self.likeliest[1].probability <= CLOSE


def predict_image(model: TrainedModel, image: Array, rule: ExitRule | None = None) -> Prediction:
    """The prediction for an image (H, W, C); with a rule, of the first classifier that is sure enough by it (`cldl.exits`)."""
    if rule:
        return _predict_in_turn(model, image, rule)
    return tell(model, model.logits(image[None]))


def _predict_in_turn(model: TrainedModel, image: Array, rule: ExitRule) -> Prediction:
    """The prediction where the layers above the classifier that answers are not computed."""
    logits, left_at = model.in_turn(ArraySplit(image[None], np.zeros(1, np.int64)), rule)
    last, costs = int(left_at[0]), multiply_adds(model.network)
    if last == len(logits) - 1:
        return replace(tell(model, logits), unsure=_unsure(rule, logits))
    alone = replace(model, objective=Objective((1.0,)))  # of the one that answers
    told, names = tell(alone, logits[last : last + 1]), classifier_names(len(logits))
    label = model.class_names.index(told.likeliest[0].label)
    asked = [_opinion(name, z, label, model.class_names) for name, z in zip(names, logits[: last + 1], strict=False)]
    return Prediction(told.likeliest, names[last], asked, costs[last] / costs[-1])


def _unsure(rule: ExitRule, logits: Sequence[Array]) -> str:
    """Why none of the lower classifiers answered alone: how sure each is."""
    lower = zip(logits[:-1], rule.temperatures, strict=False)
    values = ", ".join(f"{sureness(rule.measure, z, tau)[0]:.2f}" for z, tau in lower)
    return f"all were asked, as none below the top is sure with {rule.threshold:g} ({rule.measure} {values})"


def tell(model: TrainedModel, logits: Sequence[Array]) -> Prediction:
    """The prediction of the model's classifiers with the logits (1, K)."""
    classes = model.class_names
    predictions = model.objective.predictions(logits)
    label, names = int(predictions[0]), classifier_names(len(logits))
    together = model.objective.probabilities(logits)[0]  # (K,)
    order = [label, *(k for k in _order(together) if k != label)]
    own = [_opinion(name, z, label, classes) for name, z in zip(names, logits, strict=True)]
    likeliest = [Answer(classes[k], float(together[k])) for k in order[:LIKELIEST]]
    return Prediction(likeliest, names[model.objective.deciding_exits(logits, predictions)[0]], own)


def _opinion(name: str, z: Array, label: int, classes: Sequence[str]) -> Opinion:
    """What a classifier with the logits (1, K) finds by itself, where the prediction is the class `label`."""
    P = softmax(z[0].astype(np.float64))  # (K,)
    return Opinion(name, [Answer(classes[k], float(P[k])) for k in _order(P)[:OWN]], float(P[label]))


def _order(P: Array) -> list[int]:
    """The classes, the likeliest first; of equals the first one."""
    return np.argsort(-P, kind="stable").tolist()


def text(prediction: Prediction) -> str:
    """For a person: the label, who decided it, the three likeliest answers, and a line for each classifier."""
    label = prediction.likeliest[0].label
    answers = ", ".join(f"{answer.label} with {answer.probability:.2%}" for answer in prediction.likeliest)
    decided = f"{label}, decided by {prediction.decided_by}"
    if prediction.cost < 1:
        decided += f", with {prediction.cost:.1%} of the multiply-adds"
    if prediction.unsure:
        decided += f"; {prediction.unsure}"
    if prediction.is_close:
        decided += f"; {prediction.likeliest[1].label} is nearly as likely"
    lines = [decided, f"  likeliest: {answers}"]
    for opinion in prediction.classifiers:
        own = opinion.likeliest[0]
        other = "" if own.label == label else f", {label} with {opinion.of_prediction:.2%}"
        lines.append(f"  {opinion.name}: {own.label} with {own.probability:.2%}{other}")
    return "\n".join(lines)


def as_object(prediction: Prediction) -> dict[str, Any]:
    """What JSON tells of a prediction."""
    return {
        "label": prediction.likeliest[0].label,
        "likeliest": [asdict(answer) for answer in prediction.likeliest],
        "decided_by": prediction.decided_by,
        "cost": prediction.cost,
        "classifiers": [{"name": own.name, **asdict(own.likeliest[0])} for own in prediction.classifiers],
    }


def as_json(file: str, prediction: Prediction | None, refused: str | None = None) -> str:
    """An object in one line; of a refused image, its label is null and `refused` says why."""
    found = {"file": file, "label": None, "refused": refused}
    return json.dumps(found | (as_object(prediction) if prediction else {}))


def as_csv(file: str, prediction: Prediction | None, refused: str | None = None) -> str:
    """A row of `COLUMNS`."""
    answers: list[str | float] = []
    for answer in prediction.likeliest if prediction else []:
        answers += [answer.label, round(answer.probability, 6)]
    answers += [""] * (2 * LIKELIEST - len(answers))
    return _row([file, *answers, prediction.decided_by if prediction else "", refused or ""])


def csv_header() -> str:
    """The names of the columns."""
    return _row(COLUMNS)


def _row(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()
