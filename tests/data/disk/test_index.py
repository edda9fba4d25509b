import os

import numpy as np
import pytest

from data.disk import index as module
from data.disk.index import load_index
from data.disk.tree import folders, image_files
from engine.errors import UserError
from tests.data.disk.photos import jpeg, write

FILES = {
    "b/2.jpg": jpeg(0, 24, 32),
    "a/1.JPG": jpeg(1, 10, 20),
    "a/3.jpeg": jpeg(2)[:-100],
    "a/4.png": b"",
    "a/5.gif": "text",
}


@pytest.fixture
def photos(tmp_path):
    return write(tmp_path / "photos", FILES)


def load(photos, paths=None, said=None):
    said = [] if said is None else said
    return load_index(photos, paths or image_files(photos), photos.parent / "cache" / "i.h5", "mine", said.append)


def test_the_images_of_a_tree_are_those_files_that_are_named_so(photos):
    write(photos, {".hidden/a.jpg": "", "a/.b.jpg": "", "a/list.txt": "", "c/deep/d.webp": "", "c/e.heic": ""})
    assert image_files(photos) == sorted([*FILES, "c/deep/d.webp", "c/e.heic"])
    assert folders(photos) == ["a", "b", "c"]


def test_links_are_followed_and_not_in_a_circle(photos, tmp_path):
    elsewhere = write(tmp_path / "elsewhere", {"7.jpg": ""})
    (photos / "c").symlink_to(elsewhere)
    (photos / "a" / "up").symlink_to(photos)
    (photos / "a" / "6.jpg").symlink_to(tmp_path / "nothing")
    os.mkfifo(photos / "a" / "8.jpg")
    assert image_files(photos) == sorted([*FILES, "c/7.jpg"])


def test_a_folder_that_cannot_be_read_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"none cannot be read \(No such file or directory\): name a folder of images"):
        folders(tmp_path / "none")


def test_the_index_has_the_size_of_every_image_and_why_others_are_skipped(photos):
    index = load(photos)
    assert [index.name(i) for i in range(len(index))] == sorted(FILES)
    assert index.shapes.tolist() == [[10, 20], [0, 0], [0, 0], [0, 0], [24, 32]]
    assert index.is_read.tolist() == [True, False, False, False, True]
    assert list(index.skipped()) == [
        "'a/3.jpeg' is cut short",
        "'a/4.png' is empty",
        "'a/5.gif' is not a JPEG, PNG, GIF, BMP or WebP image",
    ]


def test_a_file_is_known_by_its_bytes(photos):
    write(photos, {"z.jpg": FILES["b/2.jpg"]})
    digests = load(photos).digests
    assert (digests[5] == digests[4]).all()
    assert len(np.unique(digests, axis=0)) == 5


def test_what_is_indexed_is_not_read_again_and_what_has_changed_is(photos, monkeypatch):
    read, scan = [], module._scan
    monkeypatch.setattr(module, "_scan", lambda path: read.append(path.name) or scan(path))
    first = load(photos)
    assert len(read) == 5
    read.clear()
    again = load(photos)
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])
    assert read == []
    write(photos, {"b/2.jpg": jpeg(9, 8, 8), "b/9.jpg": jpeg(3)})
    (photos / "a" / "4.png").unlink()
    changed = load(photos)
    assert sorted(read) == ["2.jpg", "9.jpg"]
    assert [changed.name(i) for i in range(len(changed))] == image_files(photos)
    assert changed.shapes.tolist() == [[10, 20], [0, 0], [0, 0], [8, 8], [24, 32]]


def test_an_index_that_was_not_finished_is_continued(photos, monkeypatch):
    def stopped(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "WINDOW", 2)
    scan, read = module._scan, []
    monkeypatch.setattr(module, "_scan", lambda path: stopped(path) if path.name == "5.gif" else scan(path))
    with pytest.raises(KeyboardInterrupt):
        load(photos)
    monkeypatch.setattr(module, "_scan", lambda path: read.append(path.name) or scan(path))
    assert load(photos).is_read.tolist() == [True, False, False, False, True]
    assert "1.JPG" not in read
    assert "5.gif" in read


def test_files_that_are_listed_and_not_there_are_skipped(photos):
    os.mkfifo(photos / "pipe.jpg")
    index = load(photos, ["b/2.jpg", "none.jpg", "pipe.jpg", "a"])
    assert index.is_read.tolist() == [True, False, False, False]
    assert next(index.skipped()) == "'none.jpg' is not there"


def test_names_of_any_bytes_are_kept(photos):
    name = os.fsdecode(b"b/\xff\n.jpg")
    write(photos, {name: jpeg(4)})
    load(photos)
    index = load(photos)
    assert name in [index.name(i) for i in range(len(index))]


def test_it_is_told_how_many_files_are_read_and_only_then(photos):
    said = []
    load(photos, said=said)
    assert said == ["mine: reading 5 image files, once"]
    load(photos, said=said)
    assert len(said) == 1


@pytest.mark.parametrize("change", ["names", "ends", "reasons", "shapes"])
def test_a_cached_index_that_does_not_hold_together_is_refused(photos, change):
    index = load(photos)
    arrays = index.arrays()
    arrays[change] = {
        "names": arrays["names"][:-1], "ends": -arrays["ends"], "reasons": arrays["reasons"] + 100, "shapes": arrays["shapes"][:1]
    }[change]  # fmt: skip
    file = photos.parent / "cache" / "i.h5"
    module._write(file, module.Index(**arrays))
    with pytest.raises(UserError, match=r"i\.h5 does not hold an index of image files: delete it and start again"):
        load(photos)


def test_an_index_takes_less_than_eighty_bytes_a_file_beside_its_name():
    names, N = [f"{i:08}.jpg".encode() for i in range(1000)], 1000
    columns = np.ones(N, np.int64), np.ones(N, np.int64), np.zeros((N, 16), np.uint8), np.ones((N, 2), np.int32)
    index = module._pack(names, *columns, np.zeros(N, np.uint8))
    assert sum(array.nbytes for array in index.arrays().values()) < N * (80 + len(names[0]))
    assert module._rows(index, names[1:], np.ones(N - 1), np.ones(N - 1)).tolist() == list(range(1, N))
