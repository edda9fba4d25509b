"""A picture of a digit, of any size, ground, frame and kind of file, becomes an image like MNIST's, or is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.pictures.digits import FIT, SIZE, _centred, _fitted, read_digit
from engine.errors import UserError


def save(array, path, **options):
    Image.fromarray(array).save(path, **options)
    return path


def seven(height=200, width=300, ground=0, ink=255):
    """A seven of thick strokes, off the middle."""
    picture = np.full((height, width), ground, np.uint8)
    picture[30:50, 60:140] = ink
    for i in range(100):
        picture[50 + i, 120 - i // 2 : 140 - i // 2] = ink
    return picture


def on_black():
    """Noise in the middle of 28 x 28 pixels, as MNIST's digits are."""
    image = np.zeros((SIZE, SIZE), np.uint8)
    image[4:24, 4:24] = np.random.default_rng(0).integers(0, 120, (20, 20))
    return image


def test_an_image_of_28_by_28_on_black_is_taken_as_it_is(tmp_path):
    path = save(on_black(), tmp_path / "noise.png")
    np.testing.assert_array_equal(read_digit(path)[..., 0], on_black())


def test_a_dark_digit_on_a_light_ground_is_inverted(tmp_path):
    path = save(255 - on_black(), tmp_path / "dark.png")
    np.testing.assert_array_equal(read_digit(path)[..., 0], on_black())


@pytest.mark.parametrize(("ground", "ink"), [(110, 20), (110, 240), (127, 20), (128, 230), (250, 3)])
def test_a_digit_of_28_by_28_on_any_ground_becomes_white_on_black(tmp_path, ground, ink):
    drawn = seven(ground=ground, ink=ink)[: 6 * SIZE : 6, : 6 * SIZE : 6]
    image = read_digit(save(drawn, tmp_path / "seven.png"))[..., 0]
    np.testing.assert_array_equal(image, np.where(drawn == ink, 255, 0))


@pytest.mark.parametrize("width", [1, 2, 9])
@pytest.mark.parametrize(("frame", "ground", "ink"), [(0, 255, 20), (255, 0, 255), (20, 200, 60)])
def test_a_frame_is_not_a_part_of_the_digit(tmp_path, width, frame, ground, ink):
    plain = seven(ground=ground, ink=ink)
    framed = np.pad(plain, width, constant_values=frame)
    expected = read_digit(save(plain, tmp_path / "plain.png"))
    np.testing.assert_array_equal(read_digit(save(framed, tmp_path / "framed.png")), expected)


def test_a_frame_in_28_by_28_pixels_is_cut_off_too(tmp_path):
    drawn = np.full((SIZE, SIZE), 255, np.uint8)
    drawn[7:9, 8:18] = drawn[9:21, 16:18] = 0
    framed = drawn.copy()
    framed[[0, 1, -2, -1]] = framed[:, [0, 1, -2, -1]] = 0
    expected = read_digit(save(drawn[2:-2, 2:-2], tmp_path / "plain.png"))
    np.testing.assert_array_equal(read_digit(save(framed, tmp_path / "framed.png")), expected)


def test_a_larger_digit_is_fitted_and_centred_by_its_mass(tmp_path):
    image = read_digit(save(seven(), tmp_path / "seven.png"))
    assert (image.shape, image.dtype) == ((SIZE, SIZE, 1), np.uint8)
    rows, columns = (np.flatnonzero(image[..., 0].max(axis=axis)) for axis in (1, 0))
    assert np.ptp(rows) + 1 == FIT  # the seven is 120 pixels high and 80 wide
    assert np.ptp(columns) + 1 == round(FIT * 80 / 120)
    mass = image[..., 0].astype(float)
    for axis in (0, 1):
        centre = (mass.sum(axis=1 - axis) * np.arange(SIZE)).sum() / mass.sum()
        assert abs(centre - SIZE / 2) <= 0.5
    assert image.max() == 255


def variants(folder):
    """The same seven as many kinds of file."""
    grey = seven()
    clear = np.zeros((*grey.shape, 4), np.uint8)
    clear[..., 3] = grey
    chalk = clear.copy()
    chalk[..., :3] = 255
    return {
        "colour": save(np.stack([grey, grey, grey], -1), folder / "colour.png"),
        "dark on light": save(255 - grey, folder / "dark.png"),
        "faint on grey": save(seven(ground=180, ink=100), folder / "faint.png"),
        "dark on middle grey": save(seven(ground=127, ink=20), folder / "middle.png"),
        "black on nothing": save(clear, folder / "clear.png"),
        "white on nothing": save(chalk, folder / "chalk.png"),
        "16 bits": save(grey.astype(np.uint16) * 257, folder / "deep.png"),
        "1 bit": save(grey > 0, folder / "bit.png"),
        "palette": save_palette(grey, folder / "palette.png"),
        "jpeg": save(255 - grey, folder / "photo.jpg", quality=95),
        "cmyk": save_cmyk(255 - grey, folder / "cmyk.jpg"),
        "turned by its EXIF": save_turned(grey, folder / "turned.jpg"),
    }


def save_palette(grey, path):
    Image.fromarray(grey).convert("RGB").quantize(4).save(path)
    return path


def save_cmyk(grey, path):
    Image.fromarray(grey).convert("CMYK").save(path, quality=95)
    return path


def save_turned(grey, path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(np.rot90(grey)).save(path, exif=exif, quality=95)
    return path


def test_every_kind_of_file_gives_the_same_digit(tmp_path):
    expected = read_digit(save(seven(), tmp_path / "plain.png"))[..., 0].astype(float)
    for kind, path in variants(tmp_path).items():
        difference = np.abs(read_digit(path)[..., 0] - expected)
        assert difference.mean() < 1, kind


@given(
    size=st.tuples(st.integers(3, 90), st.integers(3, 90)),
    corner=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_a_bar_of_any_size_anywhere_becomes_20_pixels_long_in_the_middle(size, corner):
    picture = np.zeros((140, 140))
    picture[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = 1.0
    image = _centred(_fitted(picture))
    sides = [np.flatnonzero(image.any(axis=axis)) for axis in (1, 0)]
    assert max(len(side) for side in sides) == FIT
    assert all(abs(side.mean() - SIZE / 2) <= 0.5 for side in sides)


def write_bytes(path, data):
    path.write_bytes(data)
    return path


def test_what_is_no_picture_of_a_digit_is_refused_in_a_sentence(tmp_path):
    whole = save(seven(), tmp_path / "whole.png").read_bytes()
    cases = {
        "cannot be read as a PNG or JPEG picture": [
            write_bytes(tmp_path / "empty.png", b""),
            write_bytes(tmp_path / "text.png", b"a seven"),
            write_bytes(tmp_path / "short.png", whole[: len(whole) // 2]),
            write_bytes(tmp_path / "altered.png", whole[:60] + bytes(20) + whole[80:]),
            save(seven(), tmp_path / "other.bmp"),
        ],
        "shows no digit: nothing stands out": [save(np.full((50, 40), 200, np.uint8), tmp_path / "blank.png")],
        "is a folder": [tmp_path],
        "is not there": [tmp_path / "none.png", tmp_path / ("x" * 300), tmp_path / "nul\0.png"],
    }
    for sentence, paths in cases.items():
        for path in paths:
            with pytest.raises(UserError, match=sentence):
                read_digit(path)


@pytest.mark.parametrize("limit", [40_000, 20_000], ids=["too large", "far too large"])
def test_a_picture_with_too_many_pixels_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(UserError, match=f"has more than {limit:,} pixels: give a smaller picture"):
        read_digit(save(seven(), tmp_path / "large.png"))  # 60,000 pixels
