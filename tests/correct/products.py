"""Layers with parameters or several inputs: scales, products, convolutions of sequences, sums."""

import numpy as np

from engine.initialisers import normal
from engine.parameters import Parameter
from layers import Layer
from tests.correct.gallery import IMAGE, SEQUENCE, VECTOR, passes


@passes(VECTOR)
class ScaleAndShift(Layer):
    """y = g x + b."""

    def __init__(self):
        self.g, self.b = Parameter((4,), normal(1.0), name="g"), Parameter((4,), normal(1.0), name="b")

    def parameters(self):
        return [self.g, self.b]

    def forward(self, x, ctx):
        return self.g.value * x + self.b.value, x

    def backward(self, dy, x, ctx, need_dx=True):
        ctx.gradient(self.g)[...] += (dy * x).sum(0)
        ctx.gradient(self.b)[...] += dy.sum(0)
        return dy * self.g.value


@passes(IMAGE)
class DepthwiseScale(Layer):
    """A number for each channel."""

    def __init__(self):
        self.g = Parameter((2,), normal(1.0), name="g")

    def parameters(self):
        return [self.g]

    def forward(self, x, ctx):
        return self.g.value * x, x

    def backward(self, dy, x, ctx, need_dx=True):
        ctx.gradient(self.g)[...] += np.einsum("nhwc,nhwc->c", dy, x)
        return dy * self.g.value


class _Weighted(Layer):
    """A layer with one array of weights."""

    shape: tuple[int, ...]

    def __init__(self):
        self.weight = Parameter(self.shape, normal(1.0), name="weight")

    def parameters(self):
        return [self.weight]


@passes(VECTOR)
class OneHotProduct(_Weighted):
    """An embedding: rows of the table, weighted by x."""

    shape = (4, 3)

    def output_shape(self, shape):
        return (3,)

    def forward(self, x, ctx):
        return x @ self.weight.value, x

    def backward(self, dy, x, ctx, need_dx=True):
        ctx.gradient(self.weight)[...] += x.T @ dy
        return dy @ self.weight.value.T


@passes([(2,), (3,)])
class Bilinear(_Weighted):
    """y_k = sum over i, j of a_i W_ijk b_j."""

    n_inputs, shape = 2, (2, 3, 2)

    def output_shape(self, shapes):
        return (2,)

    def forward(self, x, ctx):
        return np.einsum("ni,ijk,nj->nk", x[0], self.weight.value, x[1]), x

    def backward(self, dy, x, ctx, need_dx=True):
        a, b = x
        ctx.gradient(self.weight)[...] += np.einsum("ni,nj,nk->ijk", a, b, dy)
        da, db = (
            np.einsum(f"{s},ijk,nk->{d}", v, self.weight.value, dy) for s, v, d in (("nj", b, "ni"), ("ni", a, "nj"))
        )
        return da, db


@passes(SEQUENCE)
class Conv1d(_Weighted):
    """y_t = sum over a of x_(t + a) W_a, three taps, no padding."""

    shape = (3, 3, 2)

    def output_shape(self, shape):
        return shape[0] - 2, 2

    def forward(self, x, ctx):
        T = x.shape[1] - 2
        return sum(x[:, a : a + T] @ self.weight.value[a] for a in range(3)), x

    def backward(self, dy, x, ctx, need_dx=True):
        T, dx = dy.shape[1], np.zeros_like(x)
        for a in range(3):
            ctx.gradient(self.weight)[a] += np.einsum("ntc,ntd->cd", x[:, a : a + T], dy)
            dx[:, a : a + T] += dy @ self.weight.value[a].T
        return dx


@passes(SEQUENCE)
class CausalDepthwiseConv1d(_Weighted):
    """y_t = w_0 x_t + w_1 x_(t - 1), channel by channel."""

    shape = (2, 3)

    def forward(self, x, ctx):
        y = self.weight.value[0] * x
        y[:, 1:] += self.weight.value[1] * x[:, :-1]
        return y, x

    def backward(self, dy, x, ctx, need_dx=True):
        ctx.gradient(self.weight)[0] += (dy * x).sum((0, 1))
        ctx.gradient(self.weight)[1] += (dy[:, 1:] * x[:, :-1]).sum((0, 1))
        dx = self.weight.value[0] * dy
        dx[:, :-1] += self.weight.value[1] * dy[:, 1:]
        return dx


@passes((4, 3))
class SelfAttention(Layer):
    """y = P x, P = the softmax of the rows of x x^T."""

    def forward(self, x, ctx):
        e = np.exp(x @ x.mT)
        P = e / e.sum(2, keepdims=True)
        return P @ x, (P, x)

    def backward(self, dy, cache, ctx, need_dx=True):
        P, x = cache
        dP = dy @ x.mT
        dS = P * (dP - (dP * P).sum(2, keepdims=True))
        return P.mT @ dy + (dS + dS.mT) @ x


class _Two(Layer):
    n_inputs = 2

    def output_shape(self, shapes):
        return shapes[0]


@passes([IMAGE, IMAGE])
class Add(_Two):
    def forward(self, x, ctx):
        return x[0] + x[1], None

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy, dy


@passes([VECTOR, VECTOR])
class Difference(_Two):
    def forward(self, x, ctx):
        return x[0] - x[1], None

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy, -dy


@passes([VECTOR, VECTOR])
class Multiply(_Two):
    def forward(self, x, ctx):
        return x[0] * x[1], x

    def backward(self, dy, x, ctx, need_dx=True):
        return dy * x[1], dy * x[0]


@passes([VECTOR, VECTOR], domain=(0.5, 3.0))
class Divide(_Two):
    def forward(self, x, ctx):
        return x[0] / x[1], x

    def backward(self, dy, x, ctx, need_dx=True):
        return dy / x[1], -dy * x[0] / x[1] ** 2


@passes([(2, 3), (2, 1)])
class Concatenate(_Two):
    def output_shape(self, shapes):
        return *shapes[0][:-1], shapes[0][-1] + shapes[1][-1]

    def forward(self, x, ctx):
        return np.concatenate(x, -1), x[0].shape[-1]

    def backward(self, dy, width, ctx, need_dx=True):
        return dy[..., :width], dy[..., width:]


@passes([(4,), (4,)])
class CosineSimilarity(_Two):
    """y = a b / |a| |b|."""

    def output_shape(self, shapes):
        return (1,)

    def forward(self, x, ctx):
        sizes = [np.sqrt((v * v).sum(1, keepdims=True)) for v in x]
        units = [v / size for v, size in zip(x, sizes, strict=True)]
        y = (units[0] * units[1]).sum(1, keepdims=True)
        return y, (units, sizes, y)

    def backward(self, dy, cache, ctx, need_dx=True):
        (a, b), sizes, y = cache
        return dy * (b - y * a) / sizes[0], dy * (a - y * b) / sizes[1]
