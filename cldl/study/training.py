"""The training study: variants of a recipe side by side, over several seeds, as a table and a picture.

Each variant and seed is a run in a folder of its own, and leaves a line in a file of results when it has ended. A run that was
stopped is resumed, one that has its line is not trained again, so the study can be stopped at any time, and extended by more
seeds. All runs of a table see the same images equally often, and are tested on the same images: held-out training images if the
table chooses between variants.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from math import nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cldl import joint, train
from cldl.recipes.stored import to_json
from cldl.study.variants import TABLES, Table
from cldl.training.evaluation import Evaluation
from cldl.training.formats import MAX_COUNT
from cldl.training.run import Run
from cldl.training.run_data import limited, load_data
from engine.errors import UserError
from engine.io.fields import anything, by_name, fields, list_of, number, text, whole
from engine.io.files import atomic_write, make_folder
from engine.io.json import parse_lines, read_bytes, refusing
from engine.runtime.cpu import MAX_THREADS

MAX_RESULTS = 1 << 26  # bytes
MAX_CLASSIFIERS = 100
PERCENT = number(0, 100)
BY_CLASSIFIER = {str(m): PERCENT for m in range(1, MAX_CLASSIFIERS + 1)}
BY_RULE = fields(dict.fromkeys(joint.RULES, PERCENT))
RESULT = fields(  # a line of the file of results
    {
        "variant": text,
        "seed": whole(0, MAX_COUNT),
        "recipe": anything,  # as in config.json
        "images": text,
        "errors": fields({"fused": PERCENT}, BY_CLASSIFIER),
        "decides_rightly": by_name(PERCENT),
        "rules": BY_RULE,
        "rules_at_temperatures": BY_RULE,
        "curve": list_of(PERCENT),
        "train_errors": by_name(PERCENT),
        "companions": by_name(number(0, 2)),
        "minutes": number(0),
        "threads": whole(1, MAX_THREADS),
        "machine": text,
        "date": text,
    },
    {"in_turn": fields({"fused": PERCENT}, BY_CLASSIFIER)},
)
Results = list[dict[str, Any]]
WORDS = """
error: in %, of all classifiers together (softmax has one); the mean over the seeds ± its standard error
less {first}: the mean of the differences from it, seed by seed
mean of P, surest, in turn: the error if other rules answered: the class of the largest mean probability;
    the surest classifier; the first one from the bottom that gives a class {sure:g} % or more
classifiers 1 to M: the error of each by itself, from the bottom to the top"""


def compare(
    name: str, out: Path, results: Path | None, seeds: Sequence[int], only: Sequence[str], options: Sequence[str]
) -> int:
    """Train every run that has no line yet, seed by seed, and show the comparison after each seed; the exit status.

    name    -- of the table
    out     -- the folder of the runs, and of the figure
    results -- the file of results; None: results.jsonl in `out`
    only    -- the names of the variants that are trained; none: all
    options -- of `cldl.train`, for every run

    Raises:    UserError for an unknown name, and where a line of the results is of other settings.
    """
    table = TABLES[name]
    if unknown := [variant for variant in only if variant not in table.variants]:
        raise UserError(f"{name} has no variant {unknown[0]!r}: choose from {', '.join(table.variants)}.")
    path = results or out / "results.jsonl"
    make_folder(out)
    for seed in seeds:
        for variant in only or table.variants:
            arguments = [*words(table, variant), *options, "--seed", str(seed)]
            recipe = to_json(train.choose_recipe(train.parse(arguments)))
            if _has(path, variant, seed, recipe):
                continue
            folder = out / f"{'-'.join(variant.replace(',', '').replace('/', ' ').split())}-{seed}"
            if status := train_or_resume(arguments, folder):
                return status
            line = {"variant": variant, "seed": seed, "recipe": recipe} | summarise(folder, arguments)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            _save_picture(table, path, out / f"{name}.png")
    _save_picture(table, path, out / f"{name}.png")  # of runs that had all ended before, too
    print("\n".join(lines(table, read(path))))
    print(WORDS.format(first=next(iter(table.variants)), sure=100 * joint.SURE))
    return 0


def _save_picture(table: Table, results: Path, picture: Path) -> None:
    with atomic_write(picture) as file:
        draw(table, read(results)).savefig(file, format="png", dpi=150)


def train_or_resume(arguments: Sequence[str], folder: Path) -> int:
    """Train the run in a folder, from its beginning or from where it was stopped; the exit status of `cldl.train`."""
    resume = ["--resume"] if (folder / "config.json").exists() else []
    return train.main([*arguments, "--run", str(folder), *resume])


def words(table: Table, variant: str) -> list[str]:
    """The recipe and the options of a variant, as `cldl.train` takes them."""
    return [table.recipe, *table.common.split(), *table.variants[variant].split()]


def read(path: Path) -> Results:
    """The lines of a file of results; none where there is no file. Raises UserError where it is no such file."""
    results: Results = []
    with refusing(path, "give another --results."), suppress(FileNotFoundError):
        results = list(parse_lines(read_bytes(path, MAX_RESULTS), RESULT))
        classifiers = {line["variant"]: line["errors"].keys() for line in results}
        for line in results:
            if line["errors"].keys() != classifiers[line["variant"]]:
                raise UserError(f"has runs of {line['variant']!r} with different classifiers")
    return results


def _has(path: Path, variant: str, seed: int, recipe: dict[str, Any]) -> bool:
    """Whether there is a line of this variant and seed."""
    for line in read(path):
        if (line["variant"], line["seed"]) == (variant, seed):
            if not is_same(line["recipe"], recipe):
                raise UserError(
                    f"{path} has a result of {variant!r}, seed {seed}, of another recipe: give another --results."
                )
            return True
    return False


def is_same(stored: dict[str, Any], recipe: dict[str, Any]) -> bool:
    """Whether two recipes have the same values, whatever the sentences that describe them."""
    return stored | {"summary": ""} == json.loads(json.dumps(recipe)) | {"summary": ""}


def summarise(folder: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """What a finished run found: errors in %, by classifier, jointly by several rules, epoch by epoch."""
    args, run = train.parse(arguments), Run.open(folder)
    metrics = run.metrics()
    dataset, preprocessing = load_data(run.recipe, run.config, cache=args.cache, data=args.data)
    dataset = limited(dataset, run.config)
    model = run.model(preprocessing, threads=run.config["threads"])
    logits = model.split_logits(dataset.test)
    evaluation = Evaluation.of(logits, dataset.test.labels, model.objective)
    weights, g = evaluation.objective.weights, evaluation.objective.g
    labels, answering = joint.in_turn(logits)
    is_right = labels == evaluation.labels
    return {
        "images": dataset.name,
        "errors": evaluation.errors,
        "decides_rightly": evaluation.right_shares,
        "rules": joint.errors(logits, evaluation.labels, weights, g),
        "rules_at_temperatures": joint.errors_at_temperatures(logits, evaluation.labels, weights, g),
        "in_turn": {  # the error, and what each classifier answers rightly
            "fused": float(100 * np.mean(~is_right)),
            **{str(m + 1): float(100 * np.mean(is_right & (answering == m))) for m in range(len(weights))},
        },
        "curve": [line["test_error"]["fused"] for line in metrics],
        "train_errors": metrics[-1]["train_error"],
        "companions": metrics[-1]["train_companions"],
        "minutes": sum(line["seconds"] for line in metrics) / 60,
        "threads": run.config["threads"],
        "machine": run.config["machine"],
        "date": time.strftime("%Y-%m-%d"),
    }


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and its standard error; NaN for fewer than two values."""
    n = len(values)
    return float(np.mean(values)), float(np.std(values, ddof=1) / sqrt(n)) if n > 1 else nan


def lines(table: Table, results: Results) -> list[str]:
    """The comparison as lines of text: errors in %, the mean over the seeds and its standard error."""
    first = next(iter(table.variants))
    by_seed = {line["seed"]: line["errors"]["fused"] for line in results if line["variant"] == first}
    width = max(map(len, table.variants))
    rows = [f"{'':{width}}  seeds  error           less {first:<9}  mean of P  surest  in turn  classifiers 1 to M"]
    for variant in table.variants:
        own = [line for line in results if line["variant"] == variant]
        if not own:
            continue
        paired = [line["errors"]["fused"] - by_seed[line["seed"]] for line in own if line["seed"] in by_seed]
        alone = [name for name in own[0]["errors"] if name != "fused"]
        rules = "".join(f"{np.mean([line['rules'][rule] for line in own]):>9.2f}" for rule in ("mean", "surest"))
        turns = [line["in_turn"]["fused"] for line in own if "in_turn" in line]
        rules += f"{np.mean(turns):>9.2f}" if turns else " " * 9
        singles = ", ".join(f"{np.mean([line['errors'][m] for line in own]):.2f}" for m in alone)
        difference = _with_error(paired, "+") if paired and variant != first else ""
        rows.append(
            f"{variant:{width}}  {len(own):5}  {_with_error([line['errors']['fused'] for line in own]):<14}  {difference:<14}"
            f"{rules}  {singles}"
        )
    return rows


def _with_error(values: Sequence[float], sign: str = "") -> str:
    mean, error = mean_and_error(values)
    return f"{mean:{sign}.2f}" + ("" if error != error else f" ± {error:.2f}")


def draw(table: Table, results: Results) -> Figure:
    """A row for each variant: a dot for each seed, and the mean with its standard error."""
    variants = [v for v in table.variants if any(line["variant"] == v for line in results)]
    figure = Figure(figsize=(7.0, 1.2 + 0.34 * len(variants)), layout="constrained")
    axes = figure.subplots()
    for row, variant in enumerate(variants):
        values = [line["errors"]["fused"] for line in results if line["variant"] == variant]
        mean, error = mean_and_error(values)
        axes.plot(values, [row] * len(values), "o", color="#56B4E9", markersize=4, label="a seed" if row == 0 else None)
        axes.errorbar(
            mean, row, xerr=None if error != error else error, fmt="D", color="#0072B2", markersize=5, capsize=3,
            label="the mean, with its standard error" if row == 0 else None,
        )  # fmt: skip
        if row == 0:
            axes.axvline(mean, color="0.8", zorder=0)
    axes.set_yticks(range(len(variants)), variants)
    axes.set_ylim(len(variants) - 0.5, -0.5)  # the first variant above
    images = "training images that were held out" if "--held-out" in table.common else "the test images"
    axes.set_xlabel(f"error in % on {images}, all classifiers together")
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure
