"""A larger batch has the learning rate that is in proportion, where that is asked for, and says so."""

import pytest

from cldl.recipes import find
from cldl.recipes.large_batches import scale_linearly, scaling_line
from cldl.train import choose_recipe, parse
from engine.errors import UserError

VGG = "places205_vgg11"


def chosen(*arguments):
    return choose_recipe(parse([str(argument) for argument in arguments]))


def test_the_rate_is_in_proportion_to_the_batch_after_a_warm_up_and_both_are_cited():
    published = find(VGG)
    recipe = chosen(VGG, "--batch-size", 8 * published.schedule.batch_size, "--batch-scaling", "linear")
    assert recipe.schedule.learning_rate == pytest.approx(8 * published.schedule.learning_rate)
    assert recipe.schedule.warmup == 5
    assert "Goyal" in recipe.sources["schedule.learning_rate"]
    assert "Goyal" in recipe.sources["schedule.warmup"]
    assert scaling_line(recipe, published).startswith("linear scaling: the batch is 8 times the published ")


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


def test_the_rule_changes_nothing_else():
    published = find(VGG)
    recipe = scale_linearly(published.changed(batch_size=4096), published, {"schedule.warmup"})
    rate = recipe.schedule.learning_rate
    assert recipe == published.changed(batch_size=4096, learning_rate=rate)
