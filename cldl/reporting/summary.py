"""A run, a network and the costs of a step as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cldl.recipes.recipe import Recipe
from cldl.reporting.explain import GIGA, MEGA, Cost
from cldl.training.run import Run
from cldl.training.trainer import Trainer
from engine.parameters import Parameter
from layers.network import Network

COSTS = (
    "<part",
    "<layer",
    "<output",
    "<algorithm",
    ">GFLOP",
    ">MB",
    ">fwd ms",
    ">bwd ms",
    ">of time",
    ">GFLOP/s",
    ">of peak",
)


def summary(trainer: Trainer, run: Run) -> dict[str, str]:
    """The run in a few labelled lines."""
    recipe, data, network = run.recipe, trainer.dataset, trainer.network
    return {
        "recipe": f"{recipe.name}: {recipe.summary}",
        "data": f"{data.name}, {len(data.train):,} images to train on and {len(data.test):,} to test on, "
        f"{_shape(network.input_shape)}, {len(data.class_names)} classes; preprocessing {recipe.data.preprocessing}"
        f"{', augmented' if recipe.data.augment else ''}",
        "network": f"{number(len(network.exits), 'classifier')}, {_count(network.parameters())} parameters, "
        f"{network.multiply_adds():,} multiply-adds an image",
        "loss": _loss(recipe),
        "training": f"{_optimiser(recipe)}; {number(recipe.schedule.epochs, 'epoch')} of "
        f"{number(trainer.steps_per_epoch, 'step')} of {number(recipe.schedule.batch_size, 'image')}",
        "device": trainer.backend.device_name,
        "run": f"{run.folder}, seed {run.config['seed']}",
    }


def layers(network: Network) -> list[tuple[str, str, str, str]]:
    """The network as a table: layer, shape of its output, parameters, multiply-adds for one image; the sums last."""
    rows = [
        (
            f"{node.name:20} {type(node.layer).__name__}",
            _shape(output),
            _count(node.layer.parameters()),
            f"{node.layer.multiply_adds(shape):,}",
        )
        for node, shape, output in network.rows()
    ]
    return [*rows, ("in all", "", _count(network.parameters()), f"{network.multiply_adds():,}")]


def costs(rows: Sequence[Cost], peak: float) -> list[tuple[str, ...]]:
    """The parts of a training step as a table, in the order of COSTS; the sums last."""
    total = Cost(
        "in all",
        "",
        flops=sum(c.flops for c in rows),
        bytes=sum(c.bytes for c in rows),
        forward=sum(c.forward for c in rows),
        backward=sum(c.backward for c in rows),
    )
    return [_cost(cost, total.seconds, peak) for cost in (*rows, total)]


def _cost(c: Cost, seconds: float, peak: float) -> tuple[str, ...]:
    sizes = (f"{c.flops / GIGA:.2f}" if c.flops else "", f"{c.bytes / MEGA:.1f}" if c.bytes else "")
    times = (f"{1000 * c.forward:.1f}", f"{1000 * c.backward:.1f}" if c.backward else "", f"{c.seconds / seconds:.0%}")
    speed = (f"{c.rate / GIGA:.1f}", f"{c.rate / peak:.0%}") if c.flops else ("", "")
    return c.name, c.kind, "x".join(map(str, c.output)), c.algorithm, *sizes, *times, *speed


def _loss(recipe: Recipe) -> str:
    return "softmax cross-entropy (M = 1)" if recipe.model.n_classifiers == 1 else recipe.loss.describe()


def _optimiser(recipe: Recipe) -> str:
    optimiser, schedule = recipe.optimiser, recipe.schedule
    parts = [optimiser.kind, f"learning rate {schedule.learning_rate:g}", f"{schedule.kind} schedule"]
    if schedule.warmup:
        parts.append(f"warm-up of {number(schedule.warmup, 'epoch')}")
    if optimiser.weight_decay:
        parts.append(f"weight decay {optimiser.weight_decay:g}")
    return ", ".join(parts)


def time_and_speed(metrics: Sequence[dict]) -> tuple[float, float]:
    """The seconds of a run's training, without its tests, and its images a second: from the lines of metrics.jsonl."""
    seconds = sum(line["seconds"] for line in metrics)
    return seconds, sum(line["images_per_second"] * line["seconds"] for line in metrics) / max(seconds, 1e-9)


def number(count: float, what: str) -> str:
    """The count with the word, which is plural unless the count is 1."""
    return f"{count:,g} {what}{'' if count == 1 else 's'}"


def _count(parameters: Iterable[Parameter]) -> str:
    return f"{sum(p.size for p in parameters):,}"


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
