"""Say what is in image files, which classifier decided, and how sure each one was.

python -m cldl.predict runs/mnist_nin-20260101-120000 seven.png
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cldl.commands import add_data_arguments, add_device_arguments, guarded, load_data, parser
from cldl.inference import softmax
from cldl.recipes.recipe import Recipe
from cldl.reporting.poster import classifier_names
from cldl.training.evaluation import score
from cldl.training.run import Run
from cldl.training.trained import load_network
from data.pictures.digits import read_digit
from data.pictures.files import read_picture
from engine.device import choose
from engine.errors import UserError
from engine.runtime.backend import make_backend


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
    recipe, network = run.recipe, load_network(run)
    preprocessing = recipe.fixed_preprocessing()
    if preprocessing is None:
        _, preprocessing = load_data(recipe, options, run=run)
    height, width, channels = network.input_shape
    names = run.config.get("classes") or [str(k) for k in range(network.classes)]
    backend = make_backend(choose(options.device), network.parameters(), threads=1, precision=options.precision)
    status = 0
    for path in options.images:
        try:
            image = read_digit(path) if channels == 1 else read_picture(path, height, width)
        except UserError as error:  # the other images are still answered
            print(f"error: {error}", file=sys.stderr, flush=True)
            status = 2
        else:
            logits = score(network, image[None], preprocessing, backend)
            print(f"{_shown(path)}: {explained(logits, recipe, names)}", flush=True)
    return status


def _shown(path: Path) -> str:
    """A file's name, printable also where its bytes are no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def explained(logits: list[np.ndarray], recipe: Recipe, classes: Sequence[str]) -> str:
    """The answer to one image, who decided it, and a line for each classifier; logits M arrays (1, K), K class names."""
    objective = recipe.objective()
    predictions = objective.predictions(logits)
    answer, names = int(predictions[0]), classifier_names(len(logits))
    lines = [f"{classes[answer]}, decided by {names[objective.deciding_exits(logits, predictions)[0]]}"]
    for name, z in zip(names, logits, strict=True):
        P = softmax(z[0].astype(np.float64))  # (K,)
        own = int(np.argmax(P))
        other = "" if own == answer else f", {classes[answer]} with {P[answer]:.2%}"
        lines.append(f"  {name}: {classes[own]} with {P[own]:.2%}{other}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
