import numpy as np
import pytest
from PIL import Image

from benchmarks import papers
from benchmarks.paper import KINDS, SIDES, photograph
from data import registry
from data.dataset import Dataset
from tests.cldl import tiny


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Of a network that answers what is in the first row: of digits that are centred, always 0."""
    rings = np.zeros((20, 28, 28, 1), np.uint8)
    rings[:, 5:23, 8:20] = 255
    rings[:, 8:20, 11:17] = 0
    data = Dataset.from_arrays("rings", *2 * (rings, np.arange(20) % 10), tuple("0123456789"))
    monkeypatch.setitem(registry.LOADERS, "mnist", lambda cache, data=None, say=None: made)
    made = data
    return tiny.run(tmp_path / "run", monkeypatch)


def test_what_is_right_refused_and_wrong_is_counted_on_each_kind_of_paper(run, tmp_path, capsys):
    kinds = ["white", "blank", "several"]
    folder = tmp_path / "pictures"
    assert papers.main([str(run.folder), "--each", "3", "--folder", str(folder), "--kinds", *kinds]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [["white", "1", "0", "2", "0"], ["blank", "3", "0", "0", "0"], ["several", "3", "0", "0", "0"]]
    assert len(list(folder.glob("*.jpg"))) == 9


@pytest.mark.parametrize("kind", KINDS)
def test_a_photograph_follows_from_its_seed_and_has_a_photographs_size(tmp_path, kind):
    digit = np.zeros((28, 28), np.uint8)
    digit[4:24, 12:16] = 255
    first, again, other = (photograph(kind, [digit], np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first == again != other
    (tmp_path / "a.jpg").write_bytes(first)
    most = 1.4 * SIDES[1] if kind in ("framed", "hard") else SIDES[1]  # with a table around it
    assert all(SIDES[0] <= side <= most for side in Image.open(tmp_path / "a.jpg").size)
