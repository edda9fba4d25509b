import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from data.dataset import Dataset, is_varied, read_images
from data.disk.index import load_index
from data.disk.split import DiskSplit
from data.disk.tree import image_files
from data.disk.views import View
from engine.errors import UserError
from engine.random import Key
from tests.data.disk.photos import jpeg, write

VIEW = View(16, "short", (16, 20), 18, shift=0.1)


@pytest.fixture
def split(tmp_path):
    root = write(tmp_path / "photos", {f"{i}.jpg": jpeg(i, 20 + i, 30) for i in range(8)})
    index = load_index(root, image_files(root), tmp_path / "i.h5", "mine", print)
    return DiskSplit(root, index, np.arange(8), np.arange(8) % 2, VIEW)


def test_a_split_on_the_disk_is_one_that_a_data_set_takes(split):
    assert is_varied(split)
    data = Dataset("mine", split, split, ("a", "b"))
    assert read_images(data.train).shape == (8, 16, 16, 3)
    assert len({image.tobytes() for image in read_images(data.train)}) == 8


def test_what_is_drawn_depends_on_the_key_and_the_image_not_on_how_it_is_read(split):
    varied = split.varied(Key(3))
    whole = read_images(varied)
    order = [5, 2, 7, 0]
    np.testing.assert_array_equal(read_images(varied, order), whole[order])
    with ThreadPoolExecutor(4) as pool:
        for i, image in enumerate(pool.map(lambda i: read_images(varied, [i])[0], range(8))):
            np.testing.assert_array_equal(image, whole[i])
    np.testing.assert_array_equal(read_images(split.varied(Key(3))), whole)
    assert not (read_images(split.varied(Key(4))) == whole).all(axis=(1, 2, 3)).any()


def test_a_test_image_is_the_crop_in_the_middle_and_nothing_is_drawn(split):
    np.testing.assert_array_equal(read_images(split.cropped(0)), read_images(split))
    np.testing.assert_array_equal(read_images(split.varied(Key(1)).cropped(0)), read_images(split))
    np.testing.assert_array_equal(read_images(split.cropped(5)), read_images(split)[:, :, ::-1])


def test_a_part_has_the_same_images_drawn_in_the_same_way_without_reading_any(split, monkeypatch):
    monkeypatch.setattr(DiskSplit, "read", lambda *_: pytest.fail("it was read"))
    data = Dataset("mine", split, split, ("a", "b"))
    part = data.limited(train=3).train
    held_out = data.limited(held_out=2)
    assert part.fingerprint != split.fingerprint
    monkeypatch.undo()
    assert len(part) == 3
    np.testing.assert_array_equal(read_images(part.varied(Key(3))), read_images(split.varied(Key(3)))[:3])
    np.testing.assert_array_equal(read_images(held_out.test), read_images(split)[6:])


def test_the_fingerprint_is_that_of_files_and_labels_wherever_they_are(split, tmp_path):
    other = write(tmp_path / "elsewhere", {f"b/{i}.jpg": jpeg(i, 20 + i, 30) for i in range(8)})
    index = load_index(other, image_files(other), tmp_path / "j.h5", "mine", print)

    def fingerprint(rows=8, labels=split.labels, view=VIEW):
        return DiskSplit(other, index, np.arange(rows), labels[:rows], view).fingerprint

    assert fingerprint() == split.fingerprint
    assert split.varied(Key(0)).fingerprint == split.fingerprint
    others = [fingerprint(7), fingerprint(labels=1 - split.labels), fingerprint(view=View(16, "warp", (16, 20), 18))]
    assert len({split.fingerprint, *others}) == 4


def test_a_file_that_is_no_longer_what_it_was_is_named(split):
    (split.root / "3.jpg").write_bytes(b"text")
    (split.root / "4.jpg").unlink()
    read_images(split, [2, 5])
    for name, reason in (
        (3, "is not a JPEG, PNG, GIF, BMP or WebP image"),
        (4, "cannot be read (No such file or directory)"),
    ):
        with pytest.raises(UserError) as refused:
            read_images(split, [name])
        assert str(refused.value) == (
            f"{split.root / f'{name}.jpg'} {reason}, though it was an image when the data set was indexed: put it there again, "
            "or start anew, without it."
        )


def test_pillow_is_loaded_when_an_image_is_read_and_not_before():
    program = "import sys, cldl.train; assert not [name for name in sys.modules if name.split('.')[0] == 'PIL']"
    subprocess.run([sys.executable, "-c", program], check=True)
