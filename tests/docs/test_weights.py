"""Every code block of docs/weights.md runs, on files that are made as the published ones are."""

import re
import shlex
from pathlib import Path

import pytest

from cldl import train
from cldl.models import build
from cldl.recipes.recipe import Recipe
from tests.cldl import tiny
from tests.cldl.interop.layouts import arrays_of
from tests.cldl.interop.test_caffe import PUBLISHED, model
from tests.data.disk.photos import tree, write
from tools.fuzzing.weight_files import caffemodel

pytest.importorskip("google.protobuf")
pytest.importorskip("safetensors")
PAGE = (Path(__file__).parents[2] / "docs" / "weights.md").read_text()
LOADING, SAVING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(COMMAND,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def test_weights_are_loaded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    there = build("googlenet", (224, 224, 3), 1000, 3)
    Path("bvlc_googlenet.caffemodel").write_bytes(model("googlenet", arrays_of(there)))
    exec(compile(LOADING, "weights.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[0] == (
        "122 of 128 parameters are those of bvlc_googlenet.caffemodel (Caffe); drawn anew: head_inception_4a.fc (1,000 classes "
        "there, 67 here), head_inception_4d.fc (1,000 classes there, 67 here), head_top.fc (1,000 classes there, 67 here)"
    )


def test_weights_are_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny.run(tmp_path / "runs" / "first", monkeypatch)
    exec(compile(SAVING, "weights.md", "exec"), {})
    assert Path("mine.safetensors").stat().st_size > 0


def test_a_run_begins_with_weights(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(train, "train", lambda *arguments: 0)  # it ends where the training would begin
    monkeypatch.setattr(Recipe, "build_network", narrow)
    scenes = [f"scene{k}" for k in range(67)]
    tree(tmp_path / "MIT67" / "Images", *scenes, count=2)
    lists = {f"{part}Images.txt": "\n".join(f"{s}/{i}.jpg" for s in scenes) for i, part in enumerate(("Train", "Test"))}
    write(tmp_path / "MIT67", lists)
    there = build("vgg11", (224, 224, 3), 205, width=1 / 32)
    names = dict(zip(PUBLISHED["vgg11"][2], arrays_of(there).values(), strict=True))
    Path("siat_scene_vgg_11.caffemodel").write_bytes(caffemodel(names, "layers", legacy=True))
    assert train.main([*shlex.split(COMMAND)[3:], "--threads", "1"]) == 0
    assert "weights: 20 of 34 parameters are those of siat_scene_vgg_11.caffemodel" in capsys.readouterr().out


def narrow(recipe):
    """The recipe's network at a 32nd of its width."""
    return recipe.changed(width=1 / 32).model.build(recipe.data.image_shape, recipe.data.classes)
