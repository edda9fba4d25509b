"""Augmentation: training images that differ a little every time they are seen."""

from dataclasses import dataclass

import numpy as np

from engine.context import Context
from engine.device import dispatch
from engine.kernels.cpu import images as kernels


@dataclass(frozen=True)
class CropFlip:
    """Each image is padded with zeros, cut out at a random place in its own size, and reflected in half the cases.

    It works on images that are preprocessed already, as published: the zeros are those of the whitened images. In a pass
    that is not training it does nothing.

    The draws come from the pass's key and the image's place in its batch (see `engine.random`), as those of dropout do. So
    a thread draws for its own chunk of the batch, as a part of its work and while the others train on theirs, and
    neither the chunks' size, nor the number of threads, nor a resume changes what is drawn.

    Source:    Goodfellow et al., "Maxout networks", ICML 2013, and Lin et al., "Network in network", ICLR 2014: CIFAR
               with translations and horizontal reflections; pylearn2's cifar10.yaml: 4 zeros, windows of 32 x 32.

    >>> x, crop_flip = np.ones((1, 3, 3, 1)), CropFlip(padding=1)
    >>> crop_flip(x, Context(training=False)) is x
    True
    >>> sorted(set(crop_flip(x, Context(training=True)).ravel().tolist()))
    [0.0, 1.0]
    """

    padding: int = 4

    def __call__(self, x: np.ndarray, ctx: Context) -> np.ndarray:
        """From images (n, H, W, C) to such images, in the pass's memory."""
        if not ctx.training:
            return x
        y = ctx.empty(x.shape, x.dtype)
        dispatch(kernels.crop_flip, x, y, self.padding, ctx.first_sample, *ctx.next_key().halves)
        return y
