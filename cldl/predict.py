"""Say what is in image files, which classifier decided, and how sure each one was.

python -m cldl.predict runs/mnist_nin-20260101-120000 seven.png
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from cldl.commands import add_data_arguments, add_device_arguments, guarded, leave, parser
from cldl.inference import softmax
from cldl.reporting.poster import classifier_names
from cldl.training.run import Run
from cldl.training.trained import TrainedModel
from engine.errors import UserError
from engine.typing import Array


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 if an image or the run cannot be read, 130 after Ctrl-C."""
    p = parser(
        "cldl.predict", "Label image files (PNG, JPEG) with a trained run: a digit each, where it learned digits."
    )
    p.add_argument("run", type=Path, metavar="DIR", help="the run's folder")
    p.add_argument("images", type=Path, metavar="IMAGE", nargs="+", help="the image files")
    add_data_arguments(p)
    add_device_arguments(p)
    options = p.parse_args(argv)
    run = Run.open(options.run)
    model = run.model(
        cache=options.cache, data=options.data, device=options.device, threads=1, precision=options.precision
    )
    status = 0
    for path in options.images:
        try:
            image = run.recipe.data.read_image(path, model.network.input_shape)
        except UserError as error:  # the other images are still classified
            print(f"error: {error}", file=sys.stderr, flush=True)
            status = 2
        else:
            print(f"{_shown(path)}: {explain(model, image)}", flush=True)
    return status


def _shown(path: Path) -> str:
    """A file's name, printable also where its bytes are no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def explain(model: TrainedModel, image: Array) -> str:
    """The prediction for an image (H, W, C), the classifier that decided it, and a line for each classifier."""
    logits, classes = model.logits(image[None]), model.class_names
    predictions = model.objective.predictions(logits)
    label, names = int(predictions[0]), classifier_names(len(logits))
    lines = [f"{classes[label]}, decided by {names[model.objective.deciding_exits(logits, predictions)[0]]}"]
    for name, z in zip(names, logits, strict=True):
        P = softmax(z[0].astype(np.float64))  # (K,)
        own = int(np.argmax(P))
        other = "" if own == label else f", {classes[label]} with {P[label]:.2%}"
        lines.append(f"  {name}: {classes[own]} with {P[own]:.2%}{other}")
    return "\n".join(lines)


if __name__ == "__main__":
    leave(main)
