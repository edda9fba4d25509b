"""The prediction of a trained run for an uploaded image, as JSON; the file's bytes stay in memory.

The image is prepared as `cldl.predict` does, by the run's data, and answered by the same function (`cldl.prediction.tell`). For
each classifier there is more than a command prints: how its probabilities are spread, its T, and how sure it is at its exit.
"""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

import numpy as np

from cldl.exits import ExitRule, answers, exits_of, sureness
from cldl.prediction import as_object, tell
from cldl.reporting.pixels import png
from cldl.reporting.poster import classifier_names
from cldl.training.early_exit import usual_rule
from cldl.training.run import Run
from cldl.training.trained import TrainedModel
from engine.typing import Array
from layers.in_turn import multiply_adds

NAME = "the image"  # what a refusal calls what was uploaded


class Answerer:
    """A run and its model, ready to answer.

    about -- what is known before an image is: the run, its classifiers, when early exit stops
    """

    def __init__(self, run: Run, model: TrainedModel) -> None:
        self.run, self.model = run, model
        M, costs = len(model.network.exits), multiply_adds(model.network)
        self._costs = [cost / costs[-1] for cost in costs]
        self._rule: ExitRule | None = None
        is_measured = False
        if M > 1:
            self._rule, is_measured = usual_rule(run.folder, M)
        height, width, channels = model.network.input_shape
        self.about: dict[str, Any] = {
            "run": str(run.folder),
            "recipe": run.recipe.name,
            "classes": list(model.class_names),
            "input": {"height": height, "width": width, "channels": channels},
            "classifiers": classifier_names(M),
            "loss": model.objective.loss,
            "exponent": model.objective.g,
            "unweighted_share": model.objective.unweighted_share,
            "exit": self._rule and {**asdict(self._rule), "measured": is_measured},
        }

    def __call__(self, data: bytes) -> dict[str, Any]:
        """The answer for the bytes of a picture's file; raises UserError where it is refused."""
        model = self.model
        image = self.run.recipe.data.decode_image(data, NAME, model.network.input_shape)
        logits = model.logits(image[None])  # M arrays (1, K)
        prediction, labels = tell(model, logits), model.objective.predictions(logits)
        T = model.objective.companion_weights(logits, labels)  # (M, 1)
        found = as_object(prediction)
        found["classifiers"] = [
            {**asdict(own), "T": None if T is None else float(T[m, 0]), "cost": self._costs[m]}
            for m, own in enumerate(prediction.classifiers)
        ]
        found["exit"] = self._rule and self._early(self._rule, logits, labels)
        found["given"] = f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"
        return found

    def warm_up(self) -> None:
        """Compile what a prediction needs."""
        self.model.logits(np.zeros((1, *self.model.network.input_shape), np.uint8))

    def _early(self, rule: ExitRule, logits: list[Array], labels: Array) -> dict[str, Any]:
        """Where early exit would stop, with which answer and cost, and how sure each classifier is; labels (1,) are joint."""
        left_at = exits_of(rule, logits)
        m, label = int(left_at[0]), int(answers(logits, left_at, labels)[0])
        sure = [float(sureness(rule.measure, z, tau)[0]) for z, tau in zip(logits, rule.temperatures, strict=True)]
        names = classifier_names(len(logits))
        return {"stops_at": names[m], "label": self.model.class_names[label], "cost": self._costs[m], "sureness": sure}
