"""A larger batch has the learning rate that is in proportion, where that is asked for, and says so."""

import pytest

from cldl.recipes import find
from cldl.recipes.large_batches import follow_batch, scaling_line
from cldl.train import choose_recipe, parse
from engine.errors import UserError

VGG, ALEXNET = "places205_vgg11", "places205_alexnet"


def chosen(*arguments):
    return choose_recipe(parse([str(argument) for argument in arguments]))


def test_the_rate_is_in_proportion_to_the_batch_after_a_warm_up_and_both_are_cited():
    published = find(VGG)
    recipe = chosen(VGG, "--batch-size", 8 * published.schedule.batch_size, "--batch-scaling", "linear")
    assert recipe.schedule.learning_rate == pytest.approx(8 * published.schedule.learning_rate)
    assert recipe.schedule.warmup == 5
    assert "Goyal" in recipe.sources["schedule.learning_rate"]
    assert "Goyal" in recipe.sources["schedule.warmup"]
    assert scaling_line("linear", recipe, published).startswith("linear scaling: the batch is 8 times the published ")


def test_a_smaller_batch_has_a_smaller_rate_and_no_warm_up():
    published = find(VGG)
    recipe = chosen(VGG, "--batch-size", published.schedule.batch_size // 2, "--batch-scaling", "linear")
    assert recipe.schedule.learning_rate == pytest.approx(published.schedule.learning_rate / 2)
    assert recipe.schedule.warmup == published.schedule.warmup


def test_without_the_option_the_rate_stays_whatever_the_batch():
    assert chosen(VGG, "--batch-size", 4096).schedule.learning_rate == find(VGG).schedule.learning_rate


def test_a_warm_up_that_is_given_stays_and_is_no_longer_than_the_run():
    larger = 2 * find(VGG).schedule.batch_size
    given = chosen(VGG, "--batch-size", larger, "--warmup", 2, "--batch-scaling", "linear")
    assert given.schedule.warmup == 2
    assert chosen(VGG, "--batch-size", larger, "--epochs", 3, "--batch-scaling", "linear").schedule.warmup == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnist_nin", "--batch-size", 256], "published for sgd, not for adamw"),
        ([VGG, "--batch-size", 4096, "--learning-rate", 0.1], "both say what the rate is"),
        ([VGG], "--batch-scaling needs another --batch-size"),
    ],
)
def test_where_the_rule_does_not_hold_it_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        chosen(*arguments, "--batch-scaling", "linear")


@pytest.mark.parametrize(("batch", "rate"), [(1024, 2), (8192, 10), (16384, 16)])
def test_lars_takes_the_published_rate_of_the_batch_and_cites_its_solver(batch, rate):
    recipe = chosen(ALEXNET, "--batch-size", batch, "--batch-scaling", "lars")
    assert (recipe.optimiser.kind, recipe.optimiser.trust, recipe.optimiser.momentum) == ("lars", 0.001, 0.9)
    assert (recipe.schedule.kind, recipe.schedule.power, recipe.schedule.learning_rate) == ("polynomial", 2, rate)
    assert "nvcaffe" in recipe.sources["schedule.learning_rate"]
    assert "nvcaffe" in recipe.sources["optimiser"]
    line = scaling_line("lars", recipe, find(ALEXNET))
    assert line.startswith(
        f"LARS: the batch is {batch / 256:g} times the published 256 images, so the learning rate is {rate} "
    )


def test_lars_leaves_what_was_given_as_it_was_given():
    recipe = chosen(ALEXNET, "--batch-size", 8192, "--batch-scaling", "lars", "--momentum", 0.8, "--warmup", 2)
    assert (recipe.optimiser.kind, recipe.optimiser.momentum, recipe.schedule.warmup) == ("lars", 0.8, 2)


@pytest.mark.parametrize(("recipe", "batch"), [(ALEXNET, 4096), (VGG, 8192)])
def test_lars_is_refused_where_it_was_not_published(recipe, batch):
    with pytest.raises(
        UserError, match=r"LARS is published for AlexNet with batches of 1,024, 8,192, 16,384 images, not"
    ):
        chosen(recipe, "--batch-size", batch, "--batch-scaling", "lars")


def test_the_rule_changes_nothing_else():
    published = find(VGG)
    recipe = follow_batch("linear", published.changed(batch_size=4096), published, {"schedule.warmup"})
    rate = recipe.schedule.learning_rate
    assert recipe == published.changed(batch_size=4096, learning_rate=rate)
