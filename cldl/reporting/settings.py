"""The tables of a run's page: how it ran and how it is repeated, its numbers epoch by epoch, other tests, and its settings."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cldl.reporting import repeat
from cldl.reporting.html import table
from cldl.reporting.summary import number, time_and_speed
from cldl.training.run import Run
from cldl.training.seen import Seen
from cldl.training.throughput import duration


def how_it_ran(run: Run, metrics: Sequence[dict]) -> str:
    """Time, images a second, the machine, and the command that repeats the run."""
    config, network = run.config, run.recipe.build_network()
    rows = [
        (
            "network",
            f"{sum(p.size for p in network.parameters()):,} parameters, {network.multiply_adds():,} multiply-adds an image",
        ),
        ("machine", f"{config.get('machine', '-')}, {config['device']}, {number(config['threads'], 'thread')}"),
    ]
    if metrics:
        seconds, images = time_and_speed(metrics)
        rows = [
            ("epochs", f"{len(metrics)} of {run.recipe.schedule.epochs}"),
            ("training", f"{duration(seconds)}, {duration(seconds / len(metrics))} an epoch, without the tests"),
            ("speed", f"{images:,.0f} images a second"),
            *rows,
        ]
    words = repeat.arguments(run)
    again = ""
    if words:
        again = f"""
<p>This command repeats the run; the same seed, threads and machine give the same bits.</p>
<pre>{escape(repeat.line(words))}</pre>"""
    return table((), rows) + again


def numbers(metrics: Sequence[dict], joint: bool) -> str:
    """One row per epoch: losses, errors, learning rate and time; for a joint prediction also T and the deciding exits."""
    alone = [name for name in metrics[0]["test_error"] if name != "fused"]
    names = [*alone, "fused"] if joint else alone
    head = [
        *("epoch", "learning rate", "training loss", "test loss"),
        *(f"test error {name}" for name in names),
        *(f"training error {name}" for name in names),
        *(f"T {name}" for name in alone if joint),
        *(f"decides {name}" for name in alone if joint),
        *("images a second", "seconds"),
    ]
    rows = [
        (
            *(
                str(line["epoch"]),
                f"{line['learning_rate']:.3g}",
                f"{line['train_loss']:.4f}",
                f"{line['test_loss']:.4f}",
            ),
            *(f"{line[key][name]:.2f}" for key in ("test_error", "train_error") for name in names),
            *(f"{line['test_companions'][name]:.4f}" for name in alone if joint),
            *(f"{line['test_share'][name]:.1f}" for name in alone if joint),
            *(f"{line['images_per_second']:,.0f}", f"{line['seconds']:.0f}"),
        )
        for line in metrics
    ]
    return table(head, rows, numbers=range(len(head)))


def evaluations(lines: Sequence[dict]) -> str:
    """Tests that saw the images in other ways: a row each, a column for each classifier; nothing where there are none."""
    if not lines:
        return ""
    names = list(lines[0]["test_error"])
    rows = []
    for line in lines:
        for key, what in (("test_error", ""), ("test_top5_error", " (top-5)")):
            if key in line:
                rows.append((f"{Seen.of_line(line)}{what}", *(f"{line[key][name]:.2f}" for name in names)))
    head = ("the images are seen", *(f"classifier {name}" if name != "fused" else name for name in names))
    return "<p>Errors in % where predictions are averaged over several views of each image:</p>\n" + table(
        head, rows, numbers=range(1, len(head))
    )


def settings(config: dict) -> str:
    """All values of the recipe with their sources, and those of the run."""
    sources, parts = config["sources"], [(s, part) for s, part in config["recipe"].items() if isinstance(part, dict)]
    values = {s if name == "type" else f"{s}.{name}": value for s, part in parts for name, value in part.items()}
    recipe = [(name, _text(value), sources.get(name, "")) for name, value in values.items()]
    rest = [(name, _text(value)) for name, value in config.items() if name not in ("recipe", "sources")]
    return f"{table(('setting', 'value', 'source'), recipe)}\n{table(('setting', 'value'), rest)}"


def _text(value: object) -> str:
    """A value of the configuration, for a reader."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    if value is None or value == "":
        return "-"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
