"""The main command: train a recipe.

python -m cldl.train mnist_nin
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cldl.commands import add_data_arguments, add_device_arguments, again, guarded, leave, parser, whole
from cldl.recipes import RECIPES, find, options
from cldl.recipes.recipe import Recipe
from cldl.recipes.spec import cited
from cldl.reporting import poster
from cldl.reporting.display import Display
from cldl.reporting.explain import explain, limit, seconds_to_read
from cldl.reporting.recipe_list import list_recipes
from cldl.signals import STATUS, Interruption
from cldl.training.machine import changes
from cldl.training.pretrained import begin_with, check_file
from cldl.training.run import Run, check_free, make_new_folder, newest_folder
from cldl.training.run_data import identity, limited, load_data
from cldl.training.step_log import StepLines, StepLog, TensorBoard, expect_tensorboard
from cldl.training.trainer import DivergedError, Trainer
from data.dataset import Dataset, is_varied
from engine.codegen.jit import told_of_compilation
from engine.device import PRECISIONS, choose
from engine.errors import UserError
from engine.io.files import make_folder, remove_temporary
from engine.io.lock import exclusive
from engine.runtime.cpu import MAX_THREADS, available_threads

FOUND = "found in the data"
FIXED = ("seed", "precision", "limit_train", "limit_test", "held_out")  # of a run, to its end


def make_parser() -> argparse.ArgumentParser:
    """The options of a run; those of its recipe are in `cldl.recipes.options`."""
    p = parser("cldl.train", "Train a recipe; --list shows them.", add_help=False, usage="%(prog)s RECIPE [OPTION ...]")
    p.add_argument("recipe", nargs="?", metavar="RECIPE", help="the recipe's name")
    p.add_argument("-h", "--help", action="store_true", help="show the options, after RECIPE those of its values too")
    p.add_argument("--list", action="store_true", help="show the recipes and stop")
    p.add_argument("--explain", action="store_true", help="show where the time of a training step goes, and stop")
    p.add_argument("--layers", action="store_true", help="show the layers of the recipe's network, and stop")
    p.add_argument("--run", type=Path, metavar="DIR", help="the run's folder (otherwise runs/RECIPE-DATE-TIME)")
    p.add_argument("--resume", action="store_true", help="continue the run in --run, or the newest one of the recipe")
    p.add_argument("--seed", type=whole(0), help="every random number of the run follows from it (otherwise 0)")
    add_device_arguments(p, precision=None)
    p.add_argument("--threads", type=whole(1, MAX_THREADS), help="worker threads (otherwise one a processor)")
    p.add_argument("--limit-train", type=whole(1), metavar="N", help="train on the first N images only")
    p.add_argument("--limit-test", type=whole(1), metavar="N", help="test on the first N images only")
    p.add_argument(
        "--held-out", type=whole(1), metavar="N", help="test on the last N training images, which are not trained on"
    )
    p.add_argument("--log-steps", action="store_true", help="write a line a step to steps.jsonl in the run's folder")
    p.add_argument("--tensorboard", action="store_true", help="write TensorBoard's curves into the run's folder")
    p.add_argument("--weights", type=Path, metavar="FILE", help="begin with these: .safetensors, .onnx or .caffemodel")
    p.add_argument("--weights-partly", action="store_true", help="leave out what of --weights does not fit")
    add_data_arguments(p)
    return p


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line; `changes` are what it changes of the recipe."""
    args = options.parse(make_parser, argv)
    if args.changes and args.recipe is None and not args.resume:
        raise UserError(f"--{next(iter(args.changes))} belongs to a recipe: name the recipe, too.")
    if args.weights_partly and not args.weights:
        raise UserError("--weights-partly says how --weights are taken: give these, too.")
    return args


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0, 2 for an error that the user can fix, 130 after Ctrl-C."""
    args = parse(argv)
    if args.list:
        print("\n".join(list_recipes()))
        return 0
    if args.layers:
        Display().layers(choose_recipe(args).build_network())
        return 0
    if args.explain:
        if args.device == "cuda":
            raise UserError(
                "--explain looks at a step on the CPU: leave --device out, or time the GPU's by benchmarks.gpu."
            )
        explain_step(choose_recipe(args), args, Display())
        return 0
    if args.tensorboard:
        expect_tensorboard()
    with Display() as display, ExitStack() as held:
        run, dataset, trainer, lines = (resume if args.resume else begin)(args, display, held)
        display.plan(trainer, run)
        logs = [StepLines(run.folder, trainer)] if args.log_steps else []
        log = StepLog(trainer, [*logs, *([TensorBoard(run.folder, trainer)] if args.tensorboard else [])])
        held.callback(log.close)
        return train(run, dataset, trainer, lines, display, log)


def choose_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe that was named, with the values that were given."""
    if args.recipe is None:
        raise UserError(f"no recipe was named; choose one of {', '.join(RECIPES)}.")
    return find(args.recipe).changed(**args.changes)


def explain_step(recipe: Recipe, args: argparse.Namespace, display: Display) -> None:
    """Show where the time of a step goes; of images that are read from --data, whether they or the network are the limit."""
    split = None
    if args.data and recipe.data.kind == "photos":
        dataset = recipe.load_data(args.cache, args.data, display.say)
        recipe, split = complete(recipe, dataset), dataset.train
    costs, peaks = explain(recipe)
    display.costs(costs, peaks, recipe.schedule.batch_size)
    if split is not None and is_varied(split):
        training = sum(cost.seconds for cost in costs) / recipe.schedule.batch_size
        display.say(limit(seconds_to_read(split), training))


def complete(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with the values that only its data set tells."""
    return recipe.changed(**{leaf: cited(value, FOUND) for leaf, value in recipe.data.found(dataset).items()})


def begin(args: argparse.Namespace, display: Display, held: ExitStack) -> tuple[Run, Dataset, Trainer, list[dict]]:
    """Begin a new run; the lock of its folder goes to `held`."""
    recipe = choose_recipe(args)
    if args.run:
        check_free(args.run)
    if args.weights:
        check_file(args.weights)
    full, preprocessing = load_data(recipe, cache=args.cache, data=args.data, say=display.say)
    limits = {"limit_train": args.limit_train, "limit_test": args.limit_test, "held_out": args.held_out}
    recipe = complete(recipe, full)
    dataset = limited(full, limits)
    settings: dict[str, Any] = {
        "seed": args.seed or 0,
        "threads": args.threads or available_threads(),
        "device": choose(args.device),
        "precision": args.precision or PRECISIONS[0],
    }
    trainer = Trainer.from_recipe(recipe, dataset, preprocessing, **settings)
    origin: dict[str, Any] = {}
    if args.weights:
        origin = begin_with(args.weights, trainer, recipe, display.say, partly=args.weights_partly)
    folder = make_folder(args.run) if args.run else make_new_folder(recipe.name)
    held.enter_context(exclusive(folder))
    run = Run.create(folder, recipe, **settings, **limits, **identity(full, preprocessing), **origin)
    if origin:
        run.save(*trainer.state())  # so that it goes on without the file
    return run, dataset, trainer, []


def resume(args: argparse.Namespace, display: Display, held: ExitStack) -> tuple[Run, Dataset, Trainer, list[dict]]:
    """Continue a run where it was stopped: after its checkpoint, or at its beginning where there is none.

    It continues on the device that it was on, unless --device names another; on as many threads, and to the epochs that it began
    with, unless --threads and --epochs give others. All else is refused. The lock of its folder goes to `held`.
    """
    if args.run is None and args.recipe is None:
        raise UserError(
            "neither a run nor a recipe was named: give --run DIR, or the recipe whose newest run is meant."
        )
    run = Run.open(args.run or newest_folder(args.recipe))
    held.enter_context(exclusive(run.folder))
    remove_temporary(run.folder)
    recipe, config = run.recipe, run.config
    if args.weights:
        raise UserError(f"{run.folder} has weights of its own: continue it without --weights.")
    if "weights" in config and not run.has_checkpoint:
        raise UserError(f"{run.folder} was stopped before it had taken the weights of its file: start it anew.")
    if args.recipe not in (None, recipe.name):
        raise UserError(f"{run.folder} is a run of {recipe.name}, not of {args.recipe}: name the right one.")
    epochs = args.changes.get("schedule.epochs", recipe.schedule.epochs)
    recipe = recipe.changed(epochs=epochs)
    if recipe.changed(**args.changes) != recipe:
        raise UserError(
            f"{run.folder} was started with other values of its recipe: continue it without changes, but for --epochs."
        )
    for name in FIXED:
        given = getattr(args, name)
        if given is not None and given != config.get(name):
            own = "unset" if config.get(name) is None else config[name]
            raise UserError(
                f"{run.folder} was started with --{name.replace('_', '-')} {own}, and cannot go on with {given}: leave the "
                "option out, or start a new run."
            )
    threads = args.threads or config["threads"]
    dataset, preprocessing = load_data(recipe, config, cache=args.cache, data=args.data, say=display.say)
    dataset = limited(dataset, config)
    trainer = Trainer.from_recipe(
        recipe,
        dataset,
        preprocessing,
        seed=config["seed"],
        threads=threads,
        device=choose(config["device"] if args.device == "auto" else args.device),
        precision=config["precision"],
    )
    if run.has_checkpoint:
        trainer.restore(*run.load())
    of_threads = f"{config['threads']} threads (now {threads})" if threads != config["threads"] else ""
    if changed := ", ".join(filter(None, (changes(config), of_threads))):
        display.say(
            f"warning: the run began with {changed}: its last bits may differ from those of a run that was never stopped"
        )
    lines = run.metrics(trainer.epoch)[: trainer.epoch]
    if epochs != run.recipe.schedule.epochs:
        change_epochs(run, trainer, display)
    if trainer.epoch >= trainer.schedule.epochs:
        display.say(
            f"{run.folder} has finished its {trainer.epoch} epochs: --epochs N trains on; the report is made anew"
        )
    return run, dataset, trainer, lines


def change_epochs(run: Run, trainer: Trainer, display: Display) -> None:
    """Make a run one of the trainer's number of epochs, and say what this does to its learning rate."""
    old, new, done = run.recipe.schedule, trainer.schedule, trainer.epoch
    begun = done + (trainer.step > 0)
    if new.epochs < begun:
        raise UserError(f"{run.folder} has begun epoch {begun} already: give --epochs {begun} or more.")
    run.change_epochs(new.epochs, done)
    before, after = (schedule.learning_rate_at(done) for schedule in (old, new))
    display.say(
        f"the run is one of {new.epochs} epochs now, no longer of {old.epochs}: "
        f"its learning rate after epoch {done} is {after:.3g}"
        + ("" if before == after else f", not {before:.3g}, so it ends unlike a run begun with --epochs {new.epochs}")
    )


def train(run: Run, dataset: Dataset, trainer: Trainer, lines: list[dict], display: Display, log: StepLog) -> int:
    """Train to the end, or to Ctrl-C; a checkpoint an epoch, and then the result and the report."""
    evaluation = None
    with Interruption() as interruption, told_of_compilation(display.compiling):
        while trainer.epoch < trainer.schedule.epochs:
            try:
                for _ in trainer.steps():
                    interruption.defer()
                    log.step(trainer)
                    display.step(trainer)
                    if interruption.asked:
                        return stop(run, trainer, display)
            except DivergedError as error:
                display.statistics(trainer.statistics())
                kept = run.folder / "checkpoint.h5"
                good = f"{kept} is from before" if run.has_checkpoint else "there is no checkpoint yet"
                raise DivergedError(f"{error} The last good checkpoint: {good}.") from None
            line, evaluation = trainer.end_epoch()
            lines.append(line)
            run.record(lines)  # before the checkpoint: a kill between the two repeats the epoch and its line
            run.save(*trainer.state())
            log.epoch(trainer, line)
            display.epoch(line)
            if interruption.asked:
                return stop(run, trainer, display)
    from cldl.reporting.run_report import write_report  # here, as matplotlib makes folders when it is imported
    from cldl.reporting.story import told

    theirs, evaluation = poster.errors(dataset.name, run.recipe.data.augment), evaluation or trainer.evaluate()
    display.result(lines[-1], theirs, trainer.objective.is_ensemble, poster.top5_errors(dataset.name))
    display.story(*told(run, lines, evaluation))
    page = write_report(run, lines, evaluation, dataset)
    display.say(f"report: {page}")
    return 0


def stop(run: Run, trainer: Trainer, display: Display) -> int:
    """Save the state, and say how to continue."""
    run.save(*trainer.state())
    display.say(
        f"stopped in epoch {trainer.epoch + 1} after {trainer.step} of {trainer.steps_per_epoch} steps; "
        f"continue with: {again('cldl.train', '--resume', '--run', run.folder)}"
    )
    display.say(f"its report so far: {again('cldl.evaluate', run.folder)}")
    return STATUS


if __name__ == "__main__":
    leave(main)
