"""Every block of the page on Python runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.cldl import tiny

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_images_are_learned_and_what_was_learned_is_kept():
    names = {}
    exec(compile(BLOCKS[0], "python.md", "exec"), names)
    exec(compile(BLOCKS[1], "python.md", "exec"), names)


def test_a_grid_is_searched():
    pytest.importorskip("sklearn")
    exec(compile(BLOCKS[2], "python.md", "exec"), {})


def test_a_run_is_opened(tmp_path, monkeypatch):
    tiny.run(tmp_path / "runs" / "first", monkeypatch)
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[3], "python.md", "exec"), {"images": np.stack([tiny.bright(1)])})


def test_a_loss_in_pytorch_has_a_gradient():
    pytest.importorskip("torch")
    exec(compile(BLOCKS[4], "python.md", "exec"), {})


def test_no_block_is_left_out():
    assert len(BLOCKS) == 5
