import os

import numpy as np
import pytest

from data.dataset import read_images
from data.disk.photos import load_photos
from data.disk.views import View
from data.sources import folder
from engine.errors import UserError
from tests.data.disk.photos import encode, jpeg, tree, write

VIEW = View(16, scales=(16, 20), test_scale=18)


def load(root, said=None):
    said = [] if said is None else said
    return load_photos(folder.find(root), root.parent / "cache", said.append)


def names(photos, part):
    rows, labels = getattr(photos, part)
    return {(photos.index.name(i), photos.listing.classes[k]) for i, k in zip(rows, labels, strict=True)}


def refusal(root):
    with pytest.raises(UserError) as refused:
        load(root)
    return str(refused.value)


def test_a_folder_of_class_folders_is_a_data_set(tmp_path):
    photos = load(tree(tmp_path / "pets", "cat", "dog", count=10))
    data = photos.dataset(VIEW)
    assert (data.name, data.class_names) == ("pets", ("cat", "dog"))
    assert (len(data.train), len(data.test)) == (16, 4)
    assert np.bincount(data.test.labels).tolist() == [2, 2]
    assert all(path.startswith(f"{name}/") for part in ("train", "test") for path, name in names(photos, part))
    assert read_images(data.test).shape == (4, 16, 16, 3)


@pytest.mark.parametrize("test", ["val", "valid", "validation", "test"])
def test_subfolders_for_training_and_test_are_used_where_they_are(tmp_path, test):
    root = tree(tmp_path / "pets" / "train", "cat", "dog", count=3).parent
    tree(root / test, "dog", count=2, seed=100)
    photos = load(root)
    assert names(photos, "test") == {(f"{test}/dog/{i}.jpg", "dog") for i in range(2)}
    assert len(names(photos, "train")) == 6


def test_of_val_and_test_it_is_val_that_is_looked_at(tmp_path):
    root = tree(tmp_path / "pets" / "train", "cat", "dog").parent
    tree(root / "test", "dog", seed=100)
    tree(root / "val", "cat", seed=200)
    assert {name for _, name in names(load(root), "test")} == {"cat"}


def test_a_train_folder_alone_is_split(tmp_path):
    photos = load(tree(tmp_path / "pets" / "train", "cat", "dog", count=5).parent)
    assert photos.listing.classes == ("cat", "dog")
    assert len(names(photos, "test")) == 2


def test_the_first_images_are_of_all_classes(tmp_path):
    photos = load(tree(tmp_path / "pets", *"abcd", count=20))
    assert len(set(photos.train[1][:16])) == 4


def test_the_split_that_was_made_is_kept_when_images_are_added(tmp_path):
    root, said = tree(tmp_path / "pets", "cat", "dog", count=10), []
    first = load(root, said)
    assert any("4 of 20 images are put aside for the test" in line for line in said)
    write(root, {f"cat/new{i}.jpg": jpeg(1000 + i) for i in range(10)})
    second = load(root)
    assert names(first, "test") < names(second, "test")
    assert len(names(second, "test")) == 6
    said.clear()
    assert names(load(root, said), "test") == names(second, "test")
    assert said == []


def test_two_copies_of_one_image_are_in_one_part(tmp_path):
    root = write(
        tmp_path / "pets", {f"{name}/{i}{j}.jpg": jpeg(i) for i in range(10) for j in range(3) for name in ("a", "b")}
    )
    photos = load(root)
    digests = [{photos.index.digests[i].tobytes() for i in getattr(photos, part)[0]} for part in ("train", "test")]
    assert not digests[0] & digests[1]
    assert len(digests[1]) == 2


def test_the_split_is_the_same_on_another_machine(tmp_path):
    first, second = (load(tree(tmp_path / place / "pets", "cat", "dog", count=10)) for place in ("one", "two"))
    assert names(first, "test") == names(second, "test")
    assert first.dataset(VIEW).train.fingerprint == second.dataset(VIEW).train.fingerprint


def test_what_is_no_image_is_skipped_named_and_counted(tmp_path):
    root, said = tree(tmp_path / "pets", "cat", "dog", count=3), []
    write(root, {"cat/cut.jpg": jpeg(7)[:-50], "cat/note.png": "text"} | {f"dog/{i}{i}.jpg": "" for i in range(5)})
    photos = load(root, said)
    assert len(photos.train[0]) + len(photos.test[0]) == 6
    assert said[1] == (
        "warning: pets: 7 of 13 files are skipped: 'cat/cut.jpg' is cut short, 'cat/note.png' is not a JPEG, PNG, GIF, BMP or "
        "WebP image, 'dog/00.jpg' is empty, 'dog/11.jpg' is empty, 'dog/22.jpg' is empty; and 2 more"
    )


def test_images_of_every_kind_and_mode_train_together(tmp_path):
    from PIL import Image

    picture = Image.new("RGB", (30, 40), (200, 100, 50))
    files = {f"a/{mode}.jpg": encode(picture.convert(mode), "JPEG") for mode in ("RGB", "L", "CMYK")}
    files |= {
        f"b/{mode}.png": encode(picture.convert(mode), "PNG") for mode in ("RGB", "L", "P", "LA", "RGBA", "I;16", "1")
    }
    files |= {"b/one.png": encode(Image.new("RGB", (1, 1)), "PNG")}
    data = load(write(tmp_path / "pets", files)).dataset(VIEW)
    assert len(read_images(data.train)) + len(read_images(data.test)) == 11


def test_the_median_side_is_that_of_the_training_images(tmp_path):
    files = {f"{name}/{i}.jpg": jpeg(i, 20 + i, 90) for name in ("a", "b") for i in range(3)}
    assert load(write(tmp_path / "pets" / "train", files).parent).median_side in (20, 21, 22)


def test_what_is_not_a_folder_of_classes_is_refused_with_the_layout(tmp_path):
    root = tmp_path / "pets"
    assert refusal(root) == f"{root} is not there, expected the folder of images: name it by --data; {folder.LAYOUT}"
    write(root, {"1.jpg": jpeg()})
    expected = "expected one for each of two classes or more: " + folder.LAYOUT
    assert refusal(root) == f"{root} has no folder with images, {expected}"
    tree(root, "cat")
    write(root, {"dog/list.txt": ""})
    assert refusal(root) == f"{root} has one folder with images, 'cat', {expected}"
    assert refusal(root / "1.jpg").startswith(f"{root / '1.jpg'} is a file, expected the folder of images")
    with pytest.raises(
        UserError, match="a folder of your own, and none was named: give it by --data; it holds a folder of"
    ):
        folder.find(None)


def test_a_class_that_is_tested_alone_is_refused(tmp_path):
    root = tree(tmp_path / "pets" / "train", "cat", "dog").parent
    tree(root / "val", "cow")
    assert (
        refusal(root)
        == f"{root / 'val'} has a class 'cow', which {root / 'train'} has not: give both the same classes."
    )


def test_a_folder_without_an_intact_image_is_refused(tmp_path):
    root = write(tmp_path / "pets", {"cat/1.jpg": "", "dog/1.jpg": ""})
    assert refusal(root) == f"pets has no images to train on in {root}: {folder.LAYOUT}"


def test_a_class_whose_name_is_no_text_has_a_name_that_can_be_written(tmp_path):
    data = load(tree(tmp_path / "pets", os.fsdecode(b"\xff"), "two\nlines", "cat")).dataset(VIEW)
    assert data.class_names == ("cat", r"two\nlines", r"\udcff")


def test_more_classes_than_a_run_can_name_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("data.disk.photos.MAX_ITEMS", 2)
    assert refusal(tree(tmp_path / "pets", "a", "b", "c")) == f"pets has 3 classes, and 2 are the most: {folder.LAYOUT}"


def test_a_kept_split_that_is_damaged_is_refused(tmp_path):
    from engine.io.storage import write_arrays

    root = tree(tmp_path / "pets", "cat", "dog")
    load(root)
    (file,) = (tmp_path / "cache").glob("split-*.h5")
    write_arrays(
        file, {"digests": np.zeros((2, 16), np.uint8), "is_test": np.zeros(3, bool)}, {}, kind="split", version=1
    )
    assert refusal(root) == f"{file} does not hold a split of images: delete it and start again, it is then made anew"
