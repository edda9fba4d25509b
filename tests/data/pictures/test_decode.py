import io
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from data.pictures import decode
from data.pictures.decode import Encoded
from engine.errors import UserError


def corners(height=40, width=60):
    """Red at the top left, green at the top right, blue below: it shows how it was turned."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2, 0] = 220
    picture[: height // 2, width // 2 :, 1] = 220
    picture[height // 2 :, :, 2] = 220
    return Image.fromarray(picture)


def encoded(picture, form="JPEG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def rgb(data, *size):
    picture = Encoded(data).decode(*size)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def refusal(data):
    with pytest.raises(UserError) as refused:
        Encoded(data).decode()
    return str(refused.value)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_an_image_of_each_kind_is_decoded_in_colours(form):
    assert np.abs(rgb(encoded(corners(), form)).astype(int) - np.asarray(corners())).mean() < 8


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        *(("JPEG", mode) for mode in ("L", "1", "CMYK", "YCbCr")),
        *(("PNG", m) for m in ("L", "1", "P", "LA", "RGBA", "I;16")),
    ],
)
def test_whatever_the_mode_grey_is_grey_and_white_is_white(mode, form):
    values = np.repeat(np.array([[0, 255]], np.uint8), 16, axis=1).repeat(32, axis=0)  # (32, 32): black, white
    picture = Image.fromarray(values)
    picture = Image.fromarray(values.astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    assert np.abs(rgb(encoded(picture, form)).astype(int) - values[..., None]).max() <= 6


def test_what_is_transparent_is_white():
    assert rgb(encoded(Image.new("RGBA", (3, 2), (9, 9, 9, 0)), "PNG")).tolist() == np.full((2, 3, 3), 255).tolist()
    assert rgb(encoded(Image.new("RGB", (3, 2), (9, 9, 9)), "PNG", transparency=(9, 9, 9))).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = corners()
    upright = stored if orientation == 1 else stored.transpose(decode.TURNS[orientation])
    data = encoded(stored, quality=95, exif=exif)
    image = Encoded(data)
    assert (image.width, image.height) == upright.size
    assert np.abs(rgb(data).astype(int) - np.asarray(upright)).mean() < 8
    assert rgb(data, image.height // 2, image.width // 2).shape == (upright.height // 2, upright.width // 2, 3)


def test_a_turn_that_exif_gives_is_the_one_that_a_camera_means():
    exif = Image.Exif()
    exif[0x0112] = 6  # "the visual top is the right side": to be turned clockwise
    top_left = rgb(encoded(corners(), quality=95, exif=exif))[5, 5]
    assert top_left.argmax() == 2  # blue, from the bottom left


@pytest.mark.parametrize("exif", [b"Exif\x00\x00garbage", b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff"])
def test_an_exif_that_cannot_be_read_turns_nothing_and_warns_of_nothing(exif):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rgb(encoded(corners(), exif=exif)).shape == (40, 60, 3)


def test_a_jpeg_is_decoded_at_the_smallest_scale_that_is_not_below_what_is_wanted():
    data = encoded(corners(800, 1200))
    for wanted, found in (((100, 150), 100), ((101, 150), 200), ((399, 1), 400), ((401, 1), 800), ((2000, 3000), 800)):
        assert rgb(data, *wanted).shape[0] == found


def test_an_image_of_one_pixel_is_an_image():
    for form in ("PNG", "JPEG", "GIF", "BMP"):
        assert rgb(encoded(Image.new("RGB", (1, 1), "white"), form)).tolist() == [[[255] * 3]]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_file_that_ends_too_early_is_refused(form):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encoded(noise, form)
    assert refusal(data[: len(data) // 2]) in (decode.CUT, decode.DAMAGED)
    assert refusal(data[:16]) in (decode.CUT, decode.DAMAGED)


def test_what_is_no_image_is_refused_in_a_few_words(monkeypatch):
    assert refusal(b"") == "is empty"
    assert refusal(b"<html>log in</html>") == "is not a JPEG, PNG, GIF, BMP or WebP image"
    data = bytearray(encoded(corners(), "PNG"))
    data[len(data) // 2] ^= 1
    assert refusal(bytes(data)) == "is damaged"
    assert refusal(encoded(corners())[:-40]) == "is cut short"


def test_a_huge_image_is_refused_before_it_is_decoded():
    def png(width, height):
        """The header of a PNG file of this size."""
        data = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        return bytes(data)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refusal(png(10_001, 10_000)) == "has more than 100,000,000 pixels"
        assert refusal(png(100_000, 100_000)) == "has more than 100,000,000 pixels"
        assert Encoded(png(10_000, 10_000)).height == 10_000


def test_a_file_of_too_many_bytes_is_refused(monkeypatch):
    monkeypatch.setattr(decode, "MAX_BYTES", 50)
    assert refusal(encoded(corners())) == decode.LONG
