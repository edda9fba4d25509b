"""Broken ReLUs, dropout and maxout."""

import numpy as np

from tests.broken.layers.gallery import PIECES, TINY, rejected_by
from tests.reference import Dropout, Maxout, ReLU


@rejected_by("gradient_of_input", TINY)
class PassesEverything(ReLU):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.copy()


@rejected_by("linear_in_dy", TINY)
class MaskOfTheUpstreamGradient(ReLU):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy * (dy > 0)


@rejected_by("gradient_of_input", TINY)
class ScaledTwice(Dropout):
    def backward(self, dy, cache, ctx, need_dx=True):
        return self.scale * super().backward(dy, cache, ctx)


@rejected_by("gradient_of_input", TINY)
class ScaleForgottenInTheBackward(Dropout):
    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.copy() if cache is None else dy * cache


@rejected_by("gradient_of_input", TINY)
class MaskDrawnAgain(Dropout):
    def backward(self, dy, cache, ctx, need_dx=True):
        return super().backward(dy, None if cache is None else self.mask(dy, ctx, ctx.next_key()), ctx)


@rejected_by("evaluation_mode", TINY)
class DropsInEvaluationToo(Dropout):
    def forward(self, x, ctx):
        return self.reference(x, self.mask(x, ctx, ctx.next_key()))


@rejected_by("samples_apart", TINY)
class MaskOfTheChunk(Dropout):
    def mask(self, x, ctx, key):
        return (key.uniform(x.shape) >= self.rate).astype(x.dtype)


@rejected_by("repeatable", TINY)
class MaskOfAGlobalState(Dropout):
    state = np.random.default_rng(0)

    def mask(self, x, ctx, key):
        return (MaskOfAGlobalState.state.random(x.shape) >= self.rate).astype(x.dtype)


@rejected_by("gradient_of_input", PIECES)
class EveryPieceTakesTheGradient(Maxout):
    def reference_backward(self, dy, cache):
        return np.repeat(dy, self.pieces, axis=-1)


@rejected_by("gradient_of_input", PIECES)
class BackwardTakesPiecesThatStandApart(Maxout):
    """Forward takes neighbouring channels, backward those that are C apart."""

    def reference_backward(self, dy, cache):
        chosen = np.arange(self.pieces)[:, None] == cache[..., None, :]  # (N, ..., k, C)
        return (dy[..., None, :] * chosen).reshape(*dy.shape[:-1], -1)


@rejected_by("gradient_of_input", PIECES)
class TheSmallestPieceTakesTheGradient(Maxout):
    def reference(self, x):
        (y, _), (_, argmin) = super().reference(x), super().reference(-x)
        return y, argmin


@rejected_by("samples_apart", PIECES)
class LargestOfTheBatch(Maxout):
    def reference(self, x):
        return super().reference(np.broadcast_to(x.max(axis=0), x.shape).copy())


@rejected_by("equal_pieces_go_to_the_first", PIECES)
class EqualPiecesShare(Maxout):
    def reference(self, x):
        y, _ = super().reference(x)
        return y, x == np.repeat(y, self.pieces, axis=-1)

    def reference_backward(self, dy, cache):
        return np.repeat(dy, self.pieces, axis=-1) * cache


@rejected_by("equal_pieces_go_to_the_first", PIECES)
class EqualPiecesGoToTheLast(Maxout):
    def reference(self, x):
        y, argmax_from_the_end = super().reference(x[..., ::-1])
        return y[..., ::-1], self.pieces - 1 - argmax_from_the_end[..., ::-1]
