"""The main command: train a recipe.

python -m cldl.train mnist_nin
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from cldl.commands import Parser, add_data_arguments, add_device_arguments, guarded, leave, parser, whole
from cldl.loop import continuation, train
from cldl.recipes import options
from cldl.recipes.large_batches import RULES
from cldl.recipes.recipe import Recipe
from cldl.reporting.display import Display
from cldl.reporting.explain import explain, limit, seconds_to_read
from cldl.reporting.recipe_list import list_recipes
from cldl.start import begin, choose_recipe, complete, resume
from cldl.training.machine import versions
from cldl.training.ranks import LastWords, joined
from cldl.training.step_log import Log, StepLines, StepLog, TensorBoard, expect_tensorboard
from cldl.training.together import check_same
from data.dataset import is_varied
from engine.errors import UserError
from engine.runtime.communicator import Communicator
from engine.runtime.cpu import MAX_THREADS


def make_parser() -> Parser:
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
        help="have the learning rate follow --batch-size: in proportion, after a warm-up, or by LARS; otherwise it stays",
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


if __name__ == "__main__":
    leave(main)
