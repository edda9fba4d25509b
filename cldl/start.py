"""The start of `cldl.train`, up to the first step: begin a new run, or resume one that was stopped."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import Any

from cldl.recipes import RECIPES, find
from cldl.recipes.large_batches import follow_batch, scaling_line
from cldl.recipes.recipe import Recipe, find_leaf
from cldl.recipes.spec import cited
from cldl.reporting.display import Display
from cldl.training.machine import changes
from cldl.training.pretrained import begin_with, check_file
from cldl.training.run import Run, check_free, make_new_folder, newest_folder
from cldl.training.run_data import identity, limited, load_data
from cldl.training.together import check_same, data_facts, fair_threads, in_turns, on_first
from cldl.training.trainer import Trainer
from data.dataset import Dataset
from engine.device import PRECISIONS, choose
from engine.errors import UserError
from engine.io.files import make_folder, remove_temporary
from engine.io.lock import exclusive
from engine.runtime.communicator import ALONE, Communicator

FOUND = "found in the data"
SAME_DATA = "give all nodes the same copy of the data and this version of the recipe"
SAME_DEVICE = "give --device cpu, or start ranks only where there are GPUs"
FIXED = ("seed", "precision", "limit_train", "limit_test", "held_out")  # of a run, to its end


def choose_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe that was named, with the values that were given."""
    if args.recipe is None:
        raise UserError(f"no recipe was named; choose one of {', '.join(RECIPES)}.")
    published = find(args.recipe)
    recipe = published.changed(**args.changes)
    if not args.batch_scaling:
        return recipe
    given = {find_leaf(name, {s: type(spec) for s, spec in recipe.specs.items()}) for name in args.changes}
    return follow_batch(args.batch_scaling, recipe, published, given)


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
        display.say(scaling_line(args.batch_scaling, recipe, find(recipe.name)))
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
    check_same(comm, {"device": settings["device"]}, SAME_DEVICE)
    trainer = Trainer.from_recipe(recipe, dataset, preprocessing, **settings, comm=comm)

    def create() -> Run:
        origin = identity(recipe, full, preprocessing, args.data)
        origin |= {"ranks": comm.size} if comm.size > 1 else {}
        if args.weights:
            origin |= begin_with(args.weights, trainer, recipe, display.say, partly=args.weights_partly)
        folder = make_folder(args.run) if args.run else make_new_folder(recipe.name)
        held.enter_context(exclusive(folder))
        return Run.create(folder, recipe, **settings, **limits, **origin)

    run = on_first(comm, create)
    if args.weights:
        trainer.take_over()
        run.save(*trainer.state())  # so that it can be resumed without the file of weights
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
    device = choose(config["device"] if args.device == "auto" else args.device)
    check_same(comm, {"device": device}, SAME_DEVICE)
    trainer = Trainer.from_recipe(
        recipe,
        dataset,
        preprocessing,
        seed=config["seed"],
        threads=threads,
        device=device,
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
    """Change a run to the trainer's number of epochs, and say what this does to its learning rate."""
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
