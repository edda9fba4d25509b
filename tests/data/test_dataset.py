import hashlib
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from data import registry
from data.dataset import ArraySplit, Dataset, Part, read_images, sha256
from engine.errors import UserError
from engine.io.files import cache_folder

GOOD = {
    "name": "tiny",
    "train_images": np.zeros((4, 3, 2, 1), np.uint8),
    "train_labels": np.array([0, 1, 1, 0]),
    "test_images": np.zeros((2, 3, 2, 1), np.uint8),
    "test_labels": np.array([1, 0]),
    "class_names": ("a", "b"),
}
IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 3, 2, 1)


class OnDisk:
    """A split in a file of raw bytes, read by the image."""

    fingerprint = "ondisk1"

    def __init__(self, path, images, labels):
        images.tofile(path)
        self.path, self.labels, self.shape = path, labels, images.shape[1:]

    def __len__(self):
        return len(self.labels)

    def read(self, indices, out):
        images = np.memmap(self.path, np.uint8, "r", shape=(len(self), *self.shape))
        out[...] = images[indices]


def test_an_array_split_reads_the_images_of_its_indices():
    split, out = ArraySplit(IMAGES, np.array([0, 1, 1, 0])), np.empty((3, 3, 2, 1), np.uint8)
    split.read(np.array([3, 0, 3]), out)
    np.testing.assert_array_equal(out, IMAGES[[3, 0, 3]])
    assert (len(split), split.shape) == (4, (3, 2, 1))
    with pytest.raises(IndexError):
        split.read(np.array([4]), out[:1])


def test_images_and_labels_may_be_lists():
    split = ArraySplit(list(IMAGES), [0, 1, 1, 0])
    np.testing.assert_array_equal(split.images, IMAGES)
    assert (len(split), split.shape, split.labels.tolist()) == (4, (3, 2, 1), [0, 1, 1, 0])


def test_labels_of_any_integer_type_become_int64():
    labels = ArraySplit(IMAGES, np.array([0, 1, 1, 0], np.uint8)).labels
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 1, 0]


def test_classes_without_names_are_numbered():
    assert Dataset.from_arrays(**GOOD | {"class_names": None}).class_names == ("0", "1")


def test_a_limit_keeps_the_first_samples_of_each_part():
    small = Dataset.from_arrays(**GOOD | {"train_images": IMAGES}).limited(train=3, test=1)
    assert (len(small.train), len(small.test)) == (3, 1)
    np.testing.assert_array_equal(read_images(small.train, range(3)), IMAGES[:3])
    np.testing.assert_array_equal(small.train.labels, [0, 1, 1])
    np.testing.assert_array_equal(small.test.labels, [1])
    assert small.class_names == ("a", "b")


def test_no_limit_and_a_limit_above_the_number_keep_all():
    whole = Dataset.from_arrays(**GOOD)
    assert len(whole.limited().train) == len(whole.limited(train=99).train) == 4


def test_training_samples_that_are_held_out_are_tested_on_and_not_trained_on():
    whole = Dataset.from_arrays(**GOOD | {"train_images": IMAGES})
    part = whole.limited(held_out=1)
    assert (len(part.train), len(part.test), part.name) == (3, 1, f"{whole.name}, 1 training images held out")
    np.testing.assert_array_equal(read_images(part.train), IMAGES[:3])
    np.testing.assert_array_equal(read_images(part.test), IMAGES[3:])
    np.testing.assert_array_equal(part.test.labels, whole.train.labels[3:])
    fewer = whole.limited(train=2, test=1, held_out=2)
    np.testing.assert_array_equal(read_images(fewer.train), IMAGES[:2])
    np.testing.assert_array_equal(read_images(fewer.test), IMAGES[2:3])
    assert len(whole.limited(train=4, held_out=2).train) == 2


def test_not_all_training_samples_can_be_held_out():
    with pytest.raises(UserError, match="4 of 4 training samples held out leave none: give fewer"):
        Dataset.from_arrays(**GOOD).limited(held_out=4)


@pytest.mark.parametrize("limits", [{"train": 0}, {"test": -1}, {"held_out": 0}])
def test_a_limit_below_one_is_refused(limits):
    with pytest.raises(UserError, match=r"a limit of (0 train|-1 test|0 held-out) samples leaves none: give 1 or more"):
        Dataset.from_arrays(**GOOD).limited(**limits)


def refusal(make):
    with pytest.raises(UserError) as refused:
        make()
    return str(refused.value)


SHAPE = "expected (N, H, W, C) with none of them 0: reshape them, one channel needs C = 1"
NUMBER = "expected 0 to 1: number the classes from 0 and name each one"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"train_images": np.zeros((4, 3, 2, 1))}, "train images have dtype float64: convert them to uint8 in 0..255"),
        ({"train_images": np.zeros((4, 3, 2), np.uint8)}, f"train images have shape (4, 3, 2), {SHAPE}"),
        ({"test_images": np.zeros((0, 3, 2, 1), np.uint8)}, f"test images have shape (0, 3, 2, 1), {SHAPE}"),
        (
            {"test_images": np.zeros((2, 2, 3, 1), np.uint8)},
            "train images of shape (3, 2, 1) and test images of shape (2, 3, 1), expected one shape (H, W, C): bring them to "
            "one size",
        ),
        ({"train_labels": np.zeros(4)}, "train labels have dtype float64: convert them to an integer type"),
        (
            {"train_labels": np.zeros(3, np.int64)},
            "train labels have shape (3,), expected (4,): give one to each image",
        ),
        ({"test_labels": np.array([0, 2])}, f"test labels reach from 0 to 2, {NUMBER}"),
        ({"test_labels": np.array([-1, 0])}, f"test labels reach from -1 to 0, {NUMBER}"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, sentence):
    assert refusal(lambda: Dataset.from_arrays(**GOOD | change)) == f"tiny: {sentence}"


CONVERT = "expected int64 of shape (4,): convert them, one to each image"


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.zeros(0, np.int64), "there are no train images: give at least one"),
        (np.zeros(4, np.int32), f"train labels are int32 of shape (4,), {CONVERT}"),
        (np.zeros((4, 1), np.int64), f"train labels are int64 of shape (4, 1), {CONVERT}"),
    ],
)
def test_a_split_of_the_users_is_checked_too(tmp_path, labels, sentence):
    good, mine = Dataset.from_arrays(**GOOD), OnDisk(tmp_path / "images", IMAGES, labels)
    assert refusal(lambda: Dataset("tiny", mine, good.test, ("a", "b"))) == f"tiny: {sentence}"


def test_the_cache_folder_is_the_argument_then_the_variable_then_the_systems(monkeypatch):
    monkeypatch.setenv("CLDL_CACHE", "~/from_variable")
    assert cache_folder("given") == Path("given")
    assert cache_folder() == Path.home() / "from_variable"
    monkeypatch.setenv("CLDL_CACHE", "")
    assert cache_folder() == Path(platformdirs.user_cache_dir("cldl"))
    monkeypatch.delenv("CLDL_CACHE")
    assert cache_folder(None) == Path(platformdirs.user_cache_dir("cldl"))


def test_the_fingerprint_differs_where_images_labels_or_shape_do():
    whole = ArraySplit(GOOD["train_images"], GOOD["train_labels"])
    same = ArraySplit(GOOD["train_images"].copy(), GOOD["train_labels"].astype(np.uint8))
    images = GOOD["train_images"].copy()
    images[0, 0, 0, 0] = 1
    others = [
        ArraySplit(images, whole.labels),
        ArraySplit(whole.images, np.array([0, 1, 1, 1])),
        ArraySplit(whole.images.reshape(4, 3, 1, 2), whole.labels),
        Part(whole, 0, 3),
    ]
    assert same.fingerprint == whole.fingerprint
    assert len({split.fingerprint for split in others} | {whole.fingerprint}) == 5
    assert others[3].fingerprint == ArraySplit(whole.images[:3], whole.labels[:3]).fingerprint


def test_the_fingerprint_is_that_of_sizes_images_and_labels_one_after_another():
    """What a run or a fit was made with is known by it, on any machine and in any later version."""
    labels = np.array([0, 1, 1, 0], "<i8")
    expected = hashlib.sha256(b"(4, 3, 2, 1)" + IMAGES.tobytes() + labels.tobytes()).hexdigest()
    assert ArraySplit(IMAGES, labels).fingerprint == expected


class Asked(ArraySplit):
    """Notes which images it was asked for."""

    def read(self, indices, out):
        self.__dict__.setdefault("asked", []).append(list(indices))
        super().read(indices, out)


def test_images_are_asked_for_once_and_no_more_than_a_batch_at_a_time(monkeypatch):
    monkeypatch.setattr("data.dataset.BATCH", 3)
    split = Asked(IMAGES, [0, 1, 1, 0])
    np.testing.assert_array_equal(read_images(split), IMAGES)
    np.testing.assert_array_equal(read_images(split, [3, 3, 1, 0, 2]), IMAGES[[3, 3, 1, 0, 2]])
    assert split.asked == [[0, 1, 2], [3], [3, 3, 1], [0, 2]]


def test_no_images_may_be_read():
    assert read_images(ArraySplit(IMAGES, [0, 1, 1, 0]), []).shape == (0, 3, 2, 1)


def test_the_sum_of_a_split_on_disk_is_that_of_the_same_arrays(tmp_path, monkeypatch):
    on_disk, in_memory = OnDisk(tmp_path / "images", IMAGES, GOOD["train_labels"]), ArraySplit(IMAGES, [0, 1, 1, 0])
    assert sha256(on_disk) == in_memory.fingerprint
    monkeypatch.setattr("data.dataset.BATCH", 3)
    assert sha256(on_disk) == in_memory.fingerprint


def test_the_registry_loads_by_name_and_names_what_there_is(monkeypatch, tmp_path):
    monkeypatch.setitem(registry.LOADERS, "tiny", lambda cache, data, say: say(f"{cache} {data}"))
    said = []
    registry.load("tiny", tmp_path, data="here", say=said.append)
    assert said == [f"{tmp_path} here"]
    assert refusal(lambda: registry.load("mnst")) == "there is no data set 'mnst': choose one of mnist, cifar100, tiny"
