"""A digit on any paper, in any light, gives the image that it gives on white paper, or is refused."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from data.pictures.digits import read_digit, read_pixels
from engine.errors import UserError

HEIGHT, WIDTH = 300, 360
PAPER, INK = 235.0, 40.0


def four(height=HEIGHT, width=WIDTH, at=(90, 60), size=150, stroke=18):
    """How much of each pixel is ink, (H, W): a closed 4, drawn with a pen."""
    picture = Image.new("L", (width, height))
    y, x = at
    points = [(x + 0.55 * size, y), (x, y + 0.62 * size), (x + 0.75 * size, y + 0.62 * size)]
    draw = ImageDraw.Draw(picture)
    draw.line(points, 255, stroke, "curve")
    draw.line([(x + 0.55 * size, y), (x + 0.55 * size, y + size)], 255, stroke)
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(1)), float) / 255


def drawn(paper, ink=INK, shape=None):
    """The picture (H, W, C) of that 4 in ink on paper."""
    shape = four() if shape is None else shape
    return paper + shape[..., None] * (np.asarray(ink, float) - paper)


def plain(level=PAPER):
    return np.full((HEIGHT, WIDTH, 1), level)


def blurred(image):
    """By about a pixel, which is what the place and the size of a digit are rounded to."""
    return np.asarray(Image.fromarray(image.astype(np.float32)).convert("L").filter(ImageFilter.GaussianBlur(1)), float)


def distance(picture, expected):
    """Between what is read of a picture and another image, both blurred: the mean difference where there is ink, of 255."""
    image = read_pixels(picture)
    shifted = [np.roll(image, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    inked = expected > 0
    return min(np.abs(blurred(image) - blurred(expected))[inked].mean() for image in shifted)


def test_another_digit_is_far_from_it(expected):
    """What the limits below are held against: the same strokes without one of them."""
    shape = four()
    shape[:153] = 0
    assert distance(drawn(plain(), shape=shape), expected) > 60


def lit(y, x):
    return 0.9 - 0.3 * x - 0.2 * y * y


def shadow(y, x):
    return np.where(x + 0.4 * y > 0.3, 0.5, 1.0)


def soft_shadow(y, x):
    return 1 - 0.5 / (1 + np.exp(-20 * (x - 0.2 * y)))


@pytest.fixture(scope="module")
def expected():
    return read_pixels(drawn(plain()))


@pytest.mark.parametrize("light", [lit, shadow, soft_shadow])
def test_light_is_divided_out(expected, light):
    y, x = np.meshgrid(np.linspace(-1, 1, HEIGHT), np.linspace(-1, 1, WIDTH), indexing="ij")
    assert distance(drawn(plain()) * light(y, x)[..., None], expected) < 25


@pytest.mark.parametrize(("paper", "ink"), [(120, 30), (160, 90), (40, 210), (70, 130), (250, 200)])
def test_paper_may_be_of_any_grey_and_ink_darker_or_lighter(expected, paper, ink):
    assert distance(drawn(plain(paper), ink), expected) < 5


@pytest.mark.parametrize(
    ("paper", "ink"),
    [((240, 240, 235), (30, 50, 170)), ((245, 230, 140), (200, 30, 40)), ((160, 60, 60), (60, 160, 60))],
    ids=["blue on white", "red on yellow", "green on a red as dark"],
)
def test_ink_may_have_any_colour(expected, paper, ink):
    picture = drawn(np.broadcast_to(np.array(paper, float), (HEIGHT, WIDTH, 3)), ink)
    assert distance(picture, expected) < 5


@pytest.mark.parametrize(("squares", "step"), [(False, 24), (True, 40)], ids=["lines", "squares"])
@pytest.mark.parametrize("tone", [60.0, 160.0], ids=["dark", "pale"])
def test_ruled_lines_are_taken_off(expected, squares, step, tone):
    """Askew by one pixel in fifty."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    line = (rows + columns // 50) % step < 2
    if squares:
        line |= (columns - rows // 50) % step < 2
    assert distance(drawn(np.where(line[..., None], tone, PAPER)), expected) < 25


def test_specks_are_no_part_of_the_digit(expected):
    picture, rng = drawn(plain()), np.random.default_rng(0)
    for y, x in zip(rng.integers(4, HEIGHT - 4, 60), rng.integers(4, WIDTH - 4, 60), strict=True):
        picture[y - 1 : y + 2, x - 1 : x + 2] = 20
    assert distance(picture, expected) < 12


@pytest.mark.parametrize("sides", [(40, 40, 40, 40), (0, 0, 25, 0), (8, 30, 0, 50)])
def test_the_table_around_the_paper_is_cut_off(expected, sides):
    top, bottom, left, right = sides
    picture = drawn(plain())
    rows, columns = np.indices((HEIGHT, WIDTH))
    askew = columns // 60
    table = (rows < (top and top + askew)) | (rows >= HEIGHT - bottom) | (columns < left) | (columns >= WIDTH - right)
    assert distance(np.where(table[..., None], 50.0, picture), expected) < 5


def test_a_part_that_does_not_touch_belongs_to_the_digit():
    """A 5 whose bar was drawn by itself."""
    shape = np.zeros((HEIGHT, WIDTH))
    shape[80:95, 130:200] = shape[105:150, 120:135] = shape[135:150, 120:190] = shape[135:200, 175:190] = 1
    shape[190:205, 110:190] = 1
    image = read_pixels(drawn(plain(), shape=shape))
    whole = shape.copy()
    whole[90:106, 120:135] = 1
    joined = read_pixels(drawn(plain(), shape=whole))
    assert np.abs(image - joined).mean() < 5


def several(*places, **options):
    return np.maximum.reduce([four(at=at, size=90, stroke=11, **options) for at in places])


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ([(60, 60), (60, 200)], "shows 2 digits"),
        ([(60, 40), (70, 140), (50, 240)], "shows 3 digits"),
        ([(20, 150), (160, 150)], "shows 2 digits"),
        ([(-20, 100)], "no digit that stands apart from the picture's edge"),
        ([(100, 320)], "no digit that stands apart from the picture's edge"),
    ],
    ids=["two", "three", "one below the other", "beyond the top", "beyond the side"],
)
def test_several_digits_and_a_part_of_one_are_refused(places, sentence):
    with pytest.raises(UserError, match=sentence):
        read_pixels(drawn(plain(), shape=several(*places)))


def test_a_mark_is_not_taken_for_the_digit_that_hangs_on_the_edge():
    shape = four(at=(160, 60))
    shape[40:80, 250:256] = 1
    with pytest.raises(UserError, match="no digit that stands apart from the picture's edge"):
        read_pixels(drawn(plain(), shape=shape))


@pytest.mark.parametrize("light", [lit, shadow, soft_shadow])
@pytest.mark.parametrize("noise", [0, 6])
def test_paper_without_a_digit_is_refused(light, noise):
    y, x = np.meshgrid(np.linspace(-1, 1, HEIGHT), np.linspace(-1, 1, WIDTH), indexing="ij")
    picture = plain() * light(y, x)[..., None] + np.random.default_rng(0).normal(0, noise, (HEIGHT, WIDTH, 1))
    with pytest.raises(UserError, match="shows no digit"):
        read_pixels(np.clip(picture, 0, 255))


@pytest.mark.parametrize("shape", [(80, 90), (40, 200)], ids=["a patch", "a dash"])
def test_what_has_not_a_digits_shape_is_refused(shape):
    ink = np.zeros((HEIGHT, WIDTH))
    ink[100 : 100 + shape[0], 80 : 80 + shape[1]] = 1
    with pytest.raises(UserError, match="has not the shape of one"):
        read_pixels(drawn(plain(), shape=ink))


@pytest.mark.parametrize("name", ["a.webp", "a.gif", "a.bmp", "a.tiff", "a.tif", "a.jpeg"])
def test_every_format_is_read(tmp_path, expected, name):
    picture = Image.fromarray(np.rint(drawn(plain())[..., 0]).astype(np.uint8))
    picture.save(tmp_path / name, quality=95)
    assert np.abs(read_digit(tmp_path / name)[..., 0] - expected).mean() < 2


def test_the_first_picture_of_several_in_a_file_is_read(tmp_path, expected):
    first, second = (Image.fromarray(np.rint(drawn(plain(), ink)[..., 0]).astype(np.uint8)) for ink in (INK, PAPER))
    for name in ("a.gif", "a.tiff"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        assert np.abs(read_digit(tmp_path / name)[..., 0] - expected).mean() < 2
