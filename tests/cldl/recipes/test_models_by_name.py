"""--model NAME: another network in a recipe, with its published values, and images of a size that fits it."""

import json

import pytest

from cldl import train
from cldl.recipes import RECIPES, find
from cldl.recipes.spec import PRESETS
from cldl.recipes.stored import from_json, to_json
from engine.errors import UserError
from tests.data.disk.photos import jpeg, write

NAMES = (
    *("nin", "dsn", "maxout", "alexnet", "places_alexnet", "cnds8", "googlenet", "vgg11", "vgg13", "vgg16", "vgg19"),
    *("dag_alexnet", "dag_vgg19", "features"),
)


def with_model(name, base="folder", **values):
    return find(base).changed(model=name, **values)


def test_a_recipe_can_have_each_of_these_models():
    assert set(PRESETS["model"]) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_fits_the_images_of_the_sizes_that_it_is_given(name):
    recipe = with_model(name, n_classes=3)
    assert recipe.build_network().input_shape == (recipe.model.sizes[1], recipe.model.sizes[1], 3)
    least = recipe.changed(size=recipe.model.sizes[0]).build_network()
    assert (least.input_shape[0], least.classes) == (recipe.model.sizes[0], 3)
    assert from_json(*json.loads(json.dumps([to_json(recipe), recipe.sources]))) == recipe


def test_it_has_the_values_of_its_own_recipe_but_for_what_belongs_to_the_training():
    folder, own, new = find("folder").model, find("places205_vgg11").model, with_model("vgg16").model
    assert (new.definition, new.dropout, new.lower_lr_mult) == ("vgg16", own.dropout, own.lower_lr_mult)
    assert (new.classifiers, new.initialisation, new.bias_lr_mult) == (3, folder.initialisation, folder.bias_lr_mult)
    assert with_model("alexnet", classifiers=5).model.classifiers == 5
    assert with_model("vgg11", "mnist_nin_softmax").model.classifiers == 1
    sources = with_model("vgg16").sources
    assert sources["model"] == sources["model.definition"] == "command line"
    assert sources["model.dropout"] == find("places205_vgg11").sources["model.dropout"]


def test_the_losses_of_all_classifiers_stay_equal_however_many_the_model_has():
    assert with_model("cnds8").loss.weights == (1.0,) * 3
    assert with_model("dag_vgg19").loss.weights == (1.0,)
    assert with_model("dsn").loss.weights == (1.0,) * 4
    assert with_model("vgg11", "places205_cnds8").loss.weights == (0.4, 1.0)


def test_the_name_of_the_kind_that_a_recipe_has_changes_nothing():
    assert with_model("nin", "mnist_nin") == find("mnist_nin")
    assert with_model("vgg11", "mit67_vgg11") == find("mit67_vgg11")
    assert with_model("alexnet", "places205_alexnet").model.definition == "alexnet"


@pytest.mark.parametrize(
    ("side", "name", "size"),
    [
        (24, "vgg11", 32),
        (100, "vgg11", 96),
        (300, "vgg11", 224),
        (50, "alexnet", 67),
        (300, "alexnet", 227),
        (300, "nin", 64),
    ],
)
def test_the_size_is_that_of_the_images_as_far_as_it_fits_the_model(tmp_path, side, name, size):
    root = write(tmp_path / "pets", {f"{c}/{i}.jpg": jpeg(i, side, side + 8) for c in ("a", "b") for i in range(3)})
    assert with_model(name).load_data(tmp_path / "cache", root).train.shape == (size, size, 3)
    assert with_model(name, size=80).load_data(tmp_path / "cache", root).train.shape == (80, 80, 3)


def test_images_too_small_for_a_model_are_refused_in_a_sentence():
    with pytest.raises(UserError) as refused:
        with_model("alexnet", size=32).build_network()
    assert str(refused.value) == (
        "images of 32 x 32 pixels are too small for alexnet: give 67 x 67 or more, or choose another model."
    )
    with pytest.raises(
        UserError, match=r"images of 8 x 8 pixels are too small for maxout \(mnist\): give 32 x 32 or more"
    ):
        with_model("maxout", definition="mnist", size=8).build_network()


def test_the_command_line_takes_a_models_name_and_then_its_own_values():
    asked = train.parse(["folder", "--model", "vgg11", "--width", "0.25", "--lower-lr-mult", "0.5"])
    recipe = train.choose_recipe(asked)
    assert (recipe.model.kind, recipe.model.definition, recipe.model.width) == ("vgg", "vgg11", 0.25)
    assert recipe.model.lower_lr_mult == 0.5
    with pytest.raises(UserError, match="folder has no option --lower-head, which belongs to model nin"):
        train.parse(["folder", "--model", "vgg11", "--lower-head", "map"])
    with pytest.raises(
        UserError, match=r"^model is 'vgg12'; choose one of alexnet, .*, nin, .*, vgg11, vgg13, vgg16, vgg19\.$"
    ):
        train.parse(["folder", "--model", "vgg12"])


def test_the_help_tells_the_values_of_the_model_that_was_named(capsys):
    with pytest.raises(SystemExit):
        train.parse(["folder", "--model", "googlenet", "--help"])
    page = " ".join(capsys.readouterr().out.split())
    source = find("imagenet_googlenet").sources["model.dropout"]
    assert f"--dropout X the probability that a unit is dropped (0.4; {source})" in page
    assert (
        "--model KIND one of alexnet, places_alexnet, cnds8, dag_vgg19, dag_alexnet, dsn, features, nin, googlenet"
        in page
    )


def test_every_model_that_a_recipe_has_can_be_had_by_name():
    assert {recipe.model.kind for recipe in RECIPES.values()} == {spec.kind for spec in PRESETS["model"].values()}
