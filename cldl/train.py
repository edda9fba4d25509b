"""The main command: train a recipe.

python -m cldl.train mnist_nin
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from cldl.commands import add_data_arguments, add_device_arguments, again, guarded, leave, parser, whole
from cldl.recipes import RECIPES, find, options
from cldl.recipes.large_batches import RULES, scale_linearly, scaling_line
from cldl.recipes.recipe import Recipe, find_leaf
from cldl.recipes.spec import cited
from cldl.reporting import poster
from cldl.reporting.display import Display
from cldl.reporting.explain import explain, limit, seconds_to_read
from cldl.reporting.recipe_list import list_recipes
from cldl.signals import STATUS, Interruption
from cldl.training.machine import changes, versions
from cldl.training.pretrained import begin_with, check_file
from cldl.training.ranks import LastWords, joined
from cldl.training.run import Run, check_free, make_new_folder, newest_folder
from cldl.training.run_data import identity, limited, load_data
from cldl.training.step_log import Log, StepLines, StepLog, TensorBoard, expect_tensorboard
from cldl.training.together import check_same, data_facts, fair_threads, in_turns, on_first
from cldl.training.trainer import DivergedError, Trainer
from data.dataset import Dataset, is_varied
from engine.codegen.jit import told_of_compilation
from engine.device import PRECISIONS, choose
from engine.errors import UserError
from engine.io.files import make_folder, remove_temporary
from engine.io.lock import exclusive
from engine.runtime.communicator import ALONE, Communicator
from engine.runtime.cpu import MAX_THREADS

FOUND = "found in the data"
SAME_DATA = "give all nodes the same copy of the data and this version of the recipe"
SAVE_EVERY = 600.0
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
    p.add_argument(
        "--batch-scaling",
        choices=RULES,
        help="set the learning rate in proportion to --batch-size, after a warm-up; otherwise it stays as it is",
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
    with joined() as comm:
        return run_command(parse(argv), comm)


def run_command(args: argparse.Namespace, comm: Communicator) -> int:
    """Do what the options say, as one of the ranks."""
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
    check_same(
        comm, {name: v for name, v in versions().items() if name != "blas"}, "install the same versions on all nodes"
    )
    given = {f"value of {name}": str(value) for name, value in vars(args).items() if name not in ("data", "cache")}
    check_same(comm, given, "start all ranks by one command line, in which only --data and --cache may differ")
    if args.tensorboard:
        expect_tensorboard()
    with ExitStack() as held:
        console = None if comm.is_first else Console(file=held.enter_context(open(os.devnull, "w", encoding="utf-8")))
        display = held.enter_context(Display(console))
        run, dataset, trainer, lines = (resume if args.resume else begin)(args, display, held, comm)
        display.plan(trainer, run)
        if comm.size > 1:
            comm.remedy = f"continue with: {continuation(run, comm)}"
            if comm.is_first:
                held.callback(LastWords(f"the run ended with one of its ranks; {comm.remedy}").dismiss)
        logs: list[Log] = []
        if comm.is_first:
            logs += [StepLines(run.folder, trainer)] if args.log_steps else []
            logs += [TensorBoard(run.folder, trainer)] if args.tensorboard else []
        log = StepLog(trainer, logs)
        held.callback(log.close)
        return train(run, dataset, trainer, lines, display, log)


def choose_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe that was named, with the values that were given."""
    if args.recipe is None:
        raise UserError(f"no recipe was named; choose one of {', '.join(RECIPES)}.")
    published = find(args.recipe)
    recipe = published.changed(**args.changes)
    if not args.batch_scaling:
        return recipe
    given = {find_leaf(name, {s: type(spec) for s, spec in recipe.specs.items()}) for name in args.changes}
    return scale_linearly(recipe, published, given)


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


def begin(
    args: argparse.Namespace, display: Display, held: ExitStack, comm: Communicator = ALONE
) -> tuple[Run, Dataset, Trainer, list[dict]]:
    """Begin a new run; the lock of its folder goes to `held`. Rank 0 alone reads weights and writes the folder."""
    recipe = choose_recipe(args)
    if args.run and comm.is_first:
        check_free(args.run)
    if args.weights and comm.is_first:
        check_file(args.weights)
    full, preprocessing = in_turns(comm, lambda: load_data(recipe, cache=args.cache, data=args.data, say=display.say))
    if args.batch_scaling:
        display.say(scaling_line(recipe, find(recipe.name)))
    limits = {"limit_train": args.limit_train, "limit_test": args.limit_test, "held_out": args.held_out}
    recipe = complete(recipe, full)
    dataset = limited(full, limits)
    check_same(comm, data_facts(comm, recipe, full, preprocessing), SAME_DATA)
    settings: dict[str, Any] = {
        "seed": args.seed or 0,
        "threads": args.threads or fair_threads(comm),
        "device": choose(args.device),
        "precision": args.precision or PRECISIONS[0],
    }
    trainer = Trainer.from_recipe(recipe, dataset, preprocessing, **settings, comm=comm)

    def create() -> Run:
        origin: dict[str, Any] = {"ranks": comm.size} if comm.size > 1 else {}
        if args.weights:
            origin |= begin_with(args.weights, trainer, recipe, display.say, partly=args.weights_partly)
        folder = make_folder(args.run) if args.run else make_new_folder(recipe.name)
        held.enter_context(exclusive(folder))
        return Run.create(folder, recipe, **settings, **limits, **identity(full, preprocessing), **origin)

    run = on_first(comm, create)
    if args.weights:
        trainer.take_over()
        run.save(*trainer.state())  # so that it goes on without the file
    return run, dataset, trainer, []


def resume(
    args: argparse.Namespace, display: Display, held: ExitStack, comm: Communicator = ALONE
) -> tuple[Run, Dataset, Trainer, list[dict]]:
    """Continue a run where it was stopped: after its checkpoint, or at its beginning where there is none.

    It continues on the device that it was on, unless --device names another; on as many threads, and to the epochs that it began
    with, unless --threads and --epochs give others. All else is refused. The lock of its folder goes to `held`.
    """
    if args.run is None and args.recipe is None:
        raise UserError(
            "neither a run nor a recipe was named: give --run DIR, or the recipe whose newest run is meant."
        )

    def open_run() -> Run:
        run = Run.open(args.run or newest_folder(args.recipe))
        held.enter_context(exclusive(run.folder))
        remove_temporary(run.folder)
        return run

    if args.batch_scaling:
        raise UserError("--batch-scaling belongs to the start of a run: a resumed one keeps its learning rate.")
    run = on_first(comm, open_run)
    recipe, config = run.recipe, run.config
    if args.weights:
        raise UserError(f"{run.folder} has weights of its own: continue it without --weights.")
    if "weights" in config and not comm.gather(run.has_checkpoint)[0]:
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
    threads, ranks = args.threads or config["threads"], config.get("ranks", 1)
    full, preprocessing = in_turns(
        comm, lambda: load_data(recipe, config, cache=args.cache, data=args.data, say=display.say)
    )
    check_same(comm, data_facts(comm, recipe, full, preprocessing), SAME_DATA)
    dataset = limited(full, config)
    trainer = Trainer.from_recipe(
        recipe,
        dataset,
        preprocessing,
        seed=config["seed"],
        threads=threads,
        device=choose(config["device"] if args.device == "auto" else args.device),
        precision=config["precision"],
        comm=comm,
    )
    if comm.is_first and run.has_checkpoint:
        trainer.restore(*run.load())
    trainer.take_over()
    of_threads = f"{config['threads']} threads (now {threads})" if threads != config["threads"] else ""
    of_ranks = f"{ranks} rank{'s' * (ranks > 1)} (now {comm.size})" if ranks != comm.size else ""
    if changed := ", ".join(filter(None, (changes(config), of_threads, of_ranks))):
        display.say(
            f"warning: the run began with {changed}: its last bits may differ from those of a run that was never stopped"
        )
    lines = comm.gather(run.metrics(trainer.epoch)[: trainer.epoch] if comm.is_first else [])[0]
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
    """Train to the end, or to Ctrl-C; a checkpoint an epoch, and then the result and the report.

    Several ranks go on after the same step. Where one could end all of them, there is a checkpoint every SAVE_EVERY seconds.
    """
    comm, evaluation, saved = trainer.comm, None, time.monotonic()
    with Interruption(quiet=not comm.is_first) as interruption, told_of_compilation(display.compiling):
        while trainer.epoch < trainer.schedule.epochs:
            try:
                for _ in trainer.steps():
                    interruption.defer()
                    log.step(trainer)
                    display.step(trainer)
                    if comm.any(interruption.asked):
                        return stop(run, trainer, display)
                    if comm.size > 1 and time.monotonic() - saved > SAVE_EVERY:
                        run.save(*trainer.state())
                        saved = time.monotonic()
            except DivergedError as error:
                display.statistics(trainer.statistics())
                kept = run.folder / "checkpoint.h5"
                good = f"{kept} is from before" if run.has_checkpoint else "there is no checkpoint yet"
                raise DivergedError(f"{error} The last good checkpoint: {good}.") from None
            line, evaluation = trainer.end_epoch()
            check_same(comm, {"set of weights": trainer.checksum()}, "one of the machines computes wrongly")
            lines.append(line)
            run.record(lines)  # before the checkpoint: a kill between the two repeats the epoch and its line
            run.save(*trainer.state())
            log.epoch(trainer, line)
            display.epoch(line)
            saved = time.monotonic()
            if comm.any(interruption.asked):
                return stop(run, trainer, display)
    evaluation = evaluation or trainer.evaluate()
    if not comm.is_first:
        return 0
    from cldl.reporting.run_report import write_report  # here, as matplotlib makes folders when it is imported
    from cldl.reporting.story import told

    theirs = poster.errors(dataset.name, run.recipe.data.augment)
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
        f"continue with: {continuation(run, trainer.comm)}"
    )
    display.say(f"its report so far: {again('cldl.evaluate', run.folder)}")
    return STATUS


def continuation(run: Run, comm: Communicator) -> str:
    """The command line that continues a run on as many ranks."""
    command = again("cldl.train", "--resume", "--run", run.folder)
    return command if comm.size == 1 else f"mpiexec -n {comm.size} {command}"


if __name__ == "__main__":
    leave(main)
