"""A picture of a digit, of any size, ground, frame and kind of file, becomes an image like MNIST's, or is refused."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from data.pictures.digits import read_digit
from data.pictures.mnist_form import FIT, SIZE, centred, fitted
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


@pytest.mark.parametrize("ink", [0, 60, 127, 128, 200, 255])
def test_what_is_transparent_is_white_below_a_dark_digit_and_black_below_a_light_one(tmp_path, ink):
    """A stroke is as bright as it is opaque and stands out from that ground."""
    drawn = np.zeros((SIZE, SIZE, 4), np.uint8)
    drawn[..., :3], drawn[..., 3] = ink, on_black()
    expected = on_black() / 255 * max(ink, 255 - ink)
    image = read_digit(save(drawn, tmp_path / "drawn.png"))[..., 0]
    np.testing.assert_allclose(image, expected, rtol=0, atol=0.51)


@pytest.mark.parametrize(("digit", "speck"), [(240, 60), (10, 160)])
def test_the_digit_is_what_stands_out_most_where_there_is_darker_and_lighter(tmp_path, digit, speck):
    ground = 110
    drawn = seven(ground=ground, ink=digit)[: 6 * SIZE : 6, : 6 * SIZE : 6]
    with_speck = drawn.copy()
    with_speck[-3:-1, 2:4] = speck
    expected = read_digit(save(drawn, tmp_path / "plain.png"))
    np.testing.assert_array_equal(read_digit(save(with_speck, tmp_path / "speck.png")), expected)


def test_a_digit_stands_out_by_24_of_255_or_is_none(tmp_path):
    image = read_digit(save(seven(ground=100, ink=124), tmp_path / "faint.png"))
    np.testing.assert_array_equal(image, read_digit(save(seven(), tmp_path / "plain.png")))
    path = save(seven(ground=100, ink=123), tmp_path / "fainter.png")
    with pytest.raises(UserError) as refused:
        read_digit(path)
    assert str(refused.value) == (
        f"{path} shows no digit: nothing stands out from its ground; give a picture of one digit."
    )


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


def zero(margin, ground, ink, frame=0, brightness=0):
    """A box of one pixel's stroke in 28 x 28 pixels, `margin` from the ground's edge; around the ground may be a frame."""
    drawn = np.full((SIZE, SIZE), brightness, np.uint8)
    drawn[frame : SIZE - frame, frame : SIZE - frame] = ground
    outer, inner = frame + margin, frame + margin + 1
    drawn[outer : SIZE - outer, outer : SIZE - outer] = ink
    drawn[inner : SIZE - inner, inner : SIZE - inner] = ground
    return drawn


def test_one_pixel_of_ground_around_a_digit_is_enough(tmp_path):
    drawn = zero(margin=1, ground=0, ink=255)
    np.testing.assert_array_equal(read_digit(save(drawn, tmp_path / "zero.png"))[..., 0], drawn)


def test_a_frame_may_be_an_eighth_of_the_picture_wide(tmp_path):
    drawn = zero(margin=2, ground=255, ink=0, frame=3)
    expected = read_digit(save(drawn[3:-3, 3:-3], tmp_path / "plain.png"))
    np.testing.assert_array_equal(read_digit(save(drawn, tmp_path / "framed.png")), expected)


@pytest.mark.parametrize(
    "drawn",
    [
        zero(margin=2, ground=255, ink=0, frame=4),
        zero(margin=2, ground=64, ink=200, frame=3),
        np.where(np.arange(SIZE) % 4, zero(margin=2, ground=255, ink=0, frame=3), 100),
    ],
    ids=["wider than an eighth", "little contrast", "of several colours"],
)
def test_what_looks_less_like_a_frame_is_a_part_of_the_picture(tmp_path, drawn):
    image = read_digit(save(drawn.astype(np.uint8), tmp_path / "framed.png"))
    np.testing.assert_array_equal(image[..., 0], drawn)


def test_in_a_picture_smaller_than_mnists_no_frame_is_looked_for(tmp_path):
    drawn = zero(margin=2, ground=255, ink=0, frame=1)[:, :-1]
    with pytest.raises(UserError, match="no digit that stands apart from the picture's edge"):
        read_digit(save(drawn, tmp_path / "small.png"))


@pytest.mark.parametrize("height", [1, 2, 5])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_picture_of_a_few_pixels_may_show_no_digit_but_is_no_error(tmp_path, height, width):
    with pytest.raises(UserError, match="shows no digit"):
        read_digit(save(np.zeros((height, width), np.uint8), tmp_path / "blank.png"))


def test_a_one_of_three_pixels_is_fitted_too(tmp_path):
    drawn = np.zeros((5, 3), np.uint8)
    drawn[1:4, 1] = 255
    rows = np.flatnonzero(read_digit(save(drawn, tmp_path / "one.png")).any(axis=(1, 2)))
    assert np.ptp(rows) + 1 == FIT


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


def test_a_digit_of_20_pixels_in_a_larger_picture_keeps_every_one_of_them(tmp_path):
    digit = np.random.default_rng(0).integers(64, 256, (FIT, 14), np.uint8)
    digit[0, 0], digit[-1, -1] = 255, 64
    drawn = np.zeros((60, 50), np.uint8)
    drawn[7 : 7 + FIT, 9 : 9 + 14] = digit
    image = read_digit(save(drawn, tmp_path / "large.png"))[..., 0]
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    np.testing.assert_array_equal(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], digit)


def test_the_brightest_pixel_is_white_however_thin_the_strokes(tmp_path):
    drawn = np.zeros((300, 300), np.uint8)
    drawn[20:280, 100] = drawn[20, 100:200] = 255
    assert read_digit(save(drawn, tmp_path / "thin.png")).max() == 255


@pytest.mark.parametrize("turns", range(4))
def test_a_digit_with_its_mass_at_one_side_stays_whole_at_the_edge_of_the_image(tmp_path, turns):
    digit = np.full((FIT, FIT), 64, np.uint8)
    digit[:, 1:] = 0
    digit[0], digit[:, 0] = 64, 255
    drawn = np.pad(np.rot90(digit, turns), 10)
    image = read_digit(save(drawn, tmp_path / "heavy.png"))[..., 0]
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    np.testing.assert_array_equal(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], np.rot90(digit, turns))
    heavy = [columns[-1] == SIZE - 1, rows[0] == 0, columns[0] == 0, rows[-1] == SIZE - 1]
    assert heavy[turns]


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
@example(size=(3, 90), corner=(1, 1))  # so thin that less than a pixel would be left of it
def test_a_bar_of_any_size_anywhere_becomes_20_pixels_long_in_the_middle(size, corner):
    picture = np.zeros((140, 140))
    picture[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = 1.0
    image = centred(fitted(picture))
    sides = [np.flatnonzero(image.any(axis=axis)) for axis in (1, 0)]
    assert max(len(side) for side in sides) == FIT
    assert min(len(side) for side in sides) == max(1, round(FIT * min(size) / max(size)))
    assert all(abs(side.mean() - SIZE / 2) <= 0.5 for side in sides)


def write_bytes(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.filterwarnings("error")
def test_what_is_no_picture_of_a_digit_is_refused_in_a_sentence(tmp_path):
    whole = save(seven(), tmp_path / "whole.png").read_bytes()
    cases = {
        "cannot be read as a PNG, JPEG, WebP, GIF, BMP or TIFF picture": [
            write_bytes(tmp_path / "empty.png", b""),
            write_bytes(tmp_path / "text.png", b"a seven"),
            write_bytes(tmp_path / "short.png", whole[: len(whole) // 2]),
            write_bytes(tmp_path / "altered.png", whole[:60] + bytes(20) + whole[80:]),
            save(seven(), tmp_path / "other.ppm"),
        ],
        "shows no digit: nothing stands out": [
            save(np.full((50, 40), 200, np.uint8), tmp_path / "blank.png"),
            save(np.full((300, 1), 200, np.uint8), tmp_path / "one_wide.png"),
        ],
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
