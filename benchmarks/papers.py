"""How many photographs of digits a run reads correctly, refuses, or misreads, on each kind of paper.

python -m benchmarks.papers runs/mnist_nin-20260101-120000
python -m benchmarks.papers RUN --each 100 --kinds ruled framed --folder pictures    # the pictures stay there, to be looked at

The digits are training images of MNIST, enlarged and photographed by `benchmarks.paper`, ten of each kind (0 to 9) or more, the
same every time. "blank" is paper of all kinds without a digit, "several" has two of them: right is to refuse it."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.paper import KINDS, TROUBLES, photograph
from cldl.commands import add_data_arguments, guarded, parser, whole
from cldl.training.run import Run
from cldl.training.trained import TrainedModel
from data import registry
from data.pictures.digits import read_digit
from engine.errors import UserError

WITHOUT_ONE = {"blank": 0, "several": 2}  # digits, of what is to be refused
EVERY = (*KINDS, *WITHOUT_ONE)
SURE = 0.9  # the probability from which on a wrong answer is given with confidence


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    p = parser("benchmarks.papers", "Count the photographs of digits that a run reads rightly, refuses, or has wrong.")
    p.add_argument("run", type=Path, metavar="DIR", help="the folder of a run on MNIST")
    p.add_argument("--each", type=whole(1), default=10, metavar="N", help="pictures of each kind of paper")
    p.add_argument("--kinds", nargs="+", choices=EVERY, default=EVERY, metavar="KIND", help=f"of {', '.join(EVERY)}")
    p.add_argument("--folder", type=Path, metavar="FOLDER", help="where the pictures are written (a temporary folder)")
    add_data_arguments(p)
    return p


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, or 2 for an error that the user can fix."""
    options = arguments().parse_args(argv)
    digits = registry.load("mnist", options.cache, options.data).train
    model = Run.open(options.run).model(cache=options.cache, data=options.data, threads=1)
    print(f"{'':14}{'right':>8}{'refused':>8}{'wrong':>8}   of them with {SURE:.0%} or more")
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        for kind in options.kinds:
            right, refused, wrong, sure = count(model, make(kind, options.each, digits, folder))
            if kind in WITHOUT_ONE:
                right, refused = refused, 0
            print(f"{kind:14}{right:8}{refused:8}{wrong:8}{sure:8}", flush=True)
    return 0


def make(kind: str, each: int, digits, folder: Path) -> list[tuple[Path, int | None]]:
    """Write so many pictures of a kind; their paths and labels, None for those that are to be refused."""
    labels, made = np.asarray(digits.labels), list[tuple[Path, int | None]]()
    for i in range(each):
        rng, label = np.random.default_rng([EVERY.index(kind), i]), i % 10
        chosen = [int(rng.choice(np.flatnonzero(labels == label))), int(rng.integers(len(labels)))]
        images = np.empty((2, *digits.shape), np.uint8)
        digits.read(np.array(chosen), images)
        paper = ("white", "grey", *TROUBLES)[i % 7] if kind in WITHOUT_ONE else kind
        shown = images[: WITHOUT_ONE.get(kind, 1), ..., 0]
        path = folder / f"{kind.replace(' ', '_')}-{i:03}-{label}.jpg"
        path.write_bytes(photograph(paper, list(shown), rng))
        made.append((path, None if kind in WITHOUT_ONE else label))
    return made


def count(model: TrainedModel, pictures: list[tuple[Path, int | None]]) -> tuple[int, int, int, int]:
    """How many are right, refused, wrong, and wrong with confidence."""
    right, refused, wrong, sure = 0, 0, 0, 0
    for path, label in pictures:
        try:
            image = read_digit(path)[None]
        except UserError:
            refused += 1
            continue
        answer = int(model.predict(image)[0])
        right += answer == label
        wrong += answer != label
        sure += answer != label and model.predict_proba(image).max() >= SURE
    return right, refused, wrong, sure


if __name__ == "__main__":
    sys.exit(main())
