"""A convolution and the ReLU behind it go over memory together; nobody must be able to tell."""

import numpy as np
import pytest

from engine.context import Context
from engine.key import Key
from engine.parameters import initialise
from layers import Conv2d, ReLU, Sequential
from layers.chain import Chain


@pytest.mark.parametrize("shape", [(3, 5, 4, 2), (1, 1, 1, 2), (4, 8, 8, 2), (2, 3, 3, 2)])
@pytest.mark.parametrize(("kernel", "algorithm"), [(1, "auto"), (3, "patches"), (3, "fourier")])
@pytest.mark.parametrize("outputs", [5, 16])  # 16 fill a vector, 5 do not
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fused_pair_has_the_bits_of_the_two_layers(shape, kernel, algorithm, outputs, dtype):
    conv, relu = Conv2d(2, outputs, kernel, padding=kernel // 2, algorithm=algorithm), ReLU()
    initialise(conv.parameters(), Key(3))
    conv.bias.value[:] = Key(4).normal((outputs,))
    for parameter in conv.parameters():
        parameter.value = parameter.value.astype(dtype)
    x, dy = (Key(i).normal(s).astype(dtype) for i, s in ((5, shape), (6, (*shape[:3], outputs))))

    together, apart = Context(), Context()
    pair = Chain((conv, relu))
    y, cache = pair.forward(x, together)
    dx = pair.backward(dy, cache, together, need_dx=True)

    h, below = conv.forward(x, apart)
    expected, above = relu.forward(h, apart)
    expected_dx = conv.backward(relu.backward(dy, above, apart), below, apart)

    assert np.array_equal(y, expected)
    assert np.array_equal(cache[1], above)
    assert np.array_equal(dx, expected_dx)
    for parameter, gradient in apart.gradients().items():
        assert np.array_equal(together.gradients()[parameter], gradient)


def test_a_relu_without_a_convolution_before_it_is_left_alone():
    net = Sequential(ReLU(), Conv2d(2, 3, 1), ReLU(), ReLU())
    x = Key(1).normal((2, 3, 3, 2))
    for parameter in net.parameters():
        parameter.value = parameter.value.astype(np.float64)
    ctx = Context()
    y, cache = net.forward(x, ctx)
    assert [type(layer) for layer, _ in net.caches(cache)] == [ReLU, Conv2d, ReLU, ReLU]
    assert (y >= 0).all()
    assert net.backward(np.ones_like(y), cache, ctx).shape == x.shape
