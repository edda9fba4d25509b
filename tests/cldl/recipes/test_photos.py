"""Recipes for photographs: what their values make of the images, and what is found in the data."""

import numpy as np
import pytest

from cldl.recipes import find
from cldl.recipes.photos import RGB_MEAN
from data.dataset import read_images
from engine.context import Context
from engine.errors import UserError
from engine.random import Key
from tests.data.disk.photos import jpeg, tree, write


def changed(**values):
    return find("folder").changed(**values)


@pytest.mark.parametrize(("side", "size"), [(10, 32), (32, 32), (47, 40), (50, 48), (70, 64), (200, 64)])
def test_the_size_is_that_of_the_images_within_limits(tmp_path, side, size):
    root = write(tmp_path / "pets", {f"{c}/{i}.jpg": jpeg(i, side, 2 * side) for c in ("a", "b") for i in range(3)})
    spec = find("folder").data
    data = spec.load(tmp_path / "cache", root)
    assert data.train.shape == (size, size, 3)
    assert spec.found(data) == {"data.size": size, "data.n_classes": 2}


def test_what_is_given_is_not_found_in_the_data(tmp_path):
    spec = changed(size=24, n_classes=7).data
    data = spec.load(tmp_path / "cache", tree(tmp_path / "pets", "a", "b", "c"))
    assert data.train.shape == (24, 24, 3)
    assert spec.found(data) == {}


def test_the_scales_are_eight_sevenths_of_the_size_unless_they_are_given():
    view = changed(size=224).data.view(224)
    assert (view.scales, view.test_scale) == ((256, 256), 256)
    view = changed(size=224, min_scale=256, max_scale=512, test_scale=384).data.view(224)
    assert (view.scales, view.test_scale) == ((256, 512), 384)
    assert changed(size=224, max_scale=240).data.view(224).scales == (240, 240)
    with pytest.raises(UserError, match="crops of 224 pixels are taken of images resized to 200 to"):
        changed(size=224, min_scale=200)


def test_without_augmentation_nothing_is_drawn(tmp_path):
    root = tree(tmp_path / "pets", "a", "b")
    drawn, plain = (changed(augment=augment).data.load(tmp_path / "cache", root).train for augment in (True, False))
    np.testing.assert_array_equal(read_images(plain.varied(Key(1))), read_images(plain))
    assert not np.array_equal(read_images(drawn.varied(Key(1))), read_images(drawn))


def test_the_mean_colour_is_subtracted_in_bytes():
    images = np.full((1, 2, 2, 3), [10, 20, 30], np.uint8)
    x = changed(preprocessing="rgb_mean").fixed_preprocessing()(images, Context())
    np.testing.assert_allclose(x[0, 0, 0], [10, 20, 30] - RGB_MEAN, rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset": "mnist"}, "data.dataset is 'mnist'; choose one of folder, imagenet, mit67, sun397, places205."),
        ({"resize": "stretch"}, "data.resize is 'stretch'; choose one of short, square, warp."),
        ({"size": 4}, "data.size is 4; choose a value from 8 to 1024."),
        ({"partition": 11}, "data.partition is 11; choose a value from 1 to 10."),
    ],
)
def test_a_value_out_of_range_is_refused(values, message):
    with pytest.raises(UserError) as refused:
        changed(**values)
    assert str(refused.value) == message


def test_images_too_large_to_whiten_are_refused(tmp_path):
    spec = changed(preprocessing="gcn_zca", size=56).data
    data = spec.load(tmp_path / "cache", tree(tmp_path / "pets", "a", "b"))
    with pytest.raises(UserError, match=r"whitening takes a matrix of 9,408 x 9,408 numbers for images \(56, 56, 3\)"):
        spec.build_preprocessing(data)


def test_an_image_is_the_same_from_a_file_and_from_its_bytes(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(3, 40, 60))
    spec, shape = changed(size=16).data, (16, 16, 3)
    image = spec.decode_image(path.read_bytes(), "it", shape)
    np.testing.assert_array_equal(image, spec.read_image(path, shape))
    for data, sentence in (
        (b"text", "it is not a JPEG, PNG, GIF, BMP or WebP image"),
        (path.read_bytes()[:200], "it is "),
    ):
        with pytest.raises(UserError) as refused:
            spec.decode_image(data, "it", shape)
        assert str(refused.value).startswith(sentence)
        assert str(refused.value).endswith(": give an intact JPEG, PNG, GIF, BMP or WebP image.")
