import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from data.pictures import files
from data.pictures.files import read_picture
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
        save(clear, tmp_path / "clear.png"): 255,  # what is transparent is white
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


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 50)
    with pytest.raises(UserError, match=r"a\.png has more than 50 bytes: give a smaller picture\.$"):
        read_picture(save(halves(8, 6), tmp_path / "a.png"), 8, 6)


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(UserError, match="cannot be read as a PNG or JPEG picture"):
        read_picture(tmp_path / "a.png", 8, 6)
    with pytest.raises(UserError, match="is not there"):
        read_picture(tmp_path / "none.png", 8, 6)
