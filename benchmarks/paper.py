"""Photographs of digits on ten kinds of paper, drawn from a seed: what a person with a pen and a telephone would take.

A digit of MNIST is enlarged until its strokes have edges as sharp as a pen's, and laid on the paper as so much ink a pixel; then
come light, camera (blur and noise) and JPEG. `HARD` ones are turned, blurred and noisy, with several of the kinds' troubles at
once."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

SIDES = (300, 1200)  # pixels of a picture
INKS = ((20, 40, 160), (190, 20, 30), (10, 110, 50), (110, 30, 140), (200, 90, 10))  # blue, red, green, violet, orange
Rng = np.random.Generator


def photograph(kind: str, digits: list[np.ndarray], rng: Rng) -> bytes:
    """A JPEG file of the digits (28, 28) uint8, beside each other on paper of this kind; none gives paper alone."""
    height, width = (int(side) for side in rng.integers(SIDES[0], SIDES[1], 2))
    height, width = max(height, width // 2), max(width, height // 2)  # as cameras do, within 1 : 2
    hard = kind == "hard"
    ink = _ink(digits, height, width, rng, thin=kind == "thin pen", turn=12 if hard else 3)  # (H, W) in 0 .. 1
    if hard:
        troubles = rng.permutation(["unevenly lit", "shadowed", "ruled", "specked", "framed"])[:2]
    paper, pen = _colours(kind, rng)
    picture: np.ndarray = np.broadcast_to(paper, (height, width, 3)).astype(np.float32)
    for trouble in troubles if hard else [kind]:
        if trouble in ("ruled", "specked"):
            picture = TROUBLES[trouble](picture, rng)
    picture = picture + ink[..., None] * (pen - picture)
    for trouble in troubles if hard else [kind]:
        if trouble in ("unevenly lit", "shadowed", "framed"):
            picture = TROUBLES[trouble](picture, rng)
    return _taken(picture, rng, blur=rng.uniform(1, 2.5) if hard else 0.5, noise=rng.uniform(6, 14) if hard else 3)


def _colours(kind: str, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Of the paper and of the pen."""
    paper, pen = np.full(3, rng.uniform(225, 252)), np.full(3, rng.uniform(15, 70))
    if kind == "grey":
        paper = np.full(3, rng.uniform(100, 180))
    if kind == "light on dark":
        paper, pen = np.full(3, rng.uniform(20, 70)), np.full(3, rng.uniform(170, 240))
    if kind == "coloured":
        paper, pen = rng.uniform(190, 250, 3), np.array(INKS[rng.integers(len(INKS))], float)
    return paper.astype(np.float32), pen.astype(np.float32)


def _ink(digits: list[np.ndarray], height: int, width: int, rng: Rng, *, thin: bool, turn: float) -> np.ndarray:
    """How much of each pixel is covered by ink, (H, W) in 0 .. 1."""
    ink = np.zeros((height, width), np.float32)
    if not digits:
        return ink
    # of a digit's box with its margin
    size = int(min(0.8 * height, 0.8 * width / len(digits)) * rng.uniform(0.5, 1.0))
    drawn = [_drawn(digit, rng, size, thin, turn) for digit in digits]
    top = int(rng.uniform(0.1 * height, 0.9 * height - max(len(tile) for tile in drawn)))
    left = int(rng.uniform(0.1 * width, 0.9 * width - size * len(digits)))
    for i, tile in enumerate(drawn):
        ink[top : top + len(tile), left + i * size : left + i * size + tile.shape[1]] = tile
    return ink


def _drawn(digit: np.ndarray, rng: Rng, size: int, thin: bool, turn: float) -> np.ndarray:
    """A digit of MNIST, of which 20 pixels become 0.8 of `size`, cut out with sharp edges: in 0 .. 1."""
    turned = Image.fromarray(digit).rotate(rng.uniform(-turn, turn), Image.Resampling.BICUBIC)
    scale = 0.8 * size / 20
    soft = np.asarray(turned.resize((int(28 * scale),) * 2, Image.Resampling.BICUBIC), np.float32) / 255
    sharp = np.clip((soft - (0.72 if thin else 0.45)) * scale / 0.7 + 0.5, 0, 1)
    rows, columns = (np.flatnonzero(sharp.max(axis=axis) > 0) for axis in (1, 0))
    return sharp[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][:size, :size]


def _coordinates(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each pixel, from -1 to 1: down and to the right."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, side, dtype=np.float32) for side in picture.shape[:2]), indexing="ij")
    return y, x


def unevenly_lit(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """A lamp to one side, and a lens that is darker in its corners."""
    y, x = _coordinates(picture)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * y + np.sin(angle) * x
    light = 1 - rng.uniform(0.25, 0.45) * (slope + 1) / 2 - rng.uniform(0.1, 0.3) * (y**2 + x**2) / 2
    return picture * light[..., None]


def shadowed(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """The shadow of a hand or of the telephone: a straight edge, somewhere across the middle."""
    y, x = _coordinates(picture)
    angle = rng.uniform(0, 2 * np.pi)
    distance = np.cos(angle) * y + np.sin(angle) * x - rng.uniform(-0.4, 0.4)
    soft = 1 / (1 + np.exp(-np.clip(distance / rng.uniform(0.005, 0.05), -30, 30)))
    return picture * (1 - rng.uniform(0.3, 0.6) * soft)[..., None]


def ruled(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Lines of an exercise book, or squares, a little askew; blue or grey."""
    height, width = picture.shape[:2]
    step, thick = min(height, width) / rng.uniform(5, 12), min(height, width) * rng.uniform(0.002, 0.006)
    skew, colour = (
        rng.uniform(-0.03, 0.03),
        np.array([[120, 150, 215], [150, 150, 150], [70, 90, 170]][rng.integers(3)]),
    )
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    along = [rows + skew * columns] if rng.random() < 0.7 else [rows + skew * columns, columns - skew * rows]
    picture = picture.copy()
    for position in along:
        off = np.abs((position + rng.uniform(0, step)) % step - step / 2)
        line = np.clip(thick / 2 + 0.5 - off, 0, 1)[..., None]
        picture += line * (colour - picture)
    return picture


def specked(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """Dust and dots, dark as ink."""
    y, x = (axis[..., 0] for axis in np.split(np.indices(picture.shape[:2])[..., None], 2))
    y, x, picture = y[0], x[0], picture.copy()
    side = min(picture.shape[:2])
    for _ in range(rng.integers(15, 60)):
        cy, cx, r = rng.uniform(0, picture.shape[0]), rng.uniform(0, picture.shape[1]), side * rng.uniform(0.002, 0.008)
        picture[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = rng.uniform(20, 120)
    return picture


def framed(picture: np.ndarray, rng: Rng) -> np.ndarray:
    """A dark table, or a black border, around the paper: a little askew, of any width on each side."""
    height, width = picture.shape[:2]
    top, bottom, left, right = (int(rng.uniform(0, 0.2) * side) for side in (height, height, width, width))
    picture = np.pad(picture, ((top, bottom), (left, right), (0, 0)), mode="edge")
    rows, columns = np.indices(picture.shape[:2])
    skew, inwards = rng.uniform(-0.02, 0.02), 0.01 * min(height, width)
    y, x = rows + skew * (columns - left - width / 2) - top, columns - skew * (rows - top - height / 2) - left
    paper = (y > inwards) & (y < height - inwards) & (x > inwards) & (x < width - inwards)
    return np.where(paper[..., None], picture, rng.uniform(10, 90, 3))


TROUBLES: dict[str, Callable[[np.ndarray, Rng], np.ndarray]] = {
    "unevenly lit": unevenly_lit,
    "shadowed": shadowed,
    "ruled": ruled,
    "specked": specked,
    "framed": framed,
}
KINDS = ("white", "grey", *TROUBLES, "coloured", "light on dark", "thin pen", "hard")


def _taken(picture: np.ndarray, rng: Rng, blur: float, noise: float) -> bytes:
    """The JPEG file of a camera that blurs by so many pixels, and adds so much noise."""
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))
    noisy = np.asarray(image, np.float32) + rng.normal(0, noise, picture.shape).astype(np.float32)
    buffer = io.BytesIO()
    quality = int(rng.integers(70, 95))
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
