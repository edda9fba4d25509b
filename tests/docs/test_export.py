"""The page on export: its commands and its blocks run."""

import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from cldl.__main__ import main
from tests.cldl import tiny

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
ONNX, TORCH = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
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


def test_onnxruntime_runs_the_file(exported):
    pytest.importorskip("onnxruntime")
    exec(compile(ONNX, "export.md", "exec"), {})


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_pytorch_runs_the_folder(exported, monkeypatch):
    monkeypatch.syspath_prepend(exported / "first")
    exec(compile(TORCH, "export.md", "exec"), {})
    sys.modules.pop("model")
