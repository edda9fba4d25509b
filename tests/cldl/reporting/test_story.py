"""The story of a run, and the step that would be next: the first reason that applies, with a command that runs."""

import shlex

import numpy as np
import pytest

from cldl import train
from cldl.objective import Objective
from cldl.recipes import find
from cldl.recipes.families.nin import MNIST_NIN
from cldl.reporting import repeat, story
from cldl.reporting.claims import Facts
from cldl.training.evaluation import Evaluation
from tests.cldl import tiny

SETTLED = {"tests": [1.0] * 12, "trainings": [1.0] * 12}


def run(name="mnist_nin", seed=3, config=None, **values):
    opened = tiny.opened("runs/one", find(name).changed(**values), seed)
    opened.config |= config or {}
    return opened


def facts(**values):
    return Facts(images=10_000, errors={"1": 5.0, "2": 1.0, "fused": 1.0}, **{**SETTLED, "planned": 12, **values})


def step(run, **values):
    found = story.next_step(run, facts(**values))
    return found.reason, shlex.join(found.arguments)


def test_a_stopped_run_is_finished_before_anything_else():
    improving = {"tests": [90.0, 50.0], "trainings": [90.0, 50.0]}
    assert step(run(), **improving) == ("Finish the run:", "--resume --run runs/one")


@pytest.mark.parametrize(
    ("values", "config", "part"),
    [
        ({"epochs": 2}, {}, "2 of the recipe's 12 epochs"),
        ({}, {"limit_train": 6000}, "6,000 images"),
        ({"epochs": 2}, {"limit_train": 6000}, "2 of the recipe's 12 epochs on 6,000 images"),
    ],
)
def test_after_a_trial_comes_the_whole_recipe_with_its_time(values, config, part):
    reason, command = step(run(config=config, dropout=0.2, **values), tests=[9.0, 1.0], trainings=[9.0, 1.0], planned=2)
    assert reason == f"This was a trial of {part}. The whole recipe (about 21 min on two cores):"
    assert command == "mnist_nin --dropout 0.2 --seed 3 --threads 1"


def test_a_run_that_over_fits_is_held_back_and_how_far_is_not_chosen_on_test_images():
    tests, trainings = [30.0] + [20.0] * 5 + [25.0] * 6, np.linspace(30, 1, 12).tolist()
    reason, command = step(run(), tests=tests, trainings=trainings)
    assert reason.startswith("Hold it back, by fewer epochs or more --dropout")
    assert command == "mnist_nin --seed 3 --threads 1 --epochs 6 --held-out 10000"


def test_a_run_that_still_improved_gets_more_epochs():
    reason, command = step(run(), tests=np.linspace(30, 1, 12).tolist(), trainings=np.linspace(30, 1, 12).tolist())
    assert reason.startswith("Give it more epochs")
    assert command == "mnist_nin --seed 3 --threads 1 --epochs 24"


def test_where_a_classifier_starves_the_recipe_that_lets_all_learn_is_next_or_a_half_of_each_loss_unweighted():
    starved = {"errors": {"1": 70.0, "2": 1.0, "fused": 1.0}, "left": {"1": 0.01, "2": 0.9}}
    f = Facts(images=10_000, planned=12, **SETTLED, **starved)
    assert story.next_step(run(), f).arguments[0] == "mnist_nin_shared"
    cifar = story.next_step(
        run("cifar100_nin"), Facts(images=10_000, planned=60, tests=[1.0] * 60, trainings=[1.0] * 60, **starved)
    )
    assert shlex.join(cifar.arguments) == "cifar100_nin --seed 3 --threads 1 --unweighted-share 0.5"


def test_otherwise_another_seed_is_next():
    reason, command = step(run())
    assert reason.startswith("Another seed")
    assert command == "mnist_nin --seed 4 --threads 1"


def test_a_recipe_that_is_not_the_projects_has_no_command():
    own = tiny.opened("runs/one", MNIST_NIN.changed(name="mine"))
    assert story.next_step(own, facts()) is None
    assert repeat.arguments(own) == []


def test_what_is_left_of_a_loss_counts_the_part_that_t_does_not_scale():
    z = np.log([[0.9, 0.1], [0.2, 0.8]])
    evaluation = Evaluation.of([z, z], np.array([0, 1]), Objective((1.0, 1.0), unweighted_share=0.5))
    f = story.facts(run(), tiny.metrics(2, 2), evaluation)
    assert f.left == pytest.approx({"1": 0.5 + 0.5 * 0.15, "2": 0.5 + 0.5 * 0.15})
    assert (f.tests, f.planned, f.images) == ([pytest.approx(50 / 3), pytest.approx(25 / 3)], 12, 2)


def test_it_is_told_in_sentences_with_the_command_apart(monkeypatch):
    monkeypatch.setattr(story, "again", lambda module, *words: f"{module} {' '.join(words)}")
    z = np.log([[0.9, 0.1], [0.2, 0.8]])
    evaluation = Evaluation.of([z, z], np.array([0, 1]), Objective((1.0, 1.0)))
    sentences, command = story.told(run(), tiny.metrics(2, 2), evaluation)
    assert sentences[0].startswith("The run was stopped after 2 of 12 epochs")
    assert sentences[-1] == "Finish the run:"
    assert command == "cldl.train --resume --run runs/one"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mnist_nin", {"epochs": 2, "dropout": 0.2, "optimiser": "sgd", "momentum": 0.9}),
        ("mnist_nin", {"loss.weights": (1.0, 0.5, 0.25), "exponent": 0.1, "through_companions": False}),
        ("mnist_nin", {"loss": "softmax", "classifiers": 2}),
        ("mnist_nin", {"model": "maxout", "definition": "mnist"}),
        ("folder", {"model": "vgg11", "size": 64, "n_classes": 10}),
        ("mnist_dsn", {"schedule": "constant"}),
    ],
)
def test_the_command_that_repeats_a_run_gives_its_recipe(name, values):
    opened = run(name, **values)
    options = train.parse(repeat.arguments(opened))
    assert train.choose_recipe(options) == opened.recipe
    assert (options.seed, options.threads) == (3, 1)


def test_it_repeats_limits_and_the_machine_too():
    config = {"limit_train": 100, "limit_test": None, "held_out": 50, "device": "cuda", "precision": "tf32"}
    words = repeat.arguments(run(config=config))
    options = train.parse(words)
    assert (options.limit_train, options.limit_test, options.held_out) == (100, None, 50)
    assert (options.device, options.precision) == ("cuda", "tf32")
    assert repeat.line(words).startswith("python -m cldl.train mnist_nin --limit-train 100")
