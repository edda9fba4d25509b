"""The main command: train a recipe.

python -m cldl.train mnist_nin
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from cldl.commands import add_data_arguments, add_device_arguments, guarded, identity, load_data, parser, whole
from cldl.recipes import RECIPES, find
from cldl.recipes.recipe import Recipe
from cldl.reporting.display import Display
from cldl.reporting.explain import explain
from cldl.reporting.poster import errors
from cldl.reporting.run_report import write_report
from cldl.training.run import Run, new_folder, newest_folder
from cldl.training.trainer import DivergedError, Trainer
from data.dataset import Dataset
from engine.device import choose
from engine.errors import UserError
from engine.runtime.cpu import available_threads

OWN = {"name", "summary", "sources"}  # fields of a recipe that are not options
NAMED = {"epochs": "number of epochs", "batch_size": "images a step"}


def arguments() -> argparse.ArgumentParser:
    """The command line: the run's own options, and one for every field of a recipe."""
    p = parser("cldl.train", "Train a recipe; --list shows them.")
    p.add_argument("recipe", nargs="?", help="the recipe's name")
    p.add_argument("--list", action="store_true", help="show the recipes and stop")
    p.add_argument("--explain", action="store_true", help="show where the time of a training step goes, and stop")
    p.add_argument("--run", type=Path, metavar="DIR", help="the run's folder (otherwise runs/RECIPE-DATE-TIME)")
    p.add_argument(
        "--resume", action="store_true", help="go on with the run in --run, or with the newest of the recipe"
    )
    p.add_argument("--seed", type=whole(0), default=0, help="every random number of the run follows from it")
    add_device_arguments(p)
    p.add_argument("--threads", type=whole(1, 1024), help="worker threads (otherwise one a processor)")
    p.add_argument("--limit-train", type=whole(1), metavar="N", help="train on the first N images only")
    p.add_argument("--limit-test", type=whole(1), metavar="N", help="test on the first N images only")
    add_data_arguments(p)
    group = p.add_argument_group("the recipe's values (otherwise as the recipe has them)")
    for f in fields(Recipe):
        if f.name not in OWN:
            group.add_argument(
                f"--{f.name.replace('_', '-')}", type=reader(str(f.type)), default=None, metavar=metavar(str(f.type))
            )
    return p


def reader(kind: str):
    """How a field of this type is read from the command line."""
    if kind == "bool":
        return boolean
    if kind.startswith("tuple"):
        return numbers
    return {"int": int, "float": float, "float | None": float, "str": str}[kind]


def metavar(kind: str) -> str:
    """What the help calls a value of this type."""
    return {"bool": "yes|no", "tuple[float, ...]": "A,B,..", "int": "N", "str": "NAME"}.get(kind, "X")


def boolean(text: str) -> bool:
    """Yes or no."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return text == "yes"


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    return tuple(float(part) for part in text.split(",") if part)


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 for an error that the user can fix, 130 after Ctrl-C."""
    p = arguments()
    options = p.parse_args(argv)
    if options.list:
        width = max(map(len, RECIPES))
        for recipe in RECIPES.values():
            print(f"{recipe.name:{width}}  {recipe.summary}")
        return 0
    if options.explain and options.device == "cuda":
        raise UserError(
            "--explain looks at a step on the CPU: leave --device out, or time the GPU's by benchmarks.gpu."
        )
    if options.explain:
        recipe = chosen(options)
        Display().costs(*explain(recipe), recipe.batch_size)
        return 0
    with Display() as display, interruption() as interrupted:
        run, dataset, trainer, lines = resumed(options, display) if options.resume else begun(options, display)
        display.plan(trainer, run)
        return train(run, dataset, trainer, lines, display, interrupted)


def chosen(options: argparse.Namespace) -> Recipe:
    """The recipe that was named, with the values that were given."""
    if options.recipe is None:
        raise UserError(f"no recipe was named; choose one of {', '.join(RECIPES)}.")
    given = {
        f.name: getattr(options, f.name)
        for f in fields(Recipe)
        if getattr(options, f.name, None) is not None and f.name not in OWN
    }
    return find(options.recipe).changed(**given)


def begun(options: argparse.Namespace, display: Display) -> tuple[Run, Dataset, Trainer, list[dict]]:
    """A new run."""
    recipe = chosen(options)
    folder = options.run or new_folder(recipe.name)
    if (folder / "config.json").exists():
        raise UserError(f"{folder} holds a run already: go on with it by --resume, or choose another folder by --run.")
    full, preprocessing = load_data(recipe, options, display.say)
    dataset = full.limited(options.limit_train, options.limit_test)
    choices = {
        "seed": options.seed,
        "threads": options.threads or available_threads(),
        "device": choose(options.device),
        "precision": options.precision,
        "limit_train": options.limit_train,
        "limit_test": options.limit_test,
    }
    trainer = Trainer(
        recipe,
        dataset,
        preprocessing,
        seed=options.seed,
        threads=choices["threads"],
        device=choices["device"],
        precision=choices["precision"],
    )
    run = Run.create(folder, recipe, **choices, **identity(full, preprocessing))
    return run, dataset, trainer, []


def resumed(options: argparse.Namespace, display: Display) -> tuple[Run, Dataset, Trainer, list[dict]]:
    """A run that was stopped, where it was stopped: after its checkpoint, or at its beginning where there is none.

    It goes on where it was, on the CPU or on the GPU, unless --device names the other.
    """
    if options.run is None and options.recipe is None:
        raise UserError(
            "neither a run nor a recipe was named: give --run DIR, or the recipe whose newest run is meant."
        )
    run = Run.open(options.run or newest_folder(options.recipe))
    config = run.config
    if options.recipe not in (None, config["recipe"]["name"]):
        raise UserError(
            f"{run.folder} is a run of {config['recipe']['name']}, not of {options.recipe}: name the right one."
        )
    dataset, preprocessing = load_data(run.recipe, options, display.say, run)
    dataset = dataset.limited(config["limit_train"], config["limit_test"])
    trainer = Trainer(
        run.recipe,
        dataset,
        preprocessing,
        seed=config["seed"],
        threads=config["threads"],
        device=choose(config.get("device", "cpu") if options.device == "auto" else options.device),
        precision=config.get("precision", "float32"),
    )
    if run.has_checkpoint:
        trainer.restore(*run.load())
    return run, dataset, trainer, run.metrics()[: trainer.epoch]


def train(
    run: Run, dataset: Dataset, trainer: Trainer, lines: list[dict], display: Display, interrupted: Iterator[bool]
) -> int:
    """Train to the end, or to Ctrl-C; a checkpoint an epoch."""
    evaluation = None
    while trainer.epoch < trainer.recipe.epochs:
        try:
            for _ in trainer.steps():
                display.step(trainer)
                if next(interrupted):
                    return stopped(run, trainer, display)
        except DivergedError as error:
            display.statistics(trainer.statistics())
            kept = (
                f"{run.folder / 'checkpoint.h5'} is from before" if run.has_checkpoint else "there is no checkpoint yet"
            )
            raise DivergedError(f"{error} The last good checkpoint: {kept}.") from None
        line, evaluation = trainer.end_epoch()
        lines.append(line)
        run.record(lines)  # before the checkpoint: a kill between the two repeats the epoch and its line
        run.save(*trainer.state())
        display.epoch(line)
        if next(interrupted):
            return stopped(run, trainer, display)
    page = write_report(run.folder, lines, evaluation or trainer.evaluate(), dataset, run.config)
    recipe = trainer.recipe
    display.result(lines[-1], errors(dataset.name, recipe.augment), recipe.objective().is_ensemble)
    display.say(f"report: {page}")
    return 0


def stopped(run: Run, trainer: Trainer, display: Display) -> int:
    """Keep where we are."""
    run.save(*trainer.state())
    display.say(
        f"stopped in epoch {trainer.epoch + 1} after {trainer.step} of {trainer.steps_per_epoch} steps; "
        f"go on with: python -m cldl.train --resume --run {run.folder}"
    )
    return 130


@contextlib.contextmanager
def interruption() -> Iterator[Iterator[bool]]:
    """From Ctrl-C on (or SIGTERM), `next` gives True: the step at hand is finished first. A second Ctrl-C ends at once."""
    pressed = False

    def press(number, frame):
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    def asked() -> Iterator[bool]:
        while True:
            yield pressed

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, press) for kind in kinds]
    try:
        yield asked()
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


if __name__ == "__main__":
    sys.exit(main())
