"""Say what is in image files, which classifier decided, and how sure each one was.

python -m cldl.predict runs/mnist_nin-20260101-120000 seven.png
python -m cldl.predict runs/mnist_nin-20260101-120000 *.jpg --show given.png --format csv
python -m cldl.predict runs/mnist_nin_shared-20260101-120000 seven.png --exit 0.95
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cldl.commands import add_data_arguments, add_device_arguments, guarded, leave, parser
from cldl.prediction import Prediction, as_csv, as_json, csv_header, predict_image, text
from cldl.reporting.pixels import half_blocks, write_images
from cldl.training.early_exit import kept_rule
from cldl.training.run import Run
from engine.errors import UserError
from engine.typing import Array


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 if an image is refused or the run cannot be read, 130 after Ctrl-C."""
    p = parser(
        "cldl.predict",
        "Label image files (PNG, JPEG, WebP, GIF, BMP, TIFF) with a trained run: a digit each, where it learned digits.",
    )
    p.add_argument("run", type=Path, metavar="DIR", help="the run's folder")
    p.add_argument("images", type=Path, metavar="IMAGE", nargs="+", help="the image files")
    p.add_argument("--show", type=Path, metavar="FILE", help="write what the network is given as a picture, enlarged")
    p.add_argument(
        "--format",
        choices=("text", "json", "csv"),
        default="text",
        help="what is printed: sentences, a JSON object a line, or a table",
    )
    p.add_argument(
        "--exit",
        type=float,
        metavar="T",
        help="let the first classifier answer that is sure with T or more, 0 to 1, by the best measure of cldl.evaluate --exit",
    )
    add_data_arguments(p)
    add_device_arguments(p)
    options = p.parse_args(argv)
    run = Run.open(options.run)
    model = run.model(
        cache=options.cache, data=options.data, device=options.device, threads=1, precision=options.precision
    )
    rule = None if options.exit is None else kept_rule(run.folder, options.exit, len(model.network.exits))
    if options.format == "csv":
        print(csv_header())
    status, given = 0, []
    for path in options.images:
        try:
            image = run.recipe.data.read_image(path, model.network.input_shape)
        except UserError as error:  # the other images are still classified
            print(f"error: {error}", file=sys.stderr, flush=True)
            if options.format != "text":
                print(_told(options.format, path, None, None, str(error)), flush=True)
            status = 2
        else:
            given.append(image)
            print(_told(options.format, path, image, predict_image(model, image, rule)), flush=True)
    if options.show and given:
        write_images(options.show, given)
    return status


def _told(form: str, path: Path, image: Array | None, prediction: Prediction | None, refused: str | None = None) -> str:
    """What is printed of an image; on a terminal, what the network was given too."""
    file = os.fsencode(path).decode("utf-8", "backslashreplace")  # printable also where its bytes are no text
    if form != "text":
        return (as_json if form == "json" else as_csv)(file, prediction, refused)
    assert image is not None
    assert prediction is not None
    shown = half_blocks(image, "NO_COLOR" not in os.environ) + "\n" if is_terminal() else ""
    return f"{shown}{file}: {text(prediction)}"


def is_terminal() -> bool:
    """Whether a person reads what is printed."""
    return sys.stdout.isatty()


if __name__ == "__main__":
    leave(main)
