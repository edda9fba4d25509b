"""The recipes: where their values come from, what they build, and how they are changed."""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from cldl.models.nin import NIN_MNIST, nin
from cldl.recipes import RECIPES, find
from cldl.recipes.leaves import TYPES, conform, parse, show
from cldl.recipes.losses import CldlLossSpec, CrossEntropySpec
from cldl.recipes.model import ModelSpec
from cldl.recipes.optimisers import SGDSpec
from cldl.recipes.recipe import COMMAND_LINE, SECTIONS, find_leaf
from cldl.recipes.schedules import ConstantSpec, StepSpec
from cldl.recipes.spec import KINDS, cited, leaf_types
from cldl.recipes.stored import from_json, to_json
from cldl.verification.end_to_end import checkable
from engine.errors import UserError
from engine.optim.optimisers import SGD, AdamW

EVERY = pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))


@EVERY
def test_every_value_and_every_choice_of_a_kind_names_its_source(recipe):
    assert set(recipe.sources) == {*recipe.leaves, "model", "loss", "optimiser", "schedule"}
    assert all(recipe.sources.values())
    assert COMMAND_LINE not in recipe.sources.values()
    assert not any("not used" in source for source in recipe.sources.values())


@EVERY
def test_every_recipe_builds_its_parts(recipe):
    network = recipe.build_network()
    assert len(network.exits) == recipe.model.n_classifiers == len(recipe.build_objective().weights)
    assert (network.input_shape, network.classes) == (recipe.image_shape, recipe.data.classes)
    optimiser = recipe.build_optimiser(checkable(recipe).build_network())
    assert type(optimiser) is {"sgd": SGD, "adamw": AdamW}[recipe.optimiser.kind]
    assert optimiser.weight_decay == recipe.optimiser.weight_decay


@EVERY
def test_a_recipe_is_the_same_after_a_journey_through_json(recipe):
    text = json.dumps([to_json(recipe), recipe.sources])
    again = from_json(*json.loads(text))
    assert again == recipe
    assert again.sources == recipe.sources


@EVERY
def test_every_value_can_be_written_on_the_command_line_and_read_from_it(recipe):
    for section, spec in recipe.specs.items():
        for name, hint in leaf_types(type(spec)).items():
            value = spec.values[name]
            assert parse(show(value), hint, f"{section}.{name}") == value


def test_cldl_and_softmax_differ_in_the_classifiers_only():
    a, b = find("mnist_nin").leaves, find("mnist_nin_softmax").leaves
    assert {k for k in a if a[k] != b[k]} == {"model.classifiers", "loss.weights"}


def test_a_cited_value_is_the_plain_value_and_its_source_stands_beside_it():
    spec = SGDSpec(momentum=cited(0.9, "Polyak, 1964"), nesterov=True)
    assert spec.momentum == 0.9
    assert dict(spec.sources) == {"momentum": "Polyak, 1964"}
    assert spec == SGDSpec(momentum=0.9, nesterov=True)


def test_a_changed_value_comes_from_the_command_line():
    recipe = find("mnist_nin").changed(epochs=3, dropout=0.5, **{"model.lower_head": "mean"})
    assert (recipe.schedule.epochs, recipe.model.lower_head) == (3, "mean")
    assert recipe.sources["schedule.epochs"] == recipe.sources["model.lower_head"] == "command line"
    assert recipe.sources["model.dropout"] == find("mnist_nin").sources["model.dropout"]
    assert recipe.changed(epochs=cited(4, "a paper")).sources["schedule.epochs"] == "a paper"


def test_another_kind_of_spec_keeps_what_both_have_and_takes_its_defaults_for_the_rest():
    recipe = find("mnist_nin").changed(schedule="step", milestones=(3.0,))
    assert recipe.schedule == StepSpec(learning_rate=0.0015, epochs=12, batch_size=64, warmup=0.5, milestones=(3.0,))
    assert recipe.sources["schedule.learning_rate"] == find("mnist_nin").sources["schedule.learning_rate"]
    assert recipe.sources["schedule"] == recipe.sources["schedule.milestones"] == "command line"
    assert recipe.sources["schedule.gamma"] == "the default of step"
    with pytest.raises(UserError, match="sgd has no value for momentum: give one"):
        find("mnist_nin").changed(optimiser="sgd")
    sgd = find("mnist_nin").changed(optimiser="sgd", momentum=0.5, nesterov=True).optimiser
    assert sgd == SGDSpec(momentum=0.5, nesterov=True, weight_decay=0.05)


def test_the_cross_entropy_is_of_one_classifier():
    with pytest.raises(UserError, match="the loss cross_entropy is of one classifier, but the model has 3"):
        find("mnist_nin").changed(loss="cross_entropy")
    assert find("mnist_nin").changed(loss="cross_entropy", classifiers=1).build_objective().g == 0


def test_a_section_can_be_a_spec():
    loss = cited(CldlLossSpec(weights=(1.0, 2.0, 3.0)), "a paper")
    recipe = find("mnist_nin").changed(loss=loss, exponent=1.0)
    assert recipe.build_objective().weights == (1, 2, 3)
    assert recipe.build_objective().g == 1
    assert recipe.sources["loss"] == "a paper"


WRONG = {
    "schedule.epochs": 0,
    "schedule.batch_size": 0,
    "schedule.learning_rate": -1.0,
    "schedule.warmup": 1e9,
    "schedule.decay_epochs": -1.0,
    "schedule.min_lr_ratio": 1.5,
    "schedule.momentum_ramp": (0.5, 0.7),
    "model.dropout": 1.0,
    "model.initialisation": "luck",
    "model.lower_head": "half",
    "model.classifiers": 6,
    "model.bias_lr_mult": -1.0,
    "loss.weights": (1.0, 1.0),
    "loss.exponent": -1.0,
    "optimiser.beta1": 1.0,
    "optimiser.penalty": "cube",
    "data.dataset": "mnost",
    "data.preprocessing": "zca",
    "schedule": "zigzag",
    "optimiser": "sgdd",
    "loss": "hinges",
    "model": "resnet",
}


@pytest.mark.parametrize(("name", "value"), WRONG.items(), ids=list(WRONG))
def test_a_value_out_of_range_is_refused_by_its_dotted_name(name, value):
    with pytest.raises(UserError, match=rf"^{name} is ") as refusal:
        find("mnist_nin").changed(**{name: value})
    assert str(refusal.value).endswith(".")


@EVERY
def test_every_range_refuses_what_is_no_number_or_of_another_type(recipe):
    for section, spec in recipe.specs.items():
        for name, hint in leaf_types(type(spec)).items():
            wrong = [{}, "x" if hint is not str else 1.0]
            wrong += (
                [float("nan")] if hint in (float, float | None) else [(float("nan"),)] if "tuple" in str(hint) else []
            )
            for value in wrong:
                with pytest.raises(UserError, match=f"{section}.{name} is "):
                    recipe.changed(**{f"{section}.{name}": value})


def test_a_momentum_ramp_needs_sgd_and_begins_at_its_momentum():
    with pytest.raises(UserError, match="only the optimiser sgd"):
        find("mnist_nin").changed(momentum_ramp=(0.5, 0.9, 1.0))
    with pytest.raises(UserError, match="give both the same"):
        find("mnist_maxout_published").changed(momentum=0.9)
    assert find("mnist_maxout_published").changed(momentum=0.6, momentum_ramp=(0.6, 0.9, 1.0))


def test_an_unknown_recipe_is_answered_with_a_similar_one_or_with_all():
    with pytest.raises(UserError, match=r"did you mean mnist_nin\?"):
        find("mnist_nim")
    with pytest.raises(UserError, match=r"choose one of .*mnist_nin, "):
        find("resnet")


def test_an_unknown_value_is_answered_with_a_similar_one():
    with pytest.raises(UserError, match=r"no value 'dropuot' in a recipe of nin.*: did you mean dropout\?"):
        find("mnist_nin").changed(dropuot=0.5)
    with pytest.raises(UserError, match="no value 'classifiers' in a recipe of maxout"):
        find("mnist_maxout").changed(classifiers=2)


def test_a_name_that_two_leaves_share_is_refused_with_both():
    @dataclass(frozen=True, kw_only=True)
    class WarmNin(type(find("mnist_nin").model)):
        warmup: float

    types = {section: type(spec) for section, spec in find("mnist_nin").specs.items()} | {"model": WarmNin}
    with pytest.raises(UserError, match=r"warmup is both model\.warmup and schedule\.warmup"):
        find_leaf("warmup", types)
    assert find_leaf("model.warmup", types) == "model.warmup"


def test_the_rate_warms_up_and_decays():
    recipe = find("mnist_nin").changed(epochs=10, warmup=1.0, learning_rate=0.1)
    rates = [recipe.schedule.learning_rate_at(e) for e in (0, 0.5, 1, 5, 10)]
    assert rates[0] == 0
    assert rates[1] < rates[2] > rates[3] > rates[4]
    assert rates[4] == pytest.approx(0)


def test_the_published_schedule_divides_by_ten_at_200_and_230_epochs():
    schedule = find("mnist_nin_published").schedule
    rates = [schedule.learning_rate_at(e) for e in (0, 199.9, 200.1, 230.1)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_dsn_drops_its_companions_when_its_authors_do():
    recipe = find("cifar100_dsn_published")
    objective, schedule = recipe.build_objective(), recipe.schedule
    assert objective.at(99).weights == (1, 1, 1, 1)
    assert objective.at(100).weights == (0, 0, 0, 1)
    steps = 50_000 // schedule.batch_size
    assert recipe.loss.companion_epochs * steps == 50_000
    assert [schedule.learning_rate_at(e) for e in (0, 239.9, 240.1, 300)] == pytest.approx([0.025, 0.025, 1e-4, 1e-4])
    assert schedule.epochs * steps == 150_000


def test_maxout_raises_its_momentum_and_lowers_its_rate_as_published():
    mnist, cifar = find("mnist_maxout_published").schedule, find("cifar100_maxout_published").schedule
    assert [mnist.momentum_at(e) for e in (0, 125, 250, 300)] == pytest.approx([0.5, 0.6, 0.7, 0.7])
    assert [cifar.momentum_at(e) for e in (0, 125, 785)] == pytest.approx([0.5, 0.55, 0.6])
    assert [mnist.learning_rate_at(e) for e in (0, 2)] == pytest.approx([0.05, 0.05 / 1.00004 ** (2 * 469)])
    assert mnist.learning_rate_at(10_000) == pytest.approx(1e-6)
    rates = [cifar.learning_rate_at(e) for e in (0, 250, 500, 785)]
    assert rates == pytest.approx([0.17, 0.17 * 0.505, 0.0017, 0.0017])
    assert find("mnist_nin_published").schedule.momentum_at(100) is None


def test_the_number_of_classifiers_alone_can_be_changed():
    for M in (1, 2, 4, 5):
        recipe = find("cifar100_nin").changed(classifiers=M)
        assert recipe.loss.weights == (1.0,) * M
        assert len(recipe.build_network().exits) == M
    with pytest.raises(UserError, match=r"loss\.weights"):
        find("mnist_nin").changed(weights=(1.0, 2.0, 3.0)).changed(classifiers=2)


def test_a_definition_takes_the_images_and_classes_of_any_data_set():
    network = find("mnist_nin").changed(dataset="cifar100").build_network()
    assert (network.input_shape, network.classes) == ((32, 32, 3), 100)
    with pytest.raises(UserError, match=r"model\.definition is 'svhn'; choose one of mnist, cifar"):
        find("mnist_nin").changed(definition="svhn")


def test_published_recipes_let_biases_learn_twice_as_fast_where_their_authors_do():
    for name in ("mnist_nin_published", "cifar100_dsn_published"):
        weight, bias = find(name).build_network().parameters()[:2]
        assert (weight.lr_mult, bias.lr_mult) == (1, 2)


def test_nothing_inferred_claims_a_trial():
    for recipe in RECIPES.values():
        for source in recipe.sources.values():
            assert not ("untried" in source and "by trial" in source)


def test_a_new_family_needs_its_own_file_alone(monkeypatch):
    """A model that no other file knows: it trains, is stored and read back, and its leaves are the command line's."""
    monkeypatch.setitem(KINDS, "model", dict(KINDS["model"]))

    @dataclass(frozen=True, kw_only=True)
    class LinearSpec(ModelSpec):
        kind: ClassVar[str] = "plain"
        n_classifiers: ClassVar[int] = 1
        method: ClassVar[str] = "Plain"
        width: int

        def make(self, image, classes):
            return nin(NIN_MNIST, image, classes, 1, dropout=self.dropout)

    model = LinearSpec(definition="mnist", dropout=0.1, initialisation="he", bias_lr_mult=1.0, width=3)
    recipe = find("mnist_nin").changed(name="plain", model=model, loss=CrossEntropySpec(), width=5)
    assert from_json(to_json(recipe), {}).model.width == 5
    assert recipe.build_network().classes == 10


DAMAGE = {
    "no section": (lambda r: r.pop("loss"), "has no loss"),
    "no value": (
        lambda r: r["model"].pop("dropout"),
        "the recipe has no model.dropout: restore it, or use the version that wrote it.",
    ),
    "an unknown value": (
        lambda r: r["model"].update(depth=3),
        "the recipe has 'model.depth', which this version does not know: restore it, or use",
    ),
    "an unknown kind": (lambda r: r["model"].update(type="resnet"), "model is 'resnet'; choose one of nin, "),
    "no kind": (lambda r: r["model"].pop("type"), "model is 'None'; choose one of nin, "),
    "a section that is no object": (lambda r: r.update(data=[]), "data is 'None'; choose one of images"),
    "another type": (lambda r: r["schedule"].update(epochs="many"), "schedule.epochs is 'many'; give a whole number"),
    "out of range": (lambda r: r["model"].update(dropout=2), "model.dropout is 2.0; choose"),
    "a name that is no text": (lambda r: r.update(name=3), "the recipe has name 3, expected one line of text"),
}


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE.values(), ids=list(DAMAGE))
def test_a_stored_recipe_that_is_not_one_is_refused_in_a_sentence(damage, sentence):
    stored = json.loads(json.dumps(to_json(find("mnist_nin"))))
    damage(stored)
    with pytest.raises(UserError) as refusal:
        from_json(stored, {})
    assert sentence in str(refusal.value)


def test_a_stored_recipe_of_a_version_that_did_not_know_a_value_has_its_default():
    stored = to_json(find("places205_vgg11"))
    del stored["model"]["body_lr_mult"]
    assert from_json(stored, {}) == find("places205_vgg11")


@pytest.mark.parametrize("sources", [None, [], {"model.dropout": 3}])
def test_sources_that_are_no_texts_are_refused(sources):
    with pytest.raises(UserError, match="sources"):
        from_json(to_json(find("mnist_nin")), sources)


def test_the_types_of_leaves_take_what_they_say_and_nothing_else():
    texts = {int: "3", float: "0.5", bool: "no", str: "he", tuple[float, ...]: "1,0.5"}
    values = {int: 3, float: 0.5, bool: False, str: "he", tuple[float, ...]: (1.0, 0.5)}
    assert set(texts) == set(TYPES)
    for kind, value in values.items():
        assert parse(texts[kind], kind, "it") == conform(value, kind, "it") == value
        for other in values.values():
            if other != value and not (kind is float and other == 3):
                with pytest.raises(UserError, match="it is"):
                    conform(other, kind, "it")
    assert conform(None, float | None, "it") is parse("none", float | None, "it") is None
    with pytest.raises(UserError, match="it is 'none'; give a number"):
        parse("none", float, "it")


def test_equal_recipes_are_equal_whatever_their_sources_say():
    recipe = find("mnist_nin")
    assert recipe.recite("CLDL", "a") == recipe == replace(recipe)
    assert recipe.recite("CLDL poster", "a poster").sources["data.dataset"] == "a poster (ECCV 2016)"
    assert hash(recipe) == hash(recipe.recite("CLDL", "a"))
    assert recipe != recipe.changed(epochs=11)
    assert isinstance(recipe.changed(schedule="constant").schedule, ConstantSpec)
    assert set(SECTIONS) == set(KINDS)
