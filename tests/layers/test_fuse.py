"""A convolution, the 1x1 convolutions behind it and their ReLUs run as one, with the bits of the layers one by one."""

import numpy as np
import pytest

from engine.codegen.simd import LANES
from engine.context import Context
from engine.errors import UserError
from engine.initialisers import normal
from engine.parameters import cast, initialise
from engine.random import Key
from layers import Conv2d, GlobalAvgPool, Linear, MaxPool2d, Mlpconv, Network, Node, ReLU
from layers.fuse import fuse

D = 2 * LANES
ONE, THREE = Conv2d(2, 2, 1), Conv2d(2, 2, 3)


def convolution(inputs, outputs, kernel=1, **options):
    return Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=normal(0.5), **options)


def chain(layers):
    return [Node(str(i), layer, (str(i - 1) if i else "x",)) for i, layer in enumerate(layers)]


def passed(step, x, dy, need_dx):
    """y, dx, the gradients, and the outputs of the ReLUs of one pass through layers that run as one, or one by one."""
    ctx = Context()
    y, cache = step.forward(x, ctx)
    dx = step.backward(dy, cache, ctx, need_dx)
    kept = step.caches(cache)
    outputs = [own for layer, own in zip(step.layers, kept, strict=True) if isinstance(layer, ReLU)]
    return [y, *([] if dx is None else [dx]), *(ctx.gradients()[p] for p in step.parameters())], outputs


class OneByOne(Mlpconv):
    """The same layers, each by itself."""

    def forward(self, x, ctx):
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(x, ctx)
            caches.append(cache)
        return x, caches

    def backward(self, dy, cache, ctx, need_dx=True):
        for depth in reversed(range(len(self.layers))):
            dy = self.layers[depth].backward(dy, cache[depth], ctx, need_dx or depth > 0)
        return dy

    def caches(self, cache):
        return cache


@pytest.mark.parametrize("need_dx", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 1, 1), (4, 8, 8), (2, 9, 11)], ids=str)
@pytest.mark.parametrize(("kernel", "algorithm"), [(1, "auto"), (3, "patches"), (3, "fft")])
@pytest.mark.parametrize(
    "layers",
    [
        lambda first: [first(2, 5), ReLU()],
        lambda first: [first(2, D), ReLU()],
        lambda first: [first(LANES, D), convolution(D, LANES)],
        lambda first: [first(LANES, D), ReLU(), convolution(D, LANES), ReLU()],
        lambda first: [first(LANES, D), ReLU(), convolution(D, D), convolution(D, LANES), ReLU()],
    ],
    ids=["a ReLU", "vectors and a ReLU", "two", "two and ReLUs", "three, two ReLUs"],
)
def test_layers_that_run_as_one_have_the_bits_of_the_layers(layers, kernel, algorithm, shape, dtype, need_dx):
    run = layers(lambda inputs, outputs: convolution(inputs, outputs, kernel, algorithm=algorithm))
    step, apart = Mlpconv(*run), OneByOne(*run)
    initialise(step.parameters(), Key(3))
    cast(step.parameters(), dtype)
    x = Key(5).normal((*shape, run[0].inputs)).astype(dtype)
    dy = Key(6).normal((len(x), *step.output_shape(x.shape[1:]))).astype(dtype)
    (results, outputs), (expected, expected_outputs) = passed(step, x, dy, need_dx), passed(apart, x, dy, need_dx)
    for actual, wanted in zip(results + outputs, expected + expected_outputs, strict=True):
        assert np.array_equal(actual.reshape(wanted.shape), wanted)


@pytest.mark.parametrize(
    ("layers", "lengths"),
    [
        ([ReLU(), Conv2d(2, D, 3), ReLU(), ReLU()], [1, 2, 1]),
        ([Conv2d(2, D, 3), ReLU(), Conv2d(D, D, 1), ReLU(), Conv2d(D, D, 1), MaxPool2d(2)], [5, 1]),
        ([Conv2d(2, D, 3), Conv2d(D, D, 3)], [1, 1]),  # not 1x1
        ([Conv2d(2, D, 3), Conv2d(D, D, 1, stride=2)], [1, 1]),
        ([Conv2d(2, D, 3), Conv2d(D, D, 1, groups=2)], [1, 1]),
        ([Conv2d(2, D, 3, groups=2), ReLU(), Conv2d(D, D, 1)], [2, 1]),
        ([Conv2d(2, D, 3), Conv2d(D, D, 1, algorithm="fft")], [1, 1]),
        ([Conv2d(2, D, 3), Conv2d(D, 5, 1), ReLU()], [1, 2]),  # 5 do not fill a vector
        ([Conv2d(2, 5, 3), Conv2d(5, D, 1)], [1, 1]),
        ([type("Own", (Conv2d,), {})(2, D, 3), ReLU()], [1, 1]),  # a class of its own may do as it likes
        ([Conv2d(2, D, 3), type("Own", (ReLU,), {})()], [1, 1]),
    ],
    ids=str,
)
def test_what_runs_as_one_is_a_convolution_with_1x1_convolutions_in_whole_vectors_and_relus(layers, lengths):
    steps = fuse(chain(layers), [str(len(layers) - 1)])
    assert [len(step.nodes) for step in steps] == lengths
    assert [node.layer for step in steps for node in step.nodes] == layers


@pytest.mark.parametrize("exits", [["2", "4"], ["4", "other"]], ids=["an exit", "two readers"])
def test_an_output_that_others_read_ends_a_run(exits):
    nodes = chain([Conv2d(2, D, 3), ReLU(), Conv2d(D, D, 1), ReLU(), Conv2d(D, D, 1)])
    nodes.append(Node("other", ReLU(), ("2",)))
    assert [[node.name for node in step.nodes] for step in fuse(nodes, exits)] == [
        ["0", "1", "2"],
        ["3"],
        ["4"],
        ["other"],
    ]


def test_a_network_runs_its_convolutions_as_one(monkeypatch):
    nodes = chain([Conv2d(2, D, 3), ReLU(), Conv2d(D, D, 1), ReLU(), ReLU(), GlobalAvgPool()])
    net, ctx = Network(nodes, ("5",), (5, 5, 2)), Context()
    x = Key(1).normal((2, 5, 5, 2)).astype(np.float32)

    def unwanted(*arguments, **options):
        raise AssertionError("the layer ran by itself")

    last = nodes[4].layer
    for kind in (Conv2d, ReLU):
        own = kind.forward
        monkeypatch.setattr(kind, "forward", lambda self, *a, own=own: own(self, *a) if self is last else unwanted())
    logits, cache = net.forward(x, ctx)
    assert [node.name for node, _ in net.node_caches(cache)] == ["0", "1", "2", "3", "4", "5"]
    assert net.backward([np.ones_like(logits[0])], cache, ctx).shape == x.shape


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ([], "nothing"),
        ([ReLU()], "ReLU()"),
        ([Linear(2, 2)], "Linear(2, 2)"),
        ([Conv2d(2, 2, 1), ReLU(), ReLU()], f"{ONE}, ReLU(), ReLU()"),
        ([Conv2d(2, 2, 1), MaxPool2d(2)], f"{ONE}, {MaxPool2d(2)}"),
        ([Conv2d(2, 2, 3), Conv2d(2, 2, 3)], f"{THREE}, {THREE}"),
        ([Conv2d(2, 2, 3, groups=2), Conv2d(2, 2, 1)], f"{Conv2d(2, 2, 3, groups=2)}, {ONE}"),
        ([Conv2d(2, 2, 3), Conv2d(2, 2, 1, groups=2)], f"{THREE}, {Conv2d(2, 2, 1, groups=2)}"),
    ],
    ids=str,
)
def test_other_layers_are_no_mlpconv(layers, named):
    with pytest.raises(UserError) as refused:
        Mlpconv(*layers)
    assert str(refused.value) == (
        f"{named} is no Mlpconv: give it a convolution, then 1x1 convolutions, all without groups, each with a ReLU behind it "
        "or without; other layers stand one after another in a Sequential."
    )
