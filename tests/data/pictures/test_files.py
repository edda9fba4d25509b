import os
import tracemalloc
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.pictures import files
from data.pictures.files import decode_picture, read_picture
from engine.errors import UserError


def halves(height, width):
    """Red above, blue below."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, :, 0] = 200
    picture[height // 2 :, :, 2] = 200
    return picture


def save(array, path, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_a_picture_of_the_right_size_is_taken_as_it_is(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    np.testing.assert_array_equal(read_picture(save(picture, tmp_path / "a.png"), 8, 6), picture)


@pytest.mark.parametrize("size", [(80, 60), (300, 60), (60, 300), (2, 2), (2000, 9)])
def test_a_picture_of_another_size_is_cut_and_resized(tmp_path, size):
    image = read_picture(save(halves(*size), tmp_path / "a.png"), 8, 6)
    assert (image.shape, image.dtype) == ((8, 6, 3), np.uint8)
    assert image[0, :, 0].min() > 150
    assert image[-1, :, 2].min() > 150


def test_every_kind_of_file_gives_a_colour_image(tmp_path):
    grey = np.full((8, 6), 77, np.uint8)
    clear = np.zeros((8, 6, 4), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 3  # to be turned by 180 degrees
    expected = {
        save(grey, tmp_path / "grey.png"): 77,
        save(grey.astype(np.uint16) * 257, tmp_path / "deep.png"): 77,
        save(grey > 0, tmp_path / "bit.png"): 255,
        save(np.full((8, 6), 0xFFFF, np.uint16), tmp_path / "deep and white.png"): 255,
        save(clear, tmp_path / "clear.png"): 255,  # what is transparent is white
        save(clear[..., :2], tmp_path / "clear grey.png"): 255,
        save(grey, tmp_path / "clear value.png", transparency=77): 255,
    }
    for path, value in expected.items():
        np.testing.assert_array_equal(read_picture(path, 8, 6), np.full((8, 6, 3), value))
    image = read_picture(save(halves(16, 16), tmp_path / "turned.jpg", exif=turned, quality=95), 16, 16)
    assert image[0, 0, 2] > 150


def test_a_chunk_takes_no_more_memory_than_the_file_has(tmp_path):
    path = save(halves(8, 6), tmp_path / "a.png")
    data = path.read_bytes()
    at = data.index(b"IDAT") - 4
    path.write_bytes(data[:at] + (0x7FFFFFFF).to_bytes(4, "big") + data[at + 4 :])
    tracemalloc.start()
    with suppress(UserError):
        read_picture(path, 8, 6)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def refusal(path):
    with pytest.raises(UserError) as refused:
        read_picture(path, 8, 6)
    return str(refused.value)


def test_a_file_may_have_a_number_of_bytes_and_no_more(tmp_path, monkeypatch):
    path = save(halves(8, 6), tmp_path / "a.png")
    monkeypatch.setattr(files, "MAX_BYTES", path.stat().st_size)
    assert read_picture(path, 8, 6).shape == (8, 6, 3)
    monkeypatch.setattr(files, "MAX_BYTES", 50)
    assert refusal(path) == f"{path} has more than 50 bytes: give a smaller picture."


def test_what_is_no_picture_is_refused_with_the_reason(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    assert refusal(path) == f"{path} is not there: give the path of a PNG, JPEG, WebP, GIF, BMP or TIFF file."
    assert refusal(tmp_path) == f"{tmp_path} is a folder: give the path of a PNG, JPEG, WebP, GIF, BMP or TIFF file."
    device = Path(os.devnull)
    assert refusal(device) == f"{device} is no regular file: give the path of a PNG, JPEG, WebP, GIF, BMP or TIFF file."
    path.write_bytes(b"text")
    assert refusal(path) == (
        f"{path} cannot be read as a PNG, JPEG, WebP, GIF, BMP or TIFF picture: give an intact file of one of these kinds."
    )


def test_floating_point_pixels_are_refused_as_their_white_is_unknown(tmp_path):
    path = tmp_path / "a.tiff"
    Image.fromarray(np.full((8, 6), 0.5, np.float32)).save(path)
    assert refusal(path) == (
        f"{path} has floating-point pixels, of which nothing says what white is: save it with 8 or 16 bits a channel."
    )


def test_a_picture_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError

    path = save(halves(8, 6), tmp_path / "a.png")
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    assert refusal(path) == f"{path} may not be read: give an intact file of one of these kinds."


def test_a_picture_with_a_broken_exif_is_read_all_the_same(tmp_path):
    cut_short = Image.Exif()
    cut_short[0x010F] = "the name of a camera"
    picture = halves(8, 6)
    path = save(picture, tmp_path / "a.png", exif=cut_short.tobytes()[:-12])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(read_picture(path, 8, 6), picture)


def test_a_picture_that_is_no_file_is_called_as_its_reader_says():
    with pytest.raises(
        UserError, match=r"^what was sent cannot be read as a PNG, JPEG, .* picture: give an intact file"
    ):
        decode_picture(b"text", "what was sent")
