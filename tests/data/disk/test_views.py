import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.disk.views import COMPONENTS, VARIANCES, View
from data.pictures.decode import Encoded
from engine.errors import UserError
from engine.random import Key
from tests.data.disk.photos import encode

SIDES = st.integers(1, 3000)


def noise(height, width):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def seen(view, picture, window):
    return view.render(Encoded(encode(picture, "PNG")), window)


@given(SIDES, SIDES, st.sampled_from(["short", "square", "warp"]), st.integers(0, 99))
def test_every_window_lies_in_the_resized_image(height, width, resize, seed):
    view = View(24, resize, (24, 40), 32)
    for window in (view.draw(height, width, Key(seed)), *(view.crop(height, width, i) for i in range(46))):
        assert 0 <= window.top <= window.height - 24
        assert 0 <= window.left <= window.width - 24


@given(SIDES, SIDES, st.integers(0, 99))
def test_the_shorter_side_becomes_a_scale_of_the_range_and_the_proportions_stay(height, width, seed):
    window = View(24, "short", (24, 40)).draw(height, width, Key(seed))
    S = min(window.height, window.width)
    assert 24 <= S <= 40
    assert abs(max(window.height, window.width) - max(height, width) * S / min(height, width)) <= 0.5


@given(SIDES, SIDES)
def test_a_warped_image_is_a_square_and_a_square_crop_lies_in_the_middle(height, width):
    warped = View(24, "warp", test_scale=32).crop(height, width)
    assert warped[:4] == (32, 32, 4, 4)
    view = View(32, "square", (32, 32), 32)
    drawn, middle = view.draw(height, width, Key(0)), view.crop(height, width)
    assert drawn[:4] == middle[:4]
    assert middle.top == (middle.height - 32) // 2


@given(SIDES, SIDES, st.sampled_from(["short", "square", "warp"]))
def test_what_is_seen_whole_lies_in_the_resized_image_and_is_of_bounded_size(height, width, resize):
    view = View(24, resize, test_scale=32)
    window, rows, columns = view.whole(height, width)
    assert window.top == (window.height - rows) // 2
    assert window.left == (window.width - columns) // 2
    if resize == "short":
        assert min(rows, columns) == 32
        assert (rows, columns) == (min(window.height, 128), min(window.width, 128))
        assert window[:2] == view.crop(height, width)[:2]
    else:
        assert (rows, columns) == (32, 32)


def test_a_crop_is_a_part_of_what_is_seen_whole():
    picture, view = noise(50, 70), View(24, test_scale=30)
    whole = view.render_whole(Encoded(encode(picture, "PNG")))
    assert whole.shape == (30, 42, 3)
    window = view.crop(50, 70, 4)
    crop = seen(view, picture, window)
    assert np.abs(whole[window.top : window.top + 24, window.left : window.left + 24].astype(int) - crop).max() <= 1


def test_the_scales_the_crops_and_the_reflections_are_all_drawn_equally_often():
    view = View(8, "square", (9, 10), 9)
    windows = [view.draw(10, 10, Key(0).fold(i)) for i in range(4000)]
    assert abs(np.mean([w.height == 10 for w in windows]) - 0.5) < 0.03
    assert abs(np.mean([w.is_mirrored for w in windows]) - 0.5) < 0.03
    tops = np.bincount([w.top for w in windows if w.height == 10])
    assert len(tops) == 3
    assert abs(tops / tops.sum() - 1 / 3).max() < 0.04
    assert not any(View(8, mirror=False).draw(10, 10, Key(0).fold(i)).is_mirrored for i in range(50))


def test_the_window_depends_on_the_key_alone():
    view = View(24, "short", (32, 64), 32, shift=0.1)
    assert view.draw(90, 70, Key(5)) == view.draw(90, 70, Key(5))
    assert view.draw(90, 70, Key(5)) != view.draw(90, 70, Key(6))


def test_ten_crops_are_the_middle_and_the_corners_and_their_reflections():
    view = View(2, test_scale=4)
    picture = noise(4, 6)
    pixels = np.asarray(picture)
    expected = [pixels[1:3, 2:4], pixels[:2, :2], pixels[:2, 4:], pixels[2:, :2], pixels[2:, 4:]]
    expected += [part[:, ::-1] for part in expected]
    for number, part in enumerate(expected):
        np.testing.assert_array_equal(seen(view, picture, view.crop(4, 6, number)), part)


@pytest.mark.parametrize("turned", [False, True])
def test_googlenets_crops_are_those_of_three_squares_and_the_squares_themselves(turned):
    view = View(2, test_scale=4)
    picture = noise(4, 8) if not turned else noise(8, 4)
    pixels = np.asarray(picture).swapaxes(0, 1) if turned else np.asarray(picture)
    windows = [view.crop(picture.height, picture.width, number) for number in range(10, 46)]
    crops = [seen(view, picture, window) for window in windows]
    for square, start in enumerate((0, 2, 4)):
        middle, *corners, whole = crops[6 * square : 6 * square + 6]
        part = pixels[:, start : start + 4]
        expected = [part[i : i + 2, j : j + 2] for i, j in ((1, 1), (0, 0), (0, 2), (2, 0), (2, 2))]
        if turned:
            expected = [expected[k].swapaxes(0, 1) for k in (0, 1, 3, 2, 4)]
        for crop, pixel in zip((middle, *corners), expected, strict=True):
            np.testing.assert_array_equal(crop, pixel)
        blurred = np.asarray(picture.resize((2, 4) if turned else (4, 2), Image.Resampling.BILINEAR)).astype(int)
        blurred = blurred[start // 2 : start // 2 + 2] if turned else blurred[:, start // 2 : start // 2 + 2]
        assert np.abs(whole - blurred).max() <= 1
    for crop, mirrored in zip(crops[:18], crops[18:], strict=True):
        np.testing.assert_array_equal(mirrored, crop[:, ::-1])


@pytest.mark.parametrize("resize", ["square", "warp"])
def test_what_is_square_already_has_one_square(resize):
    view = View(24, resize, (32, 32), 32)
    crops = [view.crop(50, 70, number) for number in range(10, 28)]
    assert crops[:6] == crops[6:12] == crops[12:]
    assert crops[:5] == [view.crop(50, 70, number) for number in range(5)]


def test_a_crop_of_the_resized_image_is_what_the_whole_image_resized_has_there():
    picture, view = noise(90, 120), View(24, "short", (30, 30), 30)
    whole = np.asarray(picture.resize((40, 30), Image.Resampling.BILINEAR)).astype(int)
    window = view.draw(90, 120, Key(3))._replace(is_mirrored=False)
    part = whole[window.top : window.top + 24, window.left : window.left + 24]
    assert np.abs(seen(view, picture, window) - part).max() <= 1


def test_an_image_that_is_decoded_at_a_smaller_scale_is_seen_in_the_same_place():
    row, column = np.mgrid[:240, :320]
    picture = Image.fromarray(np.stack([row, column * 0.75, 255 - row], -1).astype(np.uint8))
    view = View(24, test_scale=30)
    jpeg = view.render(Encoded(encode(picture, "JPEG", quality=95)), view.crop(240, 320, 4))
    assert np.abs(jpeg.astype(int) - seen(view, picture, view.crop(240, 320, 4))).max() < 6


def test_the_colour_shift_moves_all_pixels_alike_along_the_components():
    view, grey = View(8, test_scale=8, scales=(8, 8), shift=0.1), Image.new("RGB", (8, 8), (128, 128, 128))
    shifts = np.array([view.draw(8, 8, Key(0).fold(i)).shift for i in range(3000)])
    along = shifts @ np.linalg.inv(COMPONENTS).T / 255
    np.testing.assert_allclose(along.std(axis=0), 0.1 * VARIANCES, rtol=0.06)
    window = view.draw(8, 8, Key(0))
    np.testing.assert_array_equal(
        seen(view, grey, window)[3, 5], np.rint(128 + np.array(window.shift)).astype(np.uint8)
    )


def test_a_shift_stops_at_black_and_white():
    view = View(2, test_scale=2, scales=(2, 2))
    window = view.crop(2, 2)._replace(shift=(300.0, -300.0, 0.0))
    assert seen(view, Image.new("RGB", (2, 2), (9, 9, 9)), window)[0, 0].tolist() == [255, 0, 9]


@pytest.mark.parametrize("picture", [(1, 1), (1, 2000), (2000, 1), (3, 2)])
def test_tiny_and_narrow_images_are_seen(picture):
    view = View(24, "short", (24, 48), 32, shift=0.1)
    for window in (view.draw(*picture, Key(0)), view.crop(*picture, 9), view.crop(*picture, 45)):
        assert seen(view, noise(*picture), window).shape == (24, 24, 3)


@pytest.mark.parametrize("options", [{"scales": (223, 256)}, {"scales": (300, 256)}, {"test_scale": 100}])
def test_a_scale_below_the_crop_is_refused(options):
    with pytest.raises(
        UserError, match=r"crops of 224 pixels are taken of .* give scales that rise, and are not smaller"
    ):
        View(224, **options)
