"""The command line of `cldl.train`: recipes, options, help, and what is refused."""

from dataclasses import dataclass

import pytest

from cldl import train
from cldl.recipes import RECIPES, find, options
from cldl.recipes.families.nin import NinSpec
from cldl.recipes.leaves import show
from cldl.recipes.spec import cited
from engine.errors import UserError
from tests.cldl.synthetic import command


def test_a_step_on_the_cpu_is_not_explained_as_one_on_the_gpu(capsys):
    assert command("mnist_nin", "--explain", "--device", "cuda") == 2
    assert "--explain looks at a step on the CPU: leave --device out" in capsys.readouterr().err


WRONG = {
    "an unknown recipe": ["mnist_nim"],
    "no recipe": [],
    "zero epochs": ["mnist_nin", "--epochs", "0"],
    "a negative rate": ["mnist_nin", "--learning-rate", "-1"],
    "too few weights": ["mnist_nin", "--loss.weights", "1,1"],
    "an unknown schedule": ["mnist_nin", "--schedule", "zigzag"],
    "a device that there is not": ["mnist_nin", "--device", "cuda"],
    "nothing to resume": ["--resume", "--run", "nowhere"],
    "resume of nothing": ["--resume"],
    "an option without a recipe": ["--epochs", "3"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=list(WRONG))
def test_what_the_user_can_fix_is_one_line_and_status_2(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(*arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert not list(tmp_path.iterdir())


REFUSED = {
    "--epochs many": "schedule.epochs is 'many'; give a whole number",
    "--model.dropout 1.5": "model.dropout is 1.5; choose a value from 0 to 0.99",
    "--through-companions maybe": "loss.through_companions is 'maybe'; give yes or no",
    "--limit-train 0": "argument --limit-train: 0 is out of range",
    "--epochs": "argument --epochs: expected one argument",
    "--epoch 3": "there is no option --epoch: did you mean --epochs?",
    "--lr 1": "there is no option --lr: did you mean --learning-rate?",
    "--batch 1": "there is no option --batch: did you mean --batch-size?",
    "--device tpu": "argument --device: invalid choice: 'tpu' (choose from ",
    "--model.dropuot=0.5": "there is no option --model.dropuot: did you mean --model.dropout?",
    "--nonsense": "there is no option --nonsense (--help lists them)",
    "--weights 1,1,1": "--weights is a file of trained weights, and there is none called 1,1,1: the weights of the "
    "classifiers' losses are --loss.weights.",
    "--weights-partly": "--weights-partly says how --weights are taken: give these, too.",
    "--milestones 3": "mnist_nin has no option --milestones, which belongs to schedule step",
    "--optimiser.momentum 0.5": "mnist_nin has no option --optimiser.momentum, which belongs to optimiser sgd",
    "--schedule zigzag": "schedule is 'zigzag'; choose one of constant, step",
    "--schedule step": "the schedule step has no value for milestones: give one",
    "mnist_dsn": "'mnist_dsn' is one argument too many",
}


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED.items(), ids=list(REFUSED))
def test_an_option_that_cannot_be_taken_is_refused_in_a_sentence(arguments, sentence, capsys):
    assert command("mnist_nin", *arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {sentence}")
    assert error.count("\n") == 1


def test_options_before_the_recipe_and_without_one(capsys):
    assert train.parse(["--dropout", "0.25", "mnist_nin"]).changes == {"model.dropout": 0.25}
    assert command("--epoch", "3", "mnist_nin") == 2
    assert "there is no option --epoch: did you mean --epochs?" in capsys.readouterr().err
    assert command("--epochs", "3") == 2
    assert "--schedule.epochs belongs to a recipe: name the recipe, too." in capsys.readouterr().err


def test_a_leaf_is_set_by_its_dotted_name_and_by_its_own():
    dotted = train.parse(["mnist_nin", "--model.lower-lr-mult", "0.1", "--loss.exponent", "0.4"])
    short = train.parse(["mnist_nin", "--lower-lr-mult", "0.1", "--exponent", "0.4"])
    recipe = train.choose_recipe(dotted)
    assert recipe == train.choose_recipe(short)
    assert (recipe.model.lower_lr_mult, recipe.loss.exponent) == (0.1, 0.4)
    assert recipe.sources["model.lower_lr_mult"] == "command line"


def test_another_kind_of_schedule_brings_its_own_options():
    asked = ["mnist_nin", "--schedule", "step", "--milestones", "3,6", "--decay-epochs", "none"]
    with pytest.raises(UserError, match="mnist_nin has no option --decay-epochs"):
        train.parse(asked)
    schedule = train.choose_recipe(train.parse(asked[:-2])).schedule
    assert (schedule.kind, schedule.milestones, schedule.learning_rate) == ("step", (3, 6), 0.0015)


def test_a_name_that_two_leaves_share_is_no_option(monkeypatch):
    @dataclass(frozen=True, kw_only=True)
    class WarmNin(NinSpec):
        warmup: float

    recipe = find("mnist_nin")
    warm = recipe.changed(model=WarmNin(**recipe.model.values, warmup=1.0))
    monkeypatch.setitem(options.KINDS["model"], "nin", WarmNin)
    monkeypatch.setattr(options, "find", lambda name: warm)
    with pytest.raises(UserError, match=r"--warmup is both --model\.warmup and --schedule\.warmup: write the one"):
        train.parse(["mnist_nin", "--warmup", "1"])
    assert train.parse(["mnist_nin", "--model.warmup", "1"]).changes == {"model.warmup": 1.0}


def test_the_help_lists_the_values_of_a_recipe_and_their_sources(capsys):
    with pytest.raises(SystemExit) as stop:
        command("mnist_dsn", "--help")
    assert stop.value.code == 0
    page = "".join(capsys.readouterr().out.split())
    recipe = find("mnist_dsn")
    for name, source in recipe.sources.items():
        assert f"--{name.replace('_', '-')}" in page
        assert "".join(source.split()) in page
    for name, value in recipe.leaves.items():
        assert f"{show(value)};{''.join(recipe.sources[name].split())}" in page


def test_the_help_without_a_recipe_lists_what_all_have_and_says_how_to_see_the_rest(capsys):
    with pytest.raises(SystemExit) as stop:
        command("--help")
    assert stop.value.code == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "RECIPE --help lists all of a recipe's" in page
    assert "--schedule.epochs" in page
    assert "--epochs N" in page
    assert "--model.classifiers" not in page


def test_the_list_shows_every_recipe(capsys):
    assert command("--list") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in RECIPES)


def test_without_a_recipe_a_value_is_read_as_what_it_is():
    assert train.options.parse(train.make_parser, ["--epochs", "3"]).changes == {"schedule.epochs": 3}
    assert train.options.parse(train.make_parser, ["--schedule.epochs", "3"]).changes == {"schedule.epochs": 3}
    with pytest.raises(UserError, match=r"^schedule\.epochs is 'many'; give a whole number\.$"):
        train.parse(["--epochs", "many"])


def test_an_option_of_several_kinds_is_answered_with_all_of_them():
    with pytest.raises(UserError) as refused:
        train.parse(["mnist_nin", "--gamma", "0.5"])
    assert str(refused.value) == (
        "mnist_nin has no option --gamma, which belongs to schedule step and schedule exponential."
    )


def page(capsys, *arguments):
    with pytest.raises(SystemExit):
        command(*arguments, "--help")
    return " ".join(capsys.readouterr().out.split())


def test_the_help_groups_the_values_by_section_and_names_the_kinds_that_there_are(capsys):
    text = page(capsys, "mnist_nin")
    for part in (
        "model (nin): CLDL poster (ECCV 2016) --model KIND one of alexnet, places_alexnet, cnds8,",
        "loss (cldl): CLDL poster",
        "schedule (cosine): chosen here by trials",
        "--schedule KIND one of constant, step, exponential, polynomial, cosine",
        "--epochs N how often every training image is seen (12;",
    ):
        assert part in text


def test_the_help_of_another_kind_tells_its_defaults_and_what_must_be_given(capsys):
    text = page(capsys, "mnist_nin", "--schedule", "step")
    assert "--milestones A,B,.. epochs after which the rate is multiplied (must be given)" in text
    assert "--gamma X by what it is multiplied (0.1)" in text


def test_a_source_with_a_per_cent_sign_is_shown_as_it_is(monkeypatch, capsys):
    recipe = find("mnist_nin").changed(dropout=cited(0.25, "half of the paper's 50 %"))
    monkeypatch.setattr(options, "find", lambda name: recipe)
    assert "is dropped (0.25; half of the paper's 50 %) --" in page(capsys, "mnist_nin")


def test_every_leaf_of_every_kind_of_recipe_can_be_set_by_both_names_but_the_losses_weights_as_weights_are_a_file():
    kinds = {tuple(spec.kind for spec in recipe.specs.values()): recipe for recipe in RECIPES.values()}
    for recipe in kinds.values():
        for name, value in recipe.leaves.items():
            for option in {name, "loss.weights" if name == "loss.weights" else name.partition(".")[2]}:
                asked = train.parse([recipe.name, f"--{option.replace('_', '-')}", show(value)])
                assert asked.changes == {name: value}
                assert train.choose_recipe(asked) == recipe
