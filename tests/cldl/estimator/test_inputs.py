"""Which arrays are taken for images, and which are refused: nothing is guessed."""

from pathlib import Path

import numpy as np
import pytest

from cldl.estimator.arrays import PixelRange, as_array, as_bytes, find_layout, fit_layout
from cldl.estimator.conventions import DataError
from cldl.estimator.inputs import Inputs
from cldl.estimator.labels import check_y, find_classes

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 8, 6), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)


def refusal(function, *arguments):
    with pytest.raises(DataError) as caught:
        function(*arguments)
    return str(caught.value)


def test_a_missing_channel_axis_and_channels_first_are_taken():
    np.testing.assert_array_equal(find_layout(GREY), GREY[..., None])
    np.testing.assert_array_equal(find_layout(COLOUR), COLOUR)
    np.testing.assert_array_equal(find_layout(COLOUR.transpose(0, 3, 1, 2)), COLOUR)
    assert find_layout(np.zeros((2, 20, 30, 7))).shape == (2, 20, 30, 7)


@pytest.mark.parametrize("shape", [(5, 784), (32, 32, 3), (5, 3, 9, 3), (5, 12, 20, 20), (2, 3, 4, 5, 6)])
def test_a_layout_that_is_not_certain_is_refused(shape):
    assert f"X has shape {shape}, and it is not certain" in refusal(find_layout, np.zeros(shape))


def test_new_samples_are_brought_to_the_layout_of_the_network():
    image = (8, 6, 1)
    for given in (GREY, GREY[:, None], GREY.reshape(5, 48), GREY[..., None]):
        np.testing.assert_array_equal(fit_layout(given, image), GREY[..., None])
    np.testing.assert_array_equal(fit_layout(COLOUR.transpose(0, 3, 1, 2), (8, 6, 3)), COLOUR)


@pytest.mark.parametrize(
    ("given", "shape", "sentence"),
    [
        (GREY[0], (8, 6, 1), "is one sample without its first axis: give X[None]"),
        (COLOUR[0], (8, 6, 3), "is one sample without its first axis: give X[None]"),
        (GREY, (8, 8, 1), "X has samples of shape (8, 6), and the network takes images (8, 8, 1)"),
        (COLOUR.reshape(5, -1), (8, 6, 3), "X has samples of shape (144,), and the network takes images (8, 6, 3)"),
        (np.zeros((5, 3)), (4,), "X has 3 features, but CldlClassifier is expecting 4 features as input"),
    ],
)
def test_samples_of_another_form_are_refused(given, shape, sentence):
    assert sentence in refusal(fit_layout, given, shape)


@pytest.mark.parametrize(
    "pixels", [GREY, GREY.astype(np.int64), GREY.astype(np.float32), GREY / 255, (GREY / 255).astype(np.float32)]
)
def test_pixels_are_bytes_in_whatever_type_they_come(pixels):
    taken = as_bytes(pixels)
    assert taken.dtype == np.uint8
    np.testing.assert_array_equal(taken, GREY)


def test_booleans_are_black_and_white_and_black_is_black_in_any_type():
    assert as_bytes(np.array([True, False])).tolist() == [255, 0]
    assert as_bytes(np.zeros(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        ([0.0, 1.0], "the pixels are all 0 or 1, and it is not certain whether 1 is white"),
        ([-1.0, 0.5], "the pixels are from -1 to 0.5"),
        ([0.5, 200.25], "the pixels are fractions from 0.5 to 200.25"),
        ([0, 256], "the pixels are from 0 to 256"),
    ],
)
def test_pixels_whose_scale_is_not_certain_are_refused(pixels, sentence):
    assert refusal(as_bytes, np.array(pixels)).startswith(sentence)


def test_floats_stay_in_the_range_of_the_training_and_bytes_are_brought_to_it():
    unit = PixelRange.of(GREY / 255)
    np.testing.assert_array_equal(unit.fit(GREY / 255), GREY / 255)
    np.testing.assert_array_equal(unit.fit(GREY), GREY / 255)
    sixteenths = PixelRange.of(np.array([0.0, 16.0]))
    assert sixteenths.fit(np.array([3, 15], np.uint8)).tolist() == [3.0, 15.0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_bytes_of_any_integer_type_are_divided_by_255_for_a_network_of_floats(dtype):
    fractions = PixelRange.of(np.array([0.0, 1.0]))
    assert fractions.fit(np.array([0, 51, 255], dtype)).tolist() == [0.0, 0.2, 1.0]


@pytest.mark.parametrize(
    ("trained", "given"),
    [
        ([0.0, 16.0], [0.0, 255.0]),
        ([0.0, 1.0], [0.0, 255.0]),
        ([-1.0, 1.0], [0, 200]),
        ([0.0, 255.0], [0.0, 0.7]),
        ([0.5, 255.0], [0.0, 1.0]),
        ([0.0, 16.0], [0.0, 0.9]),
        ([0, 65535], np.array([0, 255], np.uint8)),
    ],
)
def test_pixels_of_another_range_than_in_training_are_refused(trained, given):
    text = refusal(PixelRange.of(np.array(trained)).fit, np.array(given))
    assert f"and the network was trained on pixels from {trained[0]:g} to {trained[1]:g}" in text


def test_bytes_that_are_nearly_black_are_refused_where_training_images_were_not():
    assert "not certain whether 1 is white" in refusal(PixelRange.of(GREY).fit, np.array([0, 1], np.uint8))
    assert PixelRange.of(np.array([0, 1], np.uint8)).fit(np.array([0.0, 1.0])).tolist() == [0, 1]  # a mask


@pytest.mark.parametrize("bytes_only", [False, True])
def test_whole_numbers_of_bytes_become_bytes_and_floats_stay_floats_unless_bytes_are_needed(bytes_only):
    inputs, samples = Inputs.find(GREY.astype(np.int32), "nin", bytes_only)
    assert (samples.dtype, inputs.shape) == (np.uint8, (8, 6, 1))
    _, samples = Inputs.find(GREY / 255, "nin", bytes_only)
    np.testing.assert_array_equal(samples[..., 0], GREY if bytes_only else GREY / 255)


@pytest.mark.parametrize(
    ("X", "sentence"),
    [
        (np.zeros(3), "Reshape your data"),
        (np.zeros((0, 3)), "Found array with 0 sample(s)"),
        (np.zeros((3, 0)), "Found array with 0 feature(s)"),
        ([[1.0, np.nan]], "X contains NaN or infinity"),
        ([GREY[0], GREY[0, :5]], "X has elements of several shapes: bring them to one"),
        ([[1j, 2]], "Complex data not supported"),
        ("photo.jpg", "X is the name of a file, 'photo.jpg', and an array of pixels is needed"),
        ([Path("a/photo.jpg")], "X is the name of a file, 'a/photo.jpg', and an array"),
    ],
)
def test_what_are_no_samples_is_refused(X, sentence):
    assert sentence in refusal(as_array, X)


def test_labels_of_any_type_are_the_classes_in_order():
    for y in ([3, 1, 3], ["b", "a", "b"], [True, False, True], np.array(["b", "a", "b"], object), [2.0, 1.0, 2.0]):
        classes, indices = find_classes(check_y(y, 3))
        assert (len(classes), indices.tolist()) == (2, [1, 0, 1])
        assert [classes[i] for i in indices] == list(y)


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        ([[1], [2, 3], [4]], "y has elements of several shapes: bring them to one"),
        (None, "the target y is None"),
        ([1, 2], "X has 3 samples and y has 2 labels"),
        ([[1, 2], [3, 4], [5, 6]], "y should be a 1d array"),
        ([0.5, 1.5, 2.5], "Unknown label type: continuous"),
        ([1.0, np.nan, 2.0], "y contains NaN"),
        ([4, 4, 4], "y holds 1 class, 4: at least 2 classes are needed"),
        (np.array([1, "a", 2], object), "y holds labels of several types, int, str"),
    ],
)
def test_what_are_no_labels_is_refused(y, sentence):
    assert sentence in refusal(lambda: find_classes(check_y(y, 3)))
