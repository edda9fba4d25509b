"""Every command of the page on images runs, on a small folder; its tables say what the code does."""

import importlib
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from cldl.recipes import find
from cldl.recipes.recipe import Recipe
from cldl.recipes.spec import PRESETS, leaf_types
from cldl.reporting.repeat import arguments, line
from cldl.training.run import Run
from cldl.training.seen import Seen
from layers import Flatten, Linear, Sequential
from layers.dropout import Dropout
from tests.data.disk.photos import jpeg, tree
from tests.networks import stack

PAGE = (Path(__file__).parents[2] / "docs" / "images.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def small(recipe):
    """As many linear classifiers as the recipe's network has."""
    shape, M = recipe.image_shape, recipe.model.n_classifiers
    inputs = shape[0] * shape[1] * shape[2]
    heads = [Sequential(Flatten(), Linear(inputs, recipe.data.classes)) for _ in range(M)]
    return stack([Dropout(0.0) for _ in range(M)], heads, shape)


def test_the_commands_run_one_after_another(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Recipe, "build_network", small)
    tree(tmp_path / "photos", "cat", "dog", count=5)
    (tmp_path / "one.jpg").write_bytes(jpeg(3))
    assert len(COMMANDS) >= 6
    for command in COMMANDS:
        runs = sorted(Path("runs").glob("folder-*")) or [Path()]
        _, _, module, *arguments = shlex.split(command.replace("runs/folder-DATE-TIME", str(runs[0])))
        if module == "cldl.train":
            arguments += ["--epochs", "1"]  # the last one counts
        assert importlib.import_module(module).main(arguments) == 0, (command, capsys.readouterr().err)


def test_a_run_knows_where_its_images_are_and_is_told_where_they_have_gone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Recipe, "build_network", small)
    tree(tmp_path / "photos", "cat", "dog", count=5)
    train, evaluate, export = (importlib.import_module(f"cldl.{name}").main for name in ("train", "evaluate", "export"))
    assert train(["folder", "--data", "photos", "--epochs", "1", "--run", "run"]) == 0
    assert f"--data {tmp_path / 'photos'}" in line(arguments(Run.open(Path("run"))))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train(["--resume", "--run", "../run"]) == evaluate(["../run"]) == 0
    capsys.readouterr()
    assert export(["../run", "--safetensors", "weights.safetensors"]) == 0
    assert (
        "give it photographs resized so that the shorter side has 37 pixels, then the 32 x 32 in"
        in capsys.readouterr().out
    )
    (tmp_path / "photos").rename(tmp_path / "moved")
    capsys.readouterr()
    assert evaluate(["../run"]) == 2
    assert f"{tmp_path / 'photos'} is not there, expected the folder of images" in capsys.readouterr().err
    assert evaluate(["../run", "--data", "../moved"]) == 0


def test_the_models_that_it_names_are_those_that_there_are_with_their_sizes():
    section = PAGE.partition("## Which network")[2].partition("\n## ")[0]
    prose, _, table = section.partition("| `--model`")
    names = re.findall(r"`(\w+)`", prose.partition("(a linear")[0].partition("any other:")[2])
    assert sorted(names) == sorted(PRESETS["model"])
    rows = re.findall(r"^\| (`.*?) \| (\d+) to (\d+) \|$", table, re.MULTILINE)
    listed = {}
    for models, least, most in rows:
        for name in re.findall(r"`(\w+)`", models.replace("`vgg11` to `vgg19`", "`vgg11` `vgg13` `vgg16` `vgg19`")):
            listed[name] = (int(least), int(most))
    assert listed == {name: spec.sizes for name, spec in PRESETS["model"].items()}


@pytest.mark.parametrize("option", sorted(set(re.findall(r"^\| `--([\w-]+)", PAGE, re.MULTILINE))))
def test_an_option_that_it_names_is_one(option):
    leaves = {leaf for spec in find("folder").specs.values() for leaf in leaf_types(type(spec))}
    of_tests = {field.name for field in fields(Seen)}
    assert option.replace("-", "_") in {*leaves, *of_tests, "model", "dataset"}
