"""docs/results.md: the numbers of studies are those of the results in the lab notes."""

import re
from pathlib import Path

import numpy as np
import pytest

from cldl.study.training import mean_and_error, read

DOCS = Path(__file__).parents[2] / "docs"
NOTES = DOCS / "lab-notes" / "training"
WHOLE = (DOCS / "results.md").read_text(encoding="utf-8")
RUNS = {(line["variant"], line["seed"]): line for line in read(NOTES / "cifar100_dropout.jsonl")}
SEEDS = range(3)


def section(title):
    """The text below a heading, up to the next one, in one line."""
    level = title.partition(" ")[0]
    return " ".join(WHOLE.partition(f"\n{title}\n")[2].partition(f"\n{level} ")[0].split())


PAGE = section("### Half the width, in the poster's regime")
PLAIN, _, AUGMENTED = PAGE.partition("With crops and reflections")
FIGURE_2 = {"classifiers": PLAIN, "classifiers_augmented": AUGMENTED}


def of(variant, rule="poster"):
    """The errors by seed."""
    return np.array([RUNS[variant, seed]["rules"][rule] for seed in SEEDS])


def means(variant, field):
    """The mean over the seeds, number by number."""
    return np.mean([list(RUNS[variant, seed][field].values()) for seed in SEEDS], axis=0)


@pytest.mark.parametrize("variant", ["softmax", "deep supervision", "CLDL"])
def test_the_means_of_a_method_are_those_of_its_runs(variant):
    mean, error = mean_and_error(of(variant))
    assert f"| {mean:.2f} ± {error:.2f} |" in PAGE
    assert f"| {', '.join(f'{e:.2f}' for e in means(variant, 'errors')[:-1])} |" in PAGE
    assert f"| {means(variant, 'train_errors')[-1]:.2f} |" in PAGE
    curve = np.mean([RUNS[variant, seed]["curve"] for seed in SEEDS], axis=0)
    assert f"| {variant} | {' | '.join(f'{curve[epoch - 1]:.2f}' for epoch in (1, *range(2, 17, 2)))} |" in PAGE
    if variant != "softmax":
        mean, error = mean_and_error(of(variant) - of("softmax"))
        assert (
            f"| {mean:.2f} ± {error:.2f} | {of(variant, 'mean').mean():.2f} | {of(variant, 'surest').mean():.2f} |"
            in PAGE
        )


def test_cldls_leads_are_those_of_runs_with_one_seed():
    over_softmax, over_dsn = of("softmax") - of("CLDL"), of("deep supervision") - of("CLDL")
    for found in (over_softmax, over_dsn):
        assert "(by {:.2f}, {:.2f} and {:.2f})".format(*found) in PAGE
    by_mean = mean_and_error(of("deep supervision", "mean") - of("CLDL", "mean"))
    assert "CLDL leads by {:.2f} ± {:.2f}".format(*by_mean) in PAGE
    assert "better by {:.2f} ± {:.2f} points".format(*mean_and_error(over_softmax)) in WHOLE
    assert "by {:.2f} ± {:.2f} points; by {:.2f} ± {:.2f}".format(*mean_and_error(over_dsn), *by_mean) in WHOLE


@pytest.mark.parametrize("table", ["classifiers", "classifiers_augmented"])
def test_the_errors_of_figure_2_are_those_of_each_run(table):
    lines = read(NOTES / f"{table}.jsonl")
    assert {line["variant"] for line in lines} == {f"M = {M}" for M in range(1, 6)}
    for line in lines:
        assert figure_2_row(line) in FIGURE_2[table]
        assert f"{line['errors']['fused']:.2f}" in WHOLE.partition("(figure 2)")[2].partition("\n")[0]


def figure_2_row(line):
    *alone, fused = line["errors"].values()
    rules = [f"{line['rules'][rule]:.2f}" if len(alone) > 1 else "" for rule in ("mean", "surest")]
    cells = [str(len(alone)), f"{fused:.2f}", *rules, ", ".join(f"{error:.2f}" for error in alone)]
    row = " | ".join(cells).replace("  ", " ")
    return f"| {row} | {line['train_errors']['fused']:.2f} |"


LONG = {line["variant"]: line for line in read(NOTES / "cifar100_long.jsonl")}


@pytest.mark.parametrize("variant", LONG)
def test_the_errors_of_the_long_runs_are_those_of_each_run(variant):
    line, page = LONG[variant], section("### Sixty epochs at half the width")
    *alone, fused = line["errors"].values()
    rules = [f"{line['rules'][rule]:.2f}" if len(alone) > 1 else "" for rule in ("mean", "surest")]
    cells = [variant, f"{fused:.2f}", *rules, ", ".join(f"{error:.2f}" for error in alone)]
    row = " | ".join(cells).replace("  ", " ")
    assert f"| {row} | {line['train_errors']['fused']:.2f} |" in page
    curve = line["curve"]
    assert len(curve) == 60
    assert f"| {variant} | {' | '.join(f'{curve[epoch - 1]:.2f}' for epoch in (1, *range(10, 61, 10)))} |" in page


def test_the_lead_of_cldl_in_the_long_runs_is_that_of_their_curves():
    softmax, cldl = (np.array(LONG[variant]["curve"]) for variant in ("softmax", "CLDL"))
    page = section("### Sixty epochs at half the width")
    lead = softmax - cldl
    assert f"CLDL is ahead by {lead[9]:.1f} points after 10 epochs, by {lead[29]:.1f} after 30" in page
    assert abs(lead[35:].mean()) < 0.5  # a standard error
    top, errors = LONG["CLDL"]["errors"]["3"], [LONG[variant]["errors"]["fused"] for variant in ("softmax", "CLDL")]
    assert f"gains {top - errors[1]:.1f} points over the best of the three classifiers" in page
    assert f"that one is {top - errors[0]:.1f} points worse than softmax's" in page
    assert "60 epochs: {1:.2f} against {0:.2f};".format(*errors) in WHOLE


def test_deep_supervision_in_the_long_runs_is_as_far_behind_as_the_text_says():
    softmax, dsn, cldl = (np.array(LONG[variant]["curve"]) for variant in ("softmax", "deep supervision", "CLDL"))
    page, lead = section("### Sixty epochs at half the width"), dsn - cldl
    span = f"between {lead[3:].min():.1f} and {lead[3:].max():.1f} from the fourth epoch on"
    by_mean = LONG["deep supervision"]["rules"]["mean"] - LONG["CLDL"]["rules"]["mean"]
    assert f"{lead[-1]:.1f} points at the end, {span}, and {by_mean:.1f} if both predict by the mean of P" in page
    assert (dsn - softmax)[19:].min() > 0
    assert f"from the 20th epoch on, by {(dsn - softmax)[-1]:.1f} points at the end" in page
    assert f"with 60 epochs {cldl[-1]:.2f} against {dsn[-1]:.2f}. On MNIST" in WHOLE


def test_on_mnist_the_means_and_cldls_distance_from_softmax_are_those_of_the_seeds():
    rows = re.findall(r"^\| .*?`python -m cldl\.train (\w+)` \| (.*); mean (\S+) \|", WHOLE, re.MULTILINE)
    errors = {name: np.array([float(error) for error in seeds.split(", ")]) for name, seeds, _ in rows}
    assert set(errors) == {"mnist_nin", "mnist_nin_softmax", "mnist_dsn"}
    for name, _, mean in rows:
        assert f"{errors[name].mean():.2f}" == mean
    behind = mean_and_error(errors["mnist_nin"] - errors["mnist_nin_softmax"])
    means = f"{errors['mnist_nin'].mean():.2f} against {errors['mnist_nin_softmax'].mean():.2f}"
    ahead = mean_and_error(errors["mnist_dsn"] - errors["mnist_nin"])
    dsn = f"{errors['mnist_nin'].mean():.2f} against {errors['mnist_dsn'].mean():.2f}"
    assert f"On MNIST they are level: {dsn}, by {{:.2f}} ± {{:.2f}} |".format(*ahead) in WHOLE
    assert f"not reproduced: {means}, worse by {{:.2f}} ± {{:.2f}} |".format(*behind) in WHOLE


def test_the_means_of_mnist_nin_shared_and_its_distance_from_softmax_are_those_of_the_seeds():
    rows = re.findall(r"^\| (\d) \| (\S+), (\S+), (\S+) \| (\S+) \| .*?\| (\S+) \|$", WHOLE, re.MULTILINE)
    shared = np.array([[float(error) for error in row[1:]] for row in rows])
    assert [row[0] for row in rows] == [*"01234"]
    assert "| mean | {:.2f}, {:.2f}, {:.2f} | {:.2f} | | {:.2f} |".format(*shared.mean(axis=0)) in WHOLE
    behind = mean_and_error(shared[:, 3] - shared[:, 4])
    assert "behind softmax by {:.2f} ± {:.2f}.".format(*behind) in WHOLE


SCENES = {(line["variant"], line["seed"]): line for line in read(NOTES / "scenes.jsonl")}


def test_the_means_on_scenes_and_cldls_distances_are_those_of_the_seeds():
    errors = {v: np.array([SCENES[v, seed]["errors"]["fused"] for seed in SEEDS]) for v, _ in SCENES}
    page = section("## Scenes")
    means = {variant: f"{error.mean():.2f}" for variant, error in errors.items()}
    assert f"softmax {means['softmax']}, deep supervision {means['deep supervision']}, CLDL {means['CLDL']}." in page
    behind = {other: mean_and_error(errors["CLDL"] - errors[other]) for other in ("softmax", "deep supervision")}
    assert "behind softmax by {:.2f} ± {:.2f} points".format(*behind["softmax"]) in page
    assert "behind deep supervision by {:.2f} ± {:.2f}".format(*behind["deep supervision"]) in page
    assert (
        f"{means['CLDL']} against {means['softmax']}, worse by {{:.2f}} ± {{:.2f}} points".format(*behind["softmax"])
        in WHOLE
    )


@pytest.mark.parametrize("line", SCENES.values(), ids=lambda line: f"{line['variant']}-{line['seed']}")
def test_the_errors_on_scenes_are_those_of_each_run(line):
    *alone, fused = line["errors"].values()
    rules = [f"{line['rules'][rule]:.1f}" if len(alone) > 1 else "" for rule in ("mean", "surest")]
    cells = [str(line["seed"]), f"{fused:.1f}", *rules, ", ".join(f"{error:.1f}" for error in alone)]
    row = " | ".join(cells).replace("  ", " ")
    assert f"| {row} | {line['train_errors']['fused']:.1f} |" in section("## Scenes")
