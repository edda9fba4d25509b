from pathlib import Path

import numpy as np
import platformdirs
import pytest

from data.dataset import Dataset, read_images
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


def test_a_limit_keeps_the_first_samples_of_each_part():
    images = np.arange(24, dtype=np.uint8).reshape(4, 3, 2, 1)
    small = Dataset.from_arrays(**GOOD | {"train_images": images}).limited(train=3, test=1)
    np.testing.assert_array_equal(read_images(small.train), images[:3])
    np.testing.assert_array_equal(small.train.labels, [0, 1, 1])
    np.testing.assert_array_equal(small.test.labels, [1])
    assert small.class_names == ("a", "b")


def test_no_limit_and_a_limit_above_the_number_keep_all():
    whole = Dataset.from_arrays(**GOOD)
    assert len(whole.limited().train) == len(whole.limited(train=99).train) == 4


@pytest.mark.parametrize("limits", [{"train": 0}, {"test": -1}])
def test_a_limit_below_one_is_refused(limits):
    with pytest.raises(UserError, match=r"a limit of (0 train|-1 test) samples leaves none: give 1 or more"):
        Dataset.from_arrays(**GOOD).limited(**limits)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"train_images": np.zeros((4, 3, 2, 1))}, "train images have dtype float64: convert them to uint8"),
        (
            {"train_images": np.zeros((4, 3, 2), np.uint8)},
            r"train images have shape \(4, 3, 2\), expected \(N, H, W, C\)",
        ),
        ({"test_images": np.zeros((0, 3, 2, 1), np.uint8)}, r"test images have shape \(0, 3, 2, 1\)"),
        ({"test_images": np.zeros((2, 2, 3, 1), np.uint8)}, "expected one shape"),
        ({"train_labels": np.zeros(4, np.int32)}, "train labels have dtype int32: convert them to int64"),
        ({"train_labels": np.zeros(3, np.int64)}, r"train labels have shape \(3,\), expected \(4,\)"),
        ({"test_labels": np.array([0, 2])}, "test labels reach from 0 to 2, expected 0 to 1"),
        ({"test_labels": np.array([-1, 0])}, "test labels reach from -1 to 0, expected 0 to 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, sentence):
    with pytest.raises(UserError, match=f"^tiny: .*{sentence}"):
        Dataset.from_arrays(**GOOD | change)


def test_the_cache_folder_is_the_argument_then_the_variable_then_the_systems(monkeypatch):
    monkeypatch.setenv("CLDL_CACHE", "~/from_variable")
    assert cache_folder("given") == Path("given")
    assert cache_folder() == Path.home() / "from_variable"
    monkeypatch.setenv("CLDL_CACHE", "")
    assert cache_folder() == Path(platformdirs.user_cache_dir("cldl"))
    monkeypatch.delenv("CLDL_CACHE")
    assert cache_folder(None) == Path(platformdirs.user_cache_dir("cldl"))


def test_the_sum_of_the_training_part_is_that_of_its_images_and_labels():
    whole = Dataset.from_arrays(**GOOD)
    same = Dataset.from_arrays(**GOOD | {"test_labels": np.array([0, 0]), "name": "other"})
    images, labels = GOOD["train_images"].copy(), np.array([0, 1, 1, 1])
    images[0, 0, 0, 0] = 1
    others = [{"train_images": images}, {"train_labels": labels}, {"train_images": images.reshape(4, 3, 1, 2)}]
    others[2]["test_images"] = GOOD["test_images"].reshape(2, 3, 1, 2)
    assert same.train.fingerprint == whole.train.fingerprint
    assert (
        len({Dataset.from_arrays(**GOOD | other).train.fingerprint for other in others} | {whole.train.fingerprint})
        == 4
    )
