"""Augmentation: random changes of the training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from data.transforms.border import check_images
from engine.context import Context
from engine.device import dispatch
from engine.errors import UserError
from engine.kernels.cpu import images as kernels
from engine.typing import REALS, Array, is_whole


class Augmentation(Protocol):
    """From preprocessed images (n, H, W, C) to altered ones, in the pass's memory; its draws come from `ctx.next_key()`."""

    def __call__(self, x: Array, ctx: Context) -> Array: ...


@dataclass(frozen=True)
class CropFlip:
    """Random crops of the image with zeros around it, in the image's size; half of them are reflected.

    It is applied to preprocessed images, as published: the zeros are those of the whitened images. Outside of training it
    returns its input.

    The random numbers belong to the key of the pass and the index of the image in its batch (see `engine.random`), as those of
    dropout do. So they are drawn by the thread that trains on the chunk, and they depend neither on the size of the chunks, nor
    on the number of threads, nor on whether the run was resumed.

    Source:    Goodfellow et al., "Maxout networks", ICML 2013, and Lin et al., "Network in network", ICLR 2014: CIFAR
               with translations and horizontal reflections; pylearn2's cifar10.yaml: 4 zeros, windows of 32 x 32.

    >>> import numpy as np
    >>> x, crop_flip = np.ones((1, 3, 3, 1)), CropFlip(padding=1)
    >>> crop_flip(x, Context(training=False)) is x
    True
    >>> sorted(set(crop_flip(x, Context(training=True)).ravel().tolist()))
    [0.0, 1.0]
    """

    padding: int = 4

    def __post_init__(self) -> None:
        if not is_whole(self.padding) or self.padding < 0:
            raise UserError(f"the padding of the crops is {self.padding!r}; a whole number of 0 or more is needed.")

    def __call__(self, x: Array, ctx: Context) -> Array:
        """From images (n, H, W, C) to crops of the same shape; raises UserError for what are no such images."""
        x = check_images("the augmentation", x, REALS)
        if not ctx.training:
            return x
        y = ctx.empty(x.shape, x.dtype)
        dispatch(kernels.crop_flip, x, y, self.padding, ctx.first_sample, *ctx.next_key().halves)
        return y
