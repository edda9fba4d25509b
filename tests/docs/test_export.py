"""The page on export: its commands and its blocks run."""

import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cldl.__main__ import main
from data.disk.split import read_file
from data.disk.views import View
from tests.cldl import tiny

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
SEEN, ONNX, TORCH = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^cldl (.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """A folder in which the page's commands were run."""
    for package in ("onnx", "safetensors"):
        pytest.importorskip(package)
    tiny.run(tmp_path / "runs" / "first", monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert [main(shlex.split(line)) for line in COMMANDS] == [0, 0, 0]
    return tmp_path


@pytest.mark.parametrize("shape", [(200, 151, 3), (90, 300, 3), (64, 64, 3)])
def test_a_photograph_is_given_as_the_network_saw_it(shape, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).resize(shape[1::-1], Image.Resampling.BICUBIC).save(tmp_path / "photo.png")
    names = {}
    exec(compile(SEEN, "export.md", "exec"), names)
    view = View(64, scales=(73, 73), test_scale=73)
    assert view.told() in " ".join(PAGE.split())
    difference = np.int16(names["seen"](tmp_path / "photo.png")) - read_file(tmp_path / "photo.png", view)
    assert np.abs(difference).max() <= 1


def test_onnxruntime_runs_the_file(exported):
    pytest.importorskip("onnxruntime")
    exec(compile(ONNX, "export.md", "exec"), {})


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_runs_the_folder(exported, monkeypatch):
    monkeypatch.syspath_prepend(exported / "first")
    exec(compile(TORCH, "export.md", "exec"), {})
    sys.modules.pop("model")
