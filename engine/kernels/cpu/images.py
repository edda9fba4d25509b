"""Preprocessing and augmentation of images: scaling, contrast normalisation, random crops and reflections."""

import math

import numpy as np

from engine.codegen.jit import jit
from engine.random import philox

_ZERO, _WORD, _TOP = np.uint64(0), np.uint64(32), np.uint64(31)


def scale(pixels, x, factor, shift):
    """x (n, C) = factor p - shift: pixels (n, C) uint8, factor and shift (C,)."""
    np.multiply(pixels, factor, out=x)
    np.subtract(x, shift, out=x)


def centre(x, mean):
    """x (N, D) -= mean (D,)."""
    np.subtract(x, mean, out=x)


@jit
def contrast_of(total, squares, D, norm):
    """An image's mean, and norm / ||p - mean p|| (0 where all are equal), from the sum of its D pixels and of their squares."""
    variance = D * squares - total * total  # times D^2
    return total / D, norm / math.sqrt(variance / D) if variance > 0 else 0.0


@jit
def crop_of(sample, padding, k0, k1):
    """The row and column at which a sample's crop begins, and whether it is reflected; see `crop_flip`."""
    words = philox(_ZERO, np.uint64(sample), _ZERO, _ZERO, k0, k1)
    choices = np.uint64(2 * padding + 1)
    top = np.int64((words[0] * choices) >> _WORD) - padding
    left = np.int64((words[1] * choices) >> _WORD) - padding
    return top, left, words[2] >> _TOP == 1


@jit
def contrast(pixels, x, norm):
    """x (N, D) = norm (p - mean p) / ||p - mean p|| for each row p of pixels (N, D) uint8; a row of one value gives 0.

    The sums are of integers, and so exact: D ||p - mean p||^2 = D sum p^2 - (sum p)^2.
    """
    N, D = pixels.shape
    for n in range(N):
        total, squares = np.int64(0), np.int64(0)
        for d in range(D):
            p = np.int64(pixels[n, d])
            total += p
            squares += p * p
        mean, factor = contrast_of(total, squares, D, norm)
        for d in range(D):
            x[n, d] = (pixels[n, d] - mean) * factor


@jit
def crop_flip(x, y, padding, first_sample, k0, k1):
    """y (N, H, W, C): x with `padding` zeros on each side, cropped at a random offset, and reflected in half the cases.

    The batch's sample s uses philox at counter (0, s): word 0 for the row, word 1 for the column at which the crop of
    H x W pixels begins, each in 0 .. 2 padding (floor(word (2 padding + 1) / 2^32)), the highest bit of word 2 for the
    reflection, left to right; so the result does not depend on how a batch is cut into chunks.
    """
    N, H, W, C = x.shape
    for n in range(N):
        top, left, flip = crop_of(first_sample + n, padding, k0, k1)
        for i in range(H):
            h = i + top
            for j in range(W):
                w = (W - 1 - j if flip else j) + left
                inside = 0 <= h < H and 0 <= w < W
                for c in range(C):
                    y[n, i, j, c] = x[n, h, w, c] if inside else 0
