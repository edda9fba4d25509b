"""Samples of floats, and their standardisation."""

import numpy as np
import pytest

from data.dataset import Dataset, part_of, read_images
from data.floats import FloatSplit, Standardise
from engine.context import Context
from engine.errors import UserError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3,), (4, 2, 3)])
def test_samples_are_read_as_they_are_whole_and_in_part(dtype, shape):
    samples = RNG.normal(size=(7, *shape)).astype(dtype)
    split = FloatSplit(samples, np.arange(7))
    read = read_images(split, [5, 0])
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, samples[[5, 0]])
    np.testing.assert_array_equal(read_images(part_of(split, 2, 4)), samples[2:4])
    assert Dataset("floats", split, part_of(split, 0, 3), tuple("abcdefg")).train.shape == shape


def test_the_fingerprint_tells_samples_and_labels_apart():
    samples = RNG.normal(size=(3, 2))
    splits = [FloatSplit(samples, [0, 1, 0]), FloatSplit(samples, [0, 1, 1]), FloatSplit(samples + 1, [0, 1, 0])]
    assert len({split.fingerprint for split in splits}) == 3


@pytest.mark.parametrize(
    ("samples", "labels", "sentence"),
    [
        (np.zeros((2, 2), int), [0, 1], "the samples have dtype int64: convert them"),
        (np.zeros(2), [0, 1], r"the samples have shape \(2,\)"),
        (np.array([[np.inf]]), [0], "the samples hold NaN or infinity"),
        (np.zeros((2, 2)), [0.0, 1.0], r"the labels are float64 of shape \(2,\)"),
        (np.zeros((2, 2)), [0], r"the labels are int64 of shape \(1,\), expected \(2,\) integers"),
    ],
)
def test_what_are_no_samples_is_refused(samples, labels, sentence):
    with pytest.raises(UserError, match=sentence):
        FloatSplit(samples, labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standardised_samples_have_mean_0_and_deviation_1_along_all_but_the_last_axis(dtype):
    samples = (1000 + 5 * RNG.normal(size=(50, 4, 2))).astype(dtype)
    x = Standardise.fit(samples)(samples, Context())
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=(0, 1)), 1, rtol=1e-5)


def test_numbers_that_are_the_same_in_all_samples_become_0_and_rounding_is_not_magnified():
    samples = np.column_stack([np.full(30, 0.1), 0.1 + 1e-17 * np.arange(30), np.zeros(30)])
    np.testing.assert_allclose(Standardise.fit(samples)(samples, Context()), 0, atol=1e-9)


def test_numbers_that_are_too_large_are_refused():
    with pytest.raises(UserError, match="as large as 1e"):
        Standardise.fit(np.array([[1e300], [-1e300]]))


def test_samples_of_another_form_are_refused():
    with pytest.raises(UserError, match=r"floats \(n, ..., 2\) are needed"):
        Standardise(np.zeros(2), np.ones(2))(np.zeros((3, 4)), Context())
