"""What layers do at a kink itself, where no difference can judge: the documented convention."""

import numpy as np

from engine.context import Context


def flat_at_zero(relu):
    """The derivative of max(x, 0) at 0 is taken as 0."""
    ctx = Context()
    x = np.array([[-1.0, 0.0, -0.0, 2.0]])
    y, cache = relu.forward(x, ctx)
    assert y.tolist() == [[0.0, 0.0, 0.0, 2.0]]
    assert relu.backward(np.ones_like(x), cache, ctx).tolist() == [[0.0, 0.0, 0.0, 1.0]]


def ties_go_to_the_first(pool):
    """Of equal values in a window of 2 x 2 or more the first in reading order takes the whole gradient."""
    ctx = Context()
    k = pool.kernel
    x = np.zeros((1, k, k, 1))
    pool.padding, pool.stride, pool.ceil = 0, k, False
    _, cache = pool.forward(x, ctx)
    dx = pool.backward(np.full((1, 1, 1, 1), 3.0), cache, ctx)
    assert dx.ravel().tolist() == [3.0] + [0.0] * (k * k - 1)


def equal_pieces_go_to_the_first(maxout):
    """Of equal pieces the first takes the whole gradient."""
    ctx = Context()
    _, cache = maxout.forward(np.zeros((1, maxout.pieces)), ctx)
    dx = maxout.backward(np.array([[3.0]]), cache, ctx)
    assert dx.ravel().tolist() == [3.0] + [0.0] * (maxout.pieces - 1)


def no_direction_at_zero(normalize):
    """A vector of length 0 has no direction: it stays 0, and so does its gradient; the vectors beside it do not notice."""
    ctx = Context()
    y, cache = normalize.forward(np.array([[0.0, -0.0], [3.0, 4.0]]), ctx)
    assert y.tolist() == [[0.0, 0.0], [0.6, 0.8]]
    dx = normalize.backward(np.ones((2, 2)), cache, ctx)
    assert dx[0].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(dx[1], [0.032, -0.024], atol=1e-15)


CONVENTIONS = {
    convention.__name__: convention
    for convention in (flat_at_zero, ties_go_to_the_first, equal_pieces_go_to_the_first, no_direction_at_zero)
}
