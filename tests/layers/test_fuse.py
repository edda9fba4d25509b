"""A convolution, the 1x1 convolutions behind it and their ReLUs run as one step, with the same bits."""

import numpy as np
import pytest

from engine.codegen.simd import LANES
from engine.context import Context
from engine.initialisers import normal
from engine.parameters import cast, initialise
from engine.random import Key
from layers import Conv2d, GlobalAvgPool, MaxPool2d, Network, Node, ReLU, Sequential, chain
from layers.fuse import FusedConv, fuse

D = 2 * LANES


def convolution(inputs, outputs, kernel=1, **options):
    return Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=normal(0.5), **options)


def results(step, x, dy, need_dx):
    """y, dx and the gradients of one pass."""
    ctx = Context()
    y, cache = step.forward(x, ctx)
    dx = step.backward(dy, cache, ctx, need_dx)
    return [y, *([] if dx is None else [dx]), *(ctx.gradients()[p] for p in step.parameters())]


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
    fused, apart = FusedConv(*run), Sequential(*run)
    initialise(fused.parameters(), Key(3))
    cast(fused.parameters(), dtype)
    x = Key(5).normal((*shape, run[0].inputs)).astype(dtype)
    dy = Key(6).normal((len(x), *fused.output_shape(x.shape[1:]))).astype(dtype)
    for actual, expected in zip(results(fused, x, dy, need_dx), results(apart, x, dy, need_dx), strict=True):
        assert np.array_equal(actual, expected)


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
        ([Conv2d(2, 5, 3), Conv2d(5, 7, 1), ReLU()], [3]),
        ([type("Own", (Conv2d,), {})(2, D, 3), ReLU()], [1, 1]),  # a subclass may compute something else
        ([Conv2d(2, D, 3), type("Own", (ReLU,), {})()], [1, 1]),
        ([Sequential(Conv2d(2, D, 3)), ReLU()], [1, 1]),
        ([], []),
    ],
    ids=str,
)
def test_what_runs_as_one_is_a_convolution_with_1x1_convolutions_and_relus(layers, lengths):
    steps = fuse(chain("x", [(f"n{i}", layer) for i, layer in enumerate(layers)]), [f"n{len(layers) - 1}"])
    assert [len(step.nodes) for step in steps] == lengths
    assert [node.layer for step in steps for node in step.nodes] == layers
    for step in steps:
        if len(step.nodes) == 1:
            assert step.layer is step.nodes[0].layer
        else:
            assert isinstance(step.layer, FusedConv)
            assert step.layer.layers == tuple(node.layer for node in step.nodes)


RUN = chain("x", [("conv", Conv2d(2, D, 3)), ("relu", ReLU()), ("cccp", Conv2d(D, D, 1)), ("relu_cccp", ReLU())])


@pytest.mark.parametrize(
    ("tap", "runs"),
    [
        ("conv", [["conv"], ["relu"], ["cccp", "relu_cccp"]]),
        ("relu", [["conv", "relu"], ["cccp", "relu_cccp"]]),
        ("cccp", [["conv", "relu", "cccp"], ["relu_cccp"]]),
        ("relu_cccp", [["conv", "relu", "cccp", "relu_cccp"]]),
    ],
)
def test_an_output_that_another_node_reads_or_that_is_an_exit_ends_a_run(tap, runs):
    other = Node("other", GlobalAvgPool(), (tap,))
    tapped = [step for step in fuse([*RUN, other], ["relu_cccp", "other"]) if step.name != "other"]
    exits = fuse(RUN, ["relu_cccp", tap])
    for steps in (tapped, exits):
        assert [[node.name for node in step.nodes] for step in steps] == runs
        assert [step.name for step in steps] == [run[-1] for run in runs]
        assert [step.inputs for step in steps] == [("x",), *((run[-1],) for run in runs[:-1])]


def test_neighbours_in_the_graph_need_not_be_neighbours_in_the_list():
    between = Node("between", ReLU(), ("x",))
    steps = fuse([RUN[0], between, *RUN[1:]], ["between", "relu_cccp"])
    assert [step.name for step in steps] == ["relu_cccp", "between"]
    two = [
        *RUN,
        *(Node(f"{node.name}2", node.layer, tuple(n if n == "x" else f"{n}2" for n in node.inputs)) for node in RUN),
    ]
    interleaved = [two[i + 4 * j] for i in range(4) for j in range(2)]
    assert [len(step.nodes) for step in fuse(interleaved, ["relu_cccp", "relu_cccp2"])] == [4, 4]


def test_fusing_renames_nothing():
    network = Network([*RUN, Node("top", GlobalAvgPool(), ("relu_cccp",))], ["top"], (4, 4, 2))
    names = ["conv.weight", "conv.bias", "cccp.weight", "cccp.bias"]
    assert [p.name for p in network.parameters()] == names
    fuse(RUN, ["relu_cccp"])
    assert [p.name for p in network.parameters()] == names


def test_a_network_runs_its_convolutions_as_one(monkeypatch):
    behind = chain("relu_cccp", [("last", ReLU()), ("top", GlobalAvgPool())])
    network = Network([*RUN, *behind], ["top"], (5, 5, 2))
    x, ctx = Key(1).normal((2, 5, 5, 2)).astype(np.float32), Context()
    last = network.nodes[4].layer

    def unwanted(*arguments, **options):
        raise AssertionError("the layer ran by itself")

    for kind in (Conv2d, ReLU):
        own = kind.forward
        monkeypatch.setattr(kind, "forward", lambda self, *a, own=own: own(self, *a) if self is last else unwanted())
    (z,), cache = network.forward(x, ctx)
    assert network.backward([np.ones_like(z)], cache, ctx).shape == x.shape


def test_a_network_has_the_bits_of_its_nodes_one_by_one():
    network = Network([*RUN, Node("top", GlobalAvgPool(), ("relu_cccp",))], ["top"], (5, 5, 2))
    network.initialise(Key(1))
    x = Key(1).normal((3, 5, 5, 2)).astype(np.float32)
    *_, (_, _, y) = network.trace(x, Context())
    assert np.array_equal(network.forward(x, Context())[0][0], y)
