"""The main command: train a recipe.

python -m cldl.train mnist_nin
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cldl.commands import add_data_arguments, add_device_arguments, guarded, parser, whole
from cldl.recipes import RECIPES, find, options
from cldl.recipes.recipe import Recipe
from cldl.reporting import poster
from cldl.reporting.display import Display
from cldl.reporting.explain import explain
from cldl.reporting.run_report import write_report
from cldl.training.run import Run, new_folder, newest_folder
from cldl.training.run_data import identity, load_data
from cldl.training.trainer import DivergedError, Trainer
from data.dataset import Dataset
from engine.device import choose
from engine.errors import UserError
from engine.runtime.cpu import available_threads


def make_parser() -> argparse.ArgumentParser:
    """The options of a run; those of its recipe are in `cldl.recipes.options`."""
    p = parser("cldl.train", "Train a recipe; --list shows them.", add_help=False)
    p.add_argument("recipe", nargs="?", metavar="RECIPE", help="the recipe's name")
    p.add_argument("-h", "--help", action="store_true", help="show the options, after RECIPE those of its values too")
    p.add_argument("--list", action="store_true", help="show the recipes and stop")
    p.add_argument("--explain", action="store_true", help="show where the time of a training step goes, and stop")
    p.add_argument("--run", type=Path, metavar="DIR", help="the run's folder (otherwise runs/RECIPE-DATE-TIME)")
    p.add_argument("--resume", action="store_true", help="continue the run in --run, or the newest one of the recipe")
    p.add_argument("--seed", type=whole(0), default=0, help="every random number of the run follows from it")
    add_device_arguments(p)
    p.add_argument("--threads", type=whole(1, 1024), help="worker threads (otherwise one a processor)")
    p.add_argument("--limit-train", type=whole(1), metavar="N", help="train on the first N images only")
    p.add_argument("--limit-test", type=whole(1), metavar="N", help="test on the first N images only")
    add_data_arguments(p)
    return p


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line; `changes` are what it changes of the recipe."""
    return options.parse(make_parser, argv)


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 for an error that the user can fix, 130 after Ctrl-C."""
    args = parse(argv)
    if args.list:
        print("\n".join(list_recipes()))
        return 0
    if args.explain:
        if args.device == "cuda":
            raise UserError(
                "--explain looks at a step on the CPU: leave --device out, or time the GPU's by benchmarks.gpu."
            )
        recipe = choose_recipe(args)
        Display().costs(*explain(recipe), recipe.schedule.batch_size)
        return 0
    with Display() as display, interruption() as interrupted:
        run, dataset, trainer, lines = (resume if args.resume else begin)(args, display)
        display.plan(trainer, run)
        return train(run, dataset, trainer, lines, display, interrupted)


def list_recipes() -> Iterator[str]:
    """The recipes as lines of text, under the data that they are trained on."""
    width, last = max(map(len, RECIPES)), ""
    for recipe in sorted(RECIPES.values(), key=lambda recipe: list(poster.ERRORS).index(poster.dataset(recipe))):
        if poster.dataset(recipe) != last:
            last = poster.dataset(recipe)
            yield last
        yield f"  {recipe.name:{width}}  {recipe.summary}"


def choose_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe that was named, with the values that were given."""
    if args.recipe is None:
        raise UserError(f"no recipe was named; choose one of {', '.join(RECIPES)}.")
    return find(args.recipe).changed(**args.changes)


def begin(args: argparse.Namespace, display: Display) -> tuple[Run, Dataset, Trainer, list[dict]]:
    """Begin a new run."""
    recipe = choose_recipe(args)
    folder = args.run or new_folder(recipe.name)
    if (folder / "config.json").exists():
        raise UserError(f"{folder} holds a run already: continue it by --resume, or choose another folder by --run.")
    full, preprocessing = load_data(recipe, cache=args.cache, data=args.data, say=display.say)
    dataset = full.limited(args.limit_train, args.limit_test)
    settings: dict[str, Any] = {
        "seed": args.seed,
        "threads": args.threads or available_threads(),
        "device": choose(args.device),
        "precision": args.precision,
    }
    trainer = Trainer.from_recipe(recipe, dataset, preprocessing, **settings)
    limits = {"limit_train": args.limit_train, "limit_test": args.limit_test}
    run = Run.create(folder, recipe, **settings, **limits, **identity(full, preprocessing))
    return run, dataset, trainer, []


def resume(args: argparse.Namespace, display: Display) -> tuple[Run, Dataset, Trainer, list[dict]]:
    """Continue a run where it was stopped: after its checkpoint, or at its beginning where there is none.

    It continues on the device that it was on, unless --device names another.
    """
    if args.run is None and args.recipe is None:
        raise UserError(
            "neither a run nor a recipe was named: give --run DIR, or the recipe whose newest run is meant."
        )
    run = Run.open(args.run or newest_folder(args.recipe))
    recipe, config = run.recipe, run.config
    if args.recipe not in (None, recipe.name):
        raise UserError(f"{run.folder} is a run of {recipe.name}, not of {args.recipe}: name the right one.")
    if recipe.changed(**args.changes) != recipe:
        raise UserError(f"{run.folder} was started with other values of its recipe: continue it without changes.")
    dataset, preprocessing = load_data(recipe, config, cache=args.cache, data=args.data, say=display.say)
    dataset = dataset.limited(config["limit_train"], config["limit_test"])
    trainer = Trainer.from_recipe(
        recipe,
        dataset,
        preprocessing,
        seed=config["seed"],
        threads=config["threads"],
        device=choose(config["device"] if args.device == "auto" else args.device),
        precision=config["precision"],
    )
    if run.has_checkpoint:
        trainer.restore(*run.load())
    return run, dataset, trainer, run.metrics()[: trainer.epoch]


def train(
    run: Run, dataset: Dataset, trainer: Trainer, lines: list[dict], display: Display, interrupted: Iterator[bool]
) -> int:
    """Train to the end, or to Ctrl-C; a checkpoint an epoch."""
    evaluation = None
    while trainer.epoch < trainer.schedule.epochs:
        try:
            for _ in trainer.steps():
                display.step(trainer)
                if next(interrupted):
                    return stop(run, trainer, display)
        except DivergedError as error:
            display.statistics(trainer.statistics())
            good = (
                f"{run.folder / 'checkpoint.h5'} is from before" if run.has_checkpoint else "there is no checkpoint yet"
            )
            raise DivergedError(f"{error} The last good checkpoint: {good}.") from None
        line, evaluation = trainer.end_epoch()
        lines.append(line)
        run.record(lines)  # before the checkpoint: a kill between the two repeats the epoch and its line
        run.save(*trainer.state())
        display.epoch(line)
        if next(interrupted):
            return stop(run, trainer, display)
    page = write_report(run.folder, lines, evaluation or trainer.evaluate(), dataset, run.config)
    theirs = poster.errors(dataset.name, run.recipe.data.augment)
    display.result(lines[-1], theirs, trainer.objective.is_ensemble)
    display.say(f"report: {page}")
    return 0


def stop(run: Run, trainer: Trainer, display: Display) -> int:
    """Save the state, and say how to continue."""
    run.save(*trainer.state())
    display.say(
        f"stopped in epoch {trainer.epoch + 1} after {trainer.step} of {trainer.steps_per_epoch} steps; "
        f"continue with: python -m cldl.train --resume --run {run.folder}"
    )
    return 130


@contextlib.contextmanager
def interruption() -> Iterator[Iterator[bool]]:
    """From Ctrl-C on (or SIGTERM), `next` gives True, so that the step at hand is finished; a second Ctrl-C ends at once."""
    pressed = False

    def press(number, frame):
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    def poll() -> Iterator[bool]:
        while True:
            yield pressed

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, press) for kind in kinds]
    try:
        yield poll()
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


if __name__ == "__main__":
    sys.exit(main())
