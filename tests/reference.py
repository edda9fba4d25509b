"""Layers and loss in plain NumPy, as one would write them on a blackboard: loops, one line an equation.

They are oracles for the real ones, and what the broken versions are made from: a subclass replaces one line.
"""

import numpy as np

from engine.initialisers import normal
from engine.parameters import Parameter


class PlainLayer:
    def parameters(self):
        return []

    def kink_distance(self, x, ctx):
        return np.inf

    def __repr__(self):
        return type(self).__name__


class Linear(PlainLayer):
    def __init__(self, inputs=3, outputs=4):
        self.weight = Parameter((inputs, outputs), normal(1.0), name="weight")
        self.bias = Parameter((outputs,), normal(0.5), name="bias")

    def parameters(self):
        return [self.weight, self.bias]

    def output_shape(self, shape):
        return (self.bias.shape[0],)

    def forward(self, x, ctx):
        return x @ self.weight.value + self.bias.value, x

    def backward(self, dy, cache, ctx, need_dx=True):
        x = cache
        self.add(ctx, self.weight, self.dweight(x, dy))
        self.add(ctx, self.bias, self.dbias(x, dy))
        return self.dx(x, dy)

    def add(self, ctx, parameter, gradient):
        ctx.gradient(parameter)[...] += gradient

    def dweight(self, x, dy):
        return x.T @ dy

    def dbias(self, x, dy):
        return dy.sum(axis=0)

    def dx(self, x, dy):
        return dy @ self.weight.value.T


class ReLU(PlainLayer):
    def forward(self, x, ctx):
        return np.maximum(x, 0), x

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy * (cache > 0)

    def kink_distance(self, x, ctx):
        return np.abs(x).min()


class Maxout(PlainLayer):
    def __init__(self, pieces=2):
        self.pieces = pieces

    def output_shape(self, shape):
        return *shape[:-1], shape[-1] // self.pieces

    def forward(self, x, ctx):
        groups = self.groups(x)
        return groups.max(axis=-1), groups

    def backward(self, dy, cache, ctx, need_dx=True):
        groups = cache
        return (dy[..., None] * self.chosen(groups)).reshape(*dy.shape[:-1], -1)

    def groups(self, x):
        """(..., C, k): k neighbouring channels."""
        return x.reshape(*x.shape[:-1], -1, self.pieces)

    def chosen(self, groups):
        """A one where the largest piece stands first."""
        return np.eye(self.pieces, dtype=groups.dtype)[groups.argmax(axis=-1)]

    def kink_distance(self, x, ctx):
        top = np.sort(self.groups(x), axis=-1)
        return (top[..., -1] - top[..., -2]).min() / 2


class Dropout(PlainLayer):
    rate = 0.5

    def mask(self, x, ctx, key):
        """Bits of the key, a row for every sample of the batch."""
        width = int(np.prod(x.shape[1:]))
        uniform = key.uniform((ctx.first_sample + len(x), width))[ctx.first_sample :]
        return (uniform >= self.rate).reshape(x.shape).astype(x.dtype)

    def forward(self, x, ctx):
        if not ctx.training:
            return x.copy(), None
        mask = self.mask(x, ctx, ctx.next_key())
        return x * mask / (1 - self.rate), mask

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.copy() if cache is None else dy * cache / (1 - self.rate)


def windows(extent, kernel, stride, padding, ceil):
    """The starts of the windows along an axis, counted out one by one."""
    starts = []
    start = -padding
    while start + kernel <= extent + padding or (
        ceil and start < extent and start + kernel < extent + padding + stride
    ):
        starts.append(start)
        start += stride
    return starts


class Windowed(PlainLayer):
    """A layer whose output pixel (i, j) sees the window of k x k pixels that starts at (is - p, js - p)."""

    def __init__(self, kernel=3, stride=2, padding=1, ceil=True):
        self.kernel, self.stride, self.padding, self.ceil = kernel, stride, padding, ceil

    def starts(self, extent):
        return windows(extent, self.kernel, self.stride, self.padding, self.ceil)

    def places(self, x_shape):
        """(i, j, rows, columns): the output pixel and the part of its window that lies in the image."""
        _, H, W, _ = x_shape
        for i, top in enumerate(self.starts(H)):
            for j, left in enumerate(self.starts(W)):
                inside = slice(max(top, 0), min(top + self.kernel, H)), slice(max(left, 0), min(left + self.kernel, W))
                yield i, j, *inside

    def empty_output(self, x):
        return np.zeros((len(x), len(self.starts(x.shape[1])), len(self.starts(x.shape[2])), x.shape[3]), x.dtype)


class MaxPool2d(Windowed):
    def forward(self, x, ctx):
        y = self.empty_output(x)
        for i, j, rows, columns in self.places(x.shape):
            y[:, i, j] = x[:, rows, columns].max(axis=(1, 2))
        return y, (x, y)

    def chosen(self, part, best):
        """A one where the window's largest value stands first, in reading order."""
        N, _, _, C = part.shape
        flat = part.reshape(N, -1, C)
        first = flat.argmax(axis=1)
        return (np.arange(flat.shape[1])[None, :, None] == first[:, None, :]).reshape(part.shape)

    def backward(self, dy, cache, ctx, need_dx=True):
        x, y = cache
        dx = np.zeros_like(x)
        for i, j, rows, columns in self.places(x.shape):
            self.give(dx[:, rows, columns], self.chosen(x[:, rows, columns], y[:, i, j]) * dy[:, i, j, None, None])
        return dx

    def give(self, place, gradient):
        place += gradient


class AvgPool2d(Windowed):
    def area(self, i, j, x_shape):
        """The window's size, clipped at the padding's end (Caffe's rule)."""
        ends = [
            min(s + self.kernel, n + self.padding) - s for s, n in zip(self.corner(i, j), x_shape[1:3], strict=True)
        ]
        return ends[0] * ends[1]

    def corner(self, i, j):
        return i * self.stride - self.padding, j * self.stride - self.padding

    def forward(self, x, ctx):
        y = self.empty_output(x)
        for i, j, rows, columns in self.places(x.shape):
            y[:, i, j] = x[:, rows, columns].sum(axis=(1, 2)) / self.area(i, j, x.shape)
        return y, x.shape

    def backward(self, dy, cache, ctx, need_dx=True):
        dx = np.zeros(cache, dy.dtype)
        for i, j, rows, columns in self.places(cache):
            dx[:, rows, columns] += self.share(dy[:, i, j, None, None], i, j, cache)
        return dx

    def share(self, dy, i, j, x_shape):
        return dy / self.area(i, j, x_shape)


class Conv2d(Windowed):
    def __init__(self, inputs=2, outputs=4, kernel=3, stride=2, padding=1, groups=1):
        super().__init__(kernel, stride, padding, ceil=False)
        self.inputs, self.outputs, self.groups = inputs, outputs, groups
        self.weight = Parameter((kernel, kernel, inputs // groups, outputs), normal(0.5), name="weight")
        self.bias = Parameter((outputs,), normal(0.5), name="bias")

    def parameters(self):
        return [self.weight, self.bias]

    def padded(self, x):
        p, more = self.padding, self.padding + self.stride
        return np.pad(x, ((0, 0), (p, more), (p, more), (0, 0)))

    def patch(self, padded, i, j):
        """The window of output pixel (i, j)."""
        top, left = i * self.stride, j * self.stride
        return padded[:, top : top + self.kernel, left : left + self.kernel]

    def channels(self, g):
        """The inputs and the outputs of group g."""
        a, b = self.inputs // self.groups, self.outputs // self.groups
        return slice(g * a, (g + 1) * a), slice(g * b, (g + 1) * b)

    def forward(self, x, ctx):
        padded = self.padded(x)
        y = np.zeros((len(x), len(self.starts(x.shape[1])), len(self.starts(x.shape[2])), self.outputs), x.dtype)
        for i, j in np.ndindex(y.shape[1:3]):
            for g in range(self.groups):
                c, d = self.channels(g)
                y[:, i, j, d] = np.einsum("nabc,abcd->nd", self.patch(padded, i, j)[..., c], self.weight.value[..., d])
        return y + self.bias.value, x

    def backward(self, dy, cache, ctx, need_dx=True):
        x = cache
        padded, dpadded = self.padded(x), np.zeros_like(self.padded(x))
        dW = np.zeros_like(self.weight.value)
        for i, j in np.ndindex(dy.shape[1:3]):
            for g in range(self.groups):
                c, d = self.channels(g)
                dyg = dy[:, i, j, d]
                dW[..., d] += self.dweight(self.patch(padded, i, j)[..., c], dyg)
                self.patch(dpadded, i, j)[..., c] += self.dpatch(dyg, self.weight.value[..., d])
        ctx.gradient(self.weight)[...] += dW
        ctx.gradient(self.bias)[...] += dy.sum(axis=(0, 1, 2))
        return self.crop(dpadded, x.shape)

    def dweight(self, patch, dy):
        return np.einsum("nabc,nd->abcd", patch, dy)

    def dpatch(self, dy, W):
        return np.einsum("nd,abcd->nabc", dy, W)

    def crop(self, dpadded, shape):
        p = self.padding
        return dpadded[:, p : p + shape[1], p : p + shape[2]]


class GlobalAvgPool(PlainLayer):
    def forward(self, x, ctx):
        return x.mean(axis=(1, 2)), x.shape

    def backward(self, dy, cache, ctx, need_dx=True):
        return np.broadcast_to(dy[:, None, None] / self.pixels(cache), cache).copy()

    def pixels(self, shape):
        return shape[1] * shape[2]


class Flatten(PlainLayer):
    def forward(self, x, ctx):
        return x.reshape(len(x), -1), x.shape

    def backward(self, dy, cache, ctx, need_dx=True):
        return dy.reshape(cache)


class Loss:
    """CLDL by its definition, in steps that a broken version can replace; numpy only, all samples at once."""

    def __call__(self, logits, labels, weights=None, exponent=None, through=True):
        z = np.stack(list(logits))  # (M, N, K)
        self.M, self.N, self.K = z.shape
        lam = np.ones(self.M) if weights is None else np.asarray(weights, float)
        g = self.default_exponent() if exponent is None else exponent
        d = self.margin(z, labels)  # (M, N)
        C, log_q = self.cross_entropy(d), self.log_wrong(d)
        T = np.stack([self.companion(log_q, m, g) for m in range(self.M)])
        value = self.mean((lam[:, None] * C * T).sum(axis=0))
        gradients = []
        for k in range(self.M):
            slope = self.own_term(lam, k, T, d) + (self.companion_term(lam, k, C, T, d, g) if through else 0)
            gradients.append(self.scale(slope)[:, None] * self.direction(z[k], labels, d[k]))
        return value, C * T, gradients, T

    def default_exponent(self):
        return 1 / (self.M - 1) if self.M > 1 else 1.0

    def margin(self, z, labels):
        wrong = np.arange(self.K) != labels[:, None]  # (N, K)
        return z[:, np.arange(self.N), labels] - self.log_sum_exp(np.where(wrong, z, -np.inf))

    def log_sum_exp(self, z):
        top = z.max(axis=-1, keepdims=True)
        return np.log(np.exp(z - top).sum(axis=-1)) + top[..., 0]

    def p(self, d):
        return np.exp(-np.logaddexp(0, -d))

    def cross_entropy(self, d):
        return np.logaddexp(0, -d)

    def log_wrong(self, d):
        return -np.logaddexp(0, d)

    def companions(self, m):
        return [t for t in range(self.M) if t != m]

    def companion(self, log_q, m, g):
        return np.exp(g * log_q[self.companions(m)].sum(axis=0))

    def own_term(self, lam, k, T, d):
        return lam[k] * T[k] * self.p(-d[k])

    def companion_term(self, lam, k, C, T, d, g):
        others = self.companions(k)
        return g * self.p(d[k]) * (lam[others, None] * C[others] * T[others]).sum(axis=0)

    def direction(self, z, labels, d):
        wrong = np.where(np.arange(self.K) != labels[:, None], z, -np.inf)
        r = np.exp(wrong - self.log_sum_exp(wrong)[:, None])  # the softmax over the wrong classes
        r[np.arange(self.N), labels] = -1
        return r

    def mean(self, losses):
        return losses.mean()

    def scale(self, slope):
        return slope / self.N


class HingeLoss:
    """The squared hinge loss, one class against all others; a class, a classifier and a sample at a time."""

    def __call__(self, logits, labels, weights=None):
        z = np.stack(list(logits)).astype(float)  # (M, N, K)
        M, self.N = z.shape[:2]
        lam = np.ones(M) if weights is None else weights
        losses, gradients = np.zeros((M, self.N)), np.zeros(z.shape)
        for m, n, k in np.ndindex(z.shape):
            y = self.answer(k, labels[n])
            h = self.hinge(1 - y * z[m, n, k])
            losses[m, n] += self.power(h)
            gradients[m, n, k] = self.scale(lam[m] * self.slope(y, h))
        return self.mean(np.asarray(lam) @ losses), losses, list(gradients)

    def answer(self, k, label):
        return 1.0 if k == label else -1.0

    def hinge(self, gap):
        return max(0.0, gap)

    def power(self, h):
        return h * h

    def slope(self, y, h):
        return -2 * y * h

    def scale(self, slope):
        return slope / self.N

    def mean(self, losses):
        return losses.mean()
