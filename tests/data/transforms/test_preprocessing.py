"""Preprocessing against an independent reference, and how it is kept: fitted once, on the training images, to the same bits."""

import json

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from data.dataset import Dataset
from data.transforms import preprocessing
from data.transforms.preprocessing import KINDS, Contrast, Scale, Whitening, fitted
from engine.context import Context
from engine.errors import UserError
from engine.io.storage import read_arrays, write_arrays

H, W, C = 6, 5, 3
D = H * W * C


def photographs(N, seed=0):
    """Images whose neighbouring pixels are alike, (N, H, W, C) uint8: noise, summed along rows and columns."""
    noise = np.random.default_rng(seed).normal(size=(N, H, W, C)).cumsum(axis=1).cumsum(axis=2)
    return np.clip(128 + 20 * noise, 0, 255).astype(np.uint8)


def dataset(train=None, test=None):
    train = photographs(300) if train is None else train
    test = photographs(20, seed=1) if test is None else test
    return Dataset.from_arrays(
        "photographs", train, np.arange(len(train)) % 2, test, np.arange(len(test)) % 2, ("a", "b")
    )


def pylearn2(train, images):
    """Its GCN and ZCA by their equations: an image at a time, P from a singular value decomposition."""

    def contrast(images):
        rows = []
        for image in images:
            x = [float(value) for value in image.ravel()]
            mean = sum(x) / len(x)
            x = [value - mean for value in x]
            norm = sum(value * value for value in x) ** 0.5
            rows.append([55 * value / norm for value in x])
        return np.array(rows)

    g = contrast(train)
    mean = g.mean(axis=0)
    _, singular, Vt = np.linalg.svd((g - mean) / np.sqrt(len(g)), full_matrices=True)
    eigenvalues = np.zeros(g.shape[1])
    eigenvalues[: len(singular)] = singular**2
    P = Vt.T @ np.diag((eigenvalues + 0.1) ** -0.5) @ Vt
    return ((contrast(images) - mean) @ P).reshape(images.shape)


@pytest.mark.parametrize(
    "apply",
    [
        Scale(0.5, 0.25),
        Scale(np.array([0.1, 0.5, 0.9]), np.array([0.25, 1.0, 2.0])),
        Contrast(),
        Whitening(np.linspace(-1, 1, D, dtype=np.float32), np.eye(D, k=1, dtype=np.float32)),
    ],
    ids=["scale", "scale a channel", "contrast", "whitening"],
)
def test_the_fast_path_agrees_with_the_reference(apply):
    """Among the images is one of one value."""
    images = np.concatenate([photographs(7), np.full((1, H, W, C), 7, np.uint8)])
    x, expected = apply(images, Context()), apply.reference(images)
    assert (x.dtype, x.shape, expected.dtype) == (np.float32, images.shape, np.float64)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("N", [300, 40], ids=["more images than pixels", "fewer"])
def test_whitening_is_fitted_as_by_its_reference(N):
    images = photographs(N)
    fast, expected = Whitening.fit(dataset(images).train), Whitening.fit_reference(images)
    assert set(fast) == set(expected)
    for name, array in fast.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("N", [300, 40], ids=["more images than pixels", "fewer"])
def test_contrast_normalisation_and_whitening_are_those_of_pylearn2(N):
    data = dataset(photographs(N))
    whiten = fitted("gcn_zca", data)
    for images in (data.train.images, data.test.images):
        x = whiten(images, Context())
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, pylearn2(data.train.images, images), rtol=0, atol=1e-5)


def test_whitened_training_images_have_nearly_the_covariance_of_white_noise():
    data = dataset()
    x = fitted("gcn_zca", data)(data.train.images, Context()).reshape(300, -1).astype(np.float64)
    g = np.empty((300, H * W * C))
    preprocessing.kernels.contrast(data.train.images.reshape(300, -1), g, 55.0)
    before, after = (np.linalg.eigvalsh(np.cov(a.T, bias=True)) for a in (g, x))
    np.testing.assert_allclose(after, before / (before + 0.1), atol=1e-4)  # nearly 1
    assert np.abs(x.mean(axis=0)).max() < 1e-4


def test_a_fit_in_several_parts_is_the_fit_in_one(monkeypatch):
    split = dataset(photographs(300)).train
    one = Whitening.fit(split)
    monkeypatch.setattr(preprocessing, "ROWS", 70)
    for name, array in Whitening.fit(split).items():
        np.testing.assert_allclose(array, one[name], atol=1e-6)


def test_whitening_needs_the_memory_of_two_arrays_of_float32():
    data, ctx = dataset(), Context()
    x = fitted("gcn_zca", data)(data.test.images, ctx)
    assert ctx.nbytes == 2 * x.nbytes


def test_contrast_normalisation_alone_gives_each_image_mean_0_and_norm_55():
    images = photographs(20)
    g = Contrast()(images, Context())
    assert g.dtype == np.float32
    assert g.shape == images.shape
    flat, pixels = g.reshape(20, -1), images.reshape(20, -1).astype(float)
    np.testing.assert_allclose(flat.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(flat, axis=1), 55, rtol=1e-5)
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(flat, 55 * centred / np.linalg.norm(centred, axis=1, keepdims=True), atol=1e-5)


def test_an_image_of_one_value_is_no_division_by_zero():
    images = np.concatenate([photographs(9), np.full((1, H, W, C), 7, np.uint8)])
    whiten = fitted("gcn_zca", dataset(images))
    x = whiten(images[-1:], Context()).ravel()
    np.testing.assert_allclose(x, -whiten.mean @ whiten.matrix, atol=1e-5)  # g = 0


@pytest.mark.parametrize("channels", [C, 1])
def test_standard_gives_each_channel_of_the_training_images_mean_0_and_std_1(channels):
    images = photographs(50)
    images[..., 1] //= 3
    images = images[..., :channels]
    x = fitted("standard", dataset(images, images))(images, Context())
    assert x.dtype == np.float32
    pixels = images.reshape(-1, channels).astype(np.float64)
    expected = (images - pixels.mean(axis=0)) / pixels.std(axis=0)
    np.testing.assert_allclose(x, expected, atol=1e-5)


def test_a_channel_of_one_value_becomes_0():
    images = photographs(5)
    images[..., 2] = 200
    standard = fitted("standard", dataset(images))
    assert np.abs(standard(images, Context())[..., 2]).max() < 1e-6
    assert standard.std[2] == 1


def test_a_channel_of_two_values_has_a_std_of_its_own_even_where_one_pixel_alone_differs():
    images = np.zeros((5, H, W, C), np.uint8)
    images[2, 3, 1, 0] = 255
    images[:2, ..., 1] = 255
    images[..., 2] = photographs(5)[..., 2]
    np.testing.assert_allclose(fitted("standard", dataset(images)).std, (images / 255).std(axis=(0, 1, 2)), rtol=1e-6)


def test_scale_divides_by_255_and_takes_a_mean_and_a_std():
    images = photographs(3)
    np.testing.assert_allclose(Scale()(images, Context()), images / 255, atol=1e-6)
    np.testing.assert_allclose(Scale(0.5, 0.25)(images, Context()), (images / 255 - 0.5) / 0.25, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@given(start=st.integers(0, 19), size=st.integers(1, 20))
def test_an_image_is_preprocessed_by_itself_whatever_chunk_it_comes_in(kind, start, size):
    data = dataset()
    apply = fitted(kind, data)
    whole = apply(data.test.images, Context())
    part = apply(data.test.images[start : start + size], Context())
    np.testing.assert_allclose(part, whole[start : start + size], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_keeps_what_it_was_given_and_one_array_for_its_answer(kind):
    data, ctx = dataset(), Context()
    before = data.test.images.copy()
    x = fitted(kind, data)(data.test.images, ctx)
    held = ctx.nbytes
    del x
    fitted(kind, data)(data.test.images, ctx)
    assert ctx.nbytes == held
    np.testing.assert_array_equal(data.test.images, before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_images_leave_every_bit_of_a_fit_as_it_is(kind):
    assert len({fitted(kind, dataset(test=photographs(n, seed=n))).sha256 for n in (3, 5, 20)}) == 1


def test_whitening_is_fitted_by_one_thread_however_many_there_are(monkeypatch):
    def threads():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    seen, eigh = [], np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: seen.append(threads()) or eigh(matrix))
    with threadpool_limits(2, user_api="blas"):
        Whitening.fit(dataset(photographs(30)).train)
        assert threads() == {2}
    assert seen == [{1}]


def test_other_training_images_and_other_kinds_have_fits_of_their_own():
    data = [dataset(), dataset(photographs(299)), dataset(255 - photographs(300))]
    assert len({fitted(kind, d).sha256 for kind in KINDS for d in data}) == 2 * len(data)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_fitted_is_kept_under_what_it_was_fitted_on(tmp_path, monkeypatch, kind):
    said = []
    first = fitted(kind, dataset(), tmp_path, said.append)
    other = fitted(kind, dataset(photographs(299)), tmp_path, said.append)
    assert said[0] == f"photographs: fitting {kind} on 300 images, once"
    assert len(list(tmp_path.iterdir())) == len(said) == 2
    path = tmp_path / f"fit-{kind}-{dataset().train.fingerprint[:16]}.h5"
    assert read_arrays(path, kind=kind, version=1)[1] == {"fitted_on": dataset().train.fingerprint}
    monkeypatch.setattr(KINDS[kind], "fit", None)  # from here on nothing can be fitted
    again = fitted(kind, dataset(), tmp_path, said.append)
    assert len(said) == 2
    assert again.sha256 == first.sha256 == fitted(kind, dataset(), tmp_path).sha256 != other.sha256
    images = photographs(4)
    np.testing.assert_array_equal(again(images, Context()), first(images, Context()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_sum_of_a_fit_is_the_one_that_its_file_carries(tmp_path, kind):
    sum_of_fit = fitted(kind, dataset(), tmp_path).sha256
    with h5py.File(next(tmp_path.iterdir())) as file:
        assert json.loads(bytes(file.attrs["header"]))["sha256"] == sum_of_fit


REMEDY = "delete it and start again, it is then fitted anew"


def kept(tmp_path, kind, change):
    """A kept fit of another content, and the sentence with which it is refused."""
    fitted(kind, dataset(), tmp_path)
    path = next(tmp_path.iterdir())
    arrays, attributes = change(*read_arrays(path, kind=kind, version=1))
    write_arrays(path, arrays, attributes, kind=kind, version=1)
    with pytest.raises(UserError) as refused:
        fitted(kind, dataset(), tmp_path)
    return str(refused.value).removeprefix(f"{path}: ").removesuffix(f": {REMEDY}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        lambda array: None,
        lambda array: array[:-1],
        lambda array: array.astype(np.int64),
        lambda array: np.full_like(array, np.nan),
    ],
    ids=["no arrays", "other shapes", "other types", "not numbers"],
)
def test_a_kept_fit_of_another_form_is_refused_with_the_remedy(tmp_path, kind, change):
    def damage(arrays, attributes):
        return {name: change(array) for name, array in arrays.items() if change(array) is not None}, attributes

    assert kept(tmp_path, kind, damage) == f"does not hold {kind} of images (6, 5, 3)"


@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_fit_of_other_images_is_refused_with_the_remedy(tmp_path, kind):
    sentence = kept(tmp_path, kind, lambda arrays, attributes: (arrays, {"fitted_on": "?"}))
    assert sentence == "was not fitted on these images of photographs"


def test_a_kept_standard_deviation_of_0_is_refused_with_the_remedy(tmp_path):
    sentence = kept(tmp_path, "standard", lambda arrays, found: (arrays | {"std": 0 * arrays["std"]}, found))
    assert sentence == "does not hold standard of images (6, 5, 3)"


@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_fit_that_was_altered_is_refused_with_the_remedy(tmp_path, kind):
    fitted(kind, dataset(), tmp_path)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"\.h5.*: {REMEDY}$"):
        fitted(kind, dataset(), tmp_path)
