"""Photographs on the disk, and how they are seen."""

import pytest

from data.disk.photos import load_photos
from data.disk.views import View
from data.sources.folder import find as find_folder
from tests.data.disk.photos import jpeg, tree, write

VIEW = View(12, scales=(12, 16), test_scale=14)


@pytest.fixture
def photos(tmp_path):
    """Thirty images to train on, of two classes."""
    root = tree(tmp_path / "pets" / "train", "cat", "dog", count=15).parent
    tree(root / "val", "cat", "dog", count=3, seed=50)
    write(root / "val", {"cat/1.jpg": jpeg(70, 40, 26)})  # of another size
    return load_photos(find_folder(root), tmp_path / "cache")
