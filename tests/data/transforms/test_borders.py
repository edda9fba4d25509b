"""Transforms of images refuse what they cannot take in one sentence, and take any memory order and no images."""

import numpy as np
import pytest

from data.transforms.augmentation import CropFlip
from data.transforms.preprocessing import Contrast, Scale, Whitening
from engine.context import Context
from engine.errors import UserError

IMAGES = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
D = IMAGES[0].size
OF_BYTES = {
    "the scaling": Scale(np.zeros(3), np.ones(3)),
    "the contrast normalisation": Contrast(),
    "the whitening": Whitening(np.zeros(D, np.float32), np.eye(D, dtype=np.float32)),
}
TRANSFORMS = {**OF_BYTES, "the augmentation": CropFlip(1)}


def fitting(name):
    return IMAGES if name in OF_BYTES else IMAGES.astype(np.float32)


def refusal(call):
    with pytest.raises(UserError) as refused:
        call()
    return str(refused.value)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_what_are_no_images_of_the_right_dtype_is_refused(name, training):
    transform, right = TRANSFORMS[name], fitting(name)
    dtypes = "uint8" if name in OF_BYTES else "float32 or float64"
    wrongs = [
        (f"{w.dtype} of shape {w.shape}", w) for w in (right[0], right[..., 0], right[None], right.astype(np.int16))
    ]
    wrongs += [
        ("float16 of shape (2, 3, 4, 3)", right.astype(np.float16)),
        ("a list", right.tolist()),
        ("a NoneType", None),
    ]
    wrongs.append(
        ("float32 of shape (2, 3, 4, 3)", right.astype(np.float32))
        if name in OF_BYTES
        else ("uint8 of shape (2, 3, 4, 3)", IMAGES)
    )
    for found, wrong in wrongs:
        assert refusal(lambda wrong=wrong: transform(wrong, Context(training=training))) == (
            f"{name} was given {found}; images (n, H, W, C) of {dtypes} are needed: convert them."
        )


@pytest.mark.parametrize("name", TRANSFORMS)
def test_any_memory_order_gives_the_same_numbers_and_no_images_give_none(name):
    transform, right = TRANSFORMS[name], fitting(name)
    expected = transform(right, Context(training=True))
    for other in (np.asfortranarray(right), np.flip(np.flip(right).copy())):
        assert np.array_equal(transform(other, Context(training=True)), expected)
    assert transform(right[:0], Context(training=True)).shape == (0, 3, 4, 3)


def test_images_of_another_size_than_those_that_were_fitted_are_refused():
    assert refusal(lambda: OF_BYTES["the scaling"](IMAGES[..., :2], Context())) == (
        "the scaling was given images of shape (3, 4, 2); it was made for 3 channels: give it the data that it was made for."
    )
    assert refusal(lambda: OF_BYTES["the whitening"](IMAGES[:, :2], Context())) == (
        f"the whitening was given images of shape (2, 4, 3); it was made for {D} pixels and channels: give it the data that it "
        "was made for."
    )
    two = Scale(np.zeros(2), np.ones(2))
    assert refusal(lambda: two(IMAGES, Context())).startswith(
        "the scaling was given images of shape (3, 4, 3); it was made for 2"
    )
    assert Scale(0.5, 2.0)(IMAGES[..., :2], Context()).shape == (2, 3, 4, 2)


@pytest.mark.parametrize("padding", [-1, 1.5, np.nan, True, None], ids=repr)
def test_a_padding_of_crops_that_is_no_number_of_pixels_is_refused(padding):
    assert refusal(lambda: CropFlip(padding)) == (
        f"the padding of the crops is {padding!r}; a whole number of 0 or more is needed."
    )
