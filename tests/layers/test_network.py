"""A network of named nodes: one rule for fan-out, names that are its own, memory for what is still read."""

import copy
import gc
import weakref

import numpy as np
import pytest

from cldl.verification.cases import Logits
from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import check_layer, grid
from engine.initialisers import normal
from engine.memory import Memory
from engine.parameters import cast, initialise
from engine.random import Key
from layers import (
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    Network,
    Node,
    ReLU,
    Sequential,
    chain,
)

BIAS = normal(0.5)


class Add(Layer):
    """y = x1 + x2."""

    n_inputs = 2

    def forward(self, x, ctx):
        a, b = x
        return a + b, None

    def backward(self, dy, cache, ctx, need_dx=True):
        return (dy, dy) if need_dx else None

    def output_shape(self, shape):
        return shape[0]

    def multiply_adds(self, shape):
        (a, _) = shape
        return 1000 * len(a)


class Probe(Layer):
    """y = x + 0; weak references to what it was given and gave, and whether its dx was needed."""

    def __init__(self):
        self.x = self.y = self.needed = None

    def forward(self, x, ctx):
        y = x + 0
        self.x, self.y = weakref.ref(x), weakref.ref(y)
        return y, x

    def backward(self, dy, cache, ctx, need_dx=True):
        self.needed = need_dx
        return dy + 0


class Watched(Linear):
    """A linear layer that remembers whether its dx was needed."""

    def backward(self, dy, cache, ctx, need_dx=True):
        self.needed = need_dx
        return super().backward(dy, cache, ctx, need_dx)


def drawn(network):
    network.initialise(Key(0))
    return network


def residual():
    """conv1 is read by conv2, by the sum, by an exit, and that exit by the top."""
    nodes = [
        Node("conv1", Conv2d(2, 3, 3, padding=1, bias=BIAS), ("x",)),
        *chain("conv1", [("low.mean", GlobalAvgPool()), ("low", Linear(3, 3, bias=BIAS))]),
        Node("conv2", Conv2d(3, 3, 1, bias=BIAS), ("conv1",)),
        Node("relu2", ReLU(), ("conv2",)),
        Node("sum", Add(), ("conv1", "relu2")),
        Node("mean", GlobalAvgPool(), ("sum",)),
        Node("both", Add(), ("mean", "low")),
        Node("top", Linear(3, 3, bias=BIAS), ("both",)),
    ]
    return drawn(Network(nodes, ["low", "top"], (4, 3, 2)))


def test_what_several_nodes_read_gets_the_sum_of_their_gradients():
    check_layer(Logits(residual()), (4, 3, 2), samples=2).raise_if_failed()


def test_a_node_may_read_one_output_twice():
    nodes = [*chain("x", [("a", Linear(3, 3, bias=BIAS))]), Node("twice", Add(), ("a", "a"))]
    check_layer(Logits(drawn(Network(nodes, ["twice"], (3,)))), (3,)).raise_if_failed()


def test_an_exit_may_be_read_by_other_nodes_and_by_the_next_exit():
    nodes = chain("x", [("low", Linear(3, 3, bias=BIAS)), ("top", Linear(3, 3, bias=BIAS))])
    check_layer(Logits(drawn(Network(nodes, ["low", "top"], (3,)))), (3,)).raise_if_failed()


@pytest.mark.parametrize("algorithm", ["patches", "fft", "winograd"])
def test_a_layer_at_two_nodes_gets_both_gradients_and_is_drawn_and_named_once(algorithm):
    conv, linear = Conv2d(4, 4, 3, padding=1, bias=BIAS, algorithm=algorithm), Linear(4, 2, bias=BIAS)
    nodes = chain("x", [("a", conv), ("relu", ReLU()), ("b", conv)])
    nodes += chain("a", [("low.mean", GlobalAvgPool()), ("low", linear)])
    nodes += chain("b", [("top.mean", GlobalAvgPool()), ("top", linear)])
    network = drawn(Network(nodes, ["low", "top"], (4, 3, 4)))
    assert [p.name for p in network.parameters()] == ["a.weight", "a.bias", "low.weight", "low.bias"]
    check_layer(Logits(network), (4, 3, 4), samples=2).raise_if_failed()


def test_a_layer_twice_in_a_fused_run_gets_both_gradients():
    one = Conv2d(16, 16, 1, bias=BIAS)
    trunk = chain("x", [("conv", Conv2d(2, 16, 2, bias=BIAS)), ("a", one), ("relu", ReLU()), ("b", one)])
    network = drawn(Network([*trunk, Node("mean", GlobalAvgPool(), ("b",))], ["mean"], (3, 3, 2)))
    assert [len(step.nodes) for step in network.steps] == [4, 1]
    check_layer(Logits(network), (3, 3, 2), samples=2).raise_if_failed()


def test_a_head_that_only_rearranges_passes_every_check():
    """Its gradient is a view of the logits' gradient, which must not be added into."""
    nodes = chain("x", [("conv1", Conv2d(2, 3, 2, stride=2, bias=BIAS)), ("relu1", ReLU())])
    nodes += [Node("low", Flatten(), ("relu1",)), Node("conv2", Conv2d(3, 12, 2, stride=2, bias=BIAS), ("relu1",))]
    network = drawn(Network([*nodes, Node("top", Flatten(), ("conv2",))], ["low", "top"], (4, 4, 2)))
    check_layer(Logits(network), (4, 4, 2), samples=2).raise_if_failed()


def test_names_of_parameters_are_those_of_their_nodes():
    inner = Sequential(Conv2d(2, 3, 1), Sequential(Conv2d(3, 3, 1), Conv2d(3, 2, 1)))
    network = Network(chain("x", [("body", inner), ("top", GlobalAvgPool())]), ["top"], (2, 2, 2))
    names = ["body.0.weight", "body.0.bias", "body.1.0.weight", "body.1.0.bias", "body.1.1.weight", "body.1.1.bias"]
    assert [p.name for p in network.parameters()] == names
    again = Network(chain("x", [("net", inner), ("top", GlobalAvgPool())]), ["top"], (2, 2, 2))
    assert [p.name for p in again.parameters()] == [name.replace("body", "net") for name in names]


def test_parameter_i_is_drawn_from_the_ith_key():
    network = residual()
    network.initialise(Key(4))
    for i, p in enumerate(network.parameters()):
        assert np.array_equal(p.value, p.initialiser(Key(4).fold(i), p.shape).astype(np.float32))


def test_shapes_and_work_are_those_of_the_nodes_at_their_inputs():
    network = residual()
    assert network.node_shapes() == {
        "conv1": (4, 3, 3), "low.mean": (3,), "low": (3,), "conv2": (4, 3, 3), "relu2": (4, 3, 3),
        "sum": (4, 3, 3), "mean": (3,), "both": (3,), "top": (3,),
    }  # fmt: skip
    assert network.rows()[0] == (network.nodes[0], (4, 3, 2), (4, 3, 3))
    assert network.rows()[5] == (network.nodes[5], ((4, 3, 3), (4, 3, 3)), (4, 3, 3))
    assert network.multiply_adds() == 12 * 9 * 2 * 3 + 9 + 12 * 9 + 3000 + 1000 + 9
    assert (network.classes, network.exits, network.input_shape) == (3, ("low", "top"), (4, 3, 2))
    assert repr(network).startswith("Network(conv1: Conv2d(2 to 3, 3x3, stride 1, padding 1) of x, low.mean: ")
    assert repr(network).endswith("top: Linear(3, 3) of both; exits low, top)")
    assert "sum: Add() of conv1, relu2" in repr(network)


def test_the_trace_is_the_forward_pass_node_by_node():
    wide = Conv2d(2, 16, 3, bias=BIAS), ReLU(), Conv2d(16, 16, 1, bias=BIAS)
    nodes = chain("x", [("drop", Dropout(0.5)), ("conv", wide[0]), ("relu", wide[1]), ("cccp", wide[2])])
    nodes += [Node("twice", Add(), ("cccp", "cccp")), Node("low", GlobalAvgPool(), ("cccp",))]
    network = drawn(Network([*nodes, Node("top", GlobalAvgPool(), ("twice",))], ["low", "top"], (5, 5, 2)))
    x = Key(1).normal((3, 5, 5, 2)).astype(np.float32)
    logits, _ = network.forward(x, Context(training=True, key=Key(2)))
    rows = list(network.trace(x, Context(training=True, key=Key(2))))
    assert [node for node, _, _ in rows] == list(network.nodes)
    h = {"x": x} | {node.name: y for node, _, y in rows}
    assert all(np.array_equal(h[name], z) for name, z in zip(network.exits, logits, strict=True))
    for node, inputs, _ in rows:
        given = inputs if len(node.inputs) > 1 else (inputs,)
        assert all(value is h[name] for name, value in zip(node.inputs, given, strict=True))


def test_the_nearest_kink_is_that_of_any_node():
    nodes = chain("x", [("relu1", ReLU()), ("linear", Linear(2, 2))])
    network = Network([*nodes, Node("relu2", ReLU(), ("linear",))], ["relu2"], (2,))
    network.parameters()[0].value[...] = np.eye(2) / 100
    cast(network.parameters(), np.float64)
    assert network.kink_distance(np.array([[3.0, -0.5], [2.0, -4.0]]), Context()) == 0
    assert network.kink_distance(np.array([[3.0, 0.5], [2.0, 4.0]]), Context()) == pytest.approx(0.005)


def test_the_nearest_kink_may_lie_within_a_node_of_several_layers():
    network = Network([Node("body", Sequential(Flatten(), Linear(2, 2), ReLU()))], ["body"], (2,))
    network.parameters()[0].value[...] = np.eye(2)
    assert network.kink_distance(np.array([[3.0, -0.5]], np.float32), Context()) == 0.5


def test_the_same_pass_gives_the_same_bits_and_other_keys_other_draws():
    network = drawn(Network(chain("x", [("drop", Dropout(0.5)), ("top", Linear(9, 3))]), ["top"], (9,)))
    x = grid((4, 9), Key(4), 1.0).astype(np.float32)
    a, b, c = (network.forward(x, Context(training=True, key=Key(k)))[0][0] for k in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("need_dx", [True, False])
def test_gradients_are_computed_down_to_the_lowest_parameter_and_further_only_for_dx(need_dx):
    probes = [Probe() for _ in range(4)]
    linear = Watched(3, 3)
    nodes = chain("x", [("a", probes[0]), ("b", probes[1]), ("linear", linear), ("c", probes[2]), ("d", probes[3])])
    network, ctx = drawn(Network(nodes, ["d"], (3,))), Context()
    logits, cache = network.forward(np.ones((2, 3), np.float32), ctx)
    dx = network.backward([np.ones_like(logits[0])], cache, ctx, need_dx=need_dx)
    assert (dx is not None) == need_dx
    assert [p.needed for p in probes] == ([True] * 4 if need_dx else [None, None, True, True])
    assert linear.needed == need_dx
    assert [network.learns(node.name) for node in network.nodes] == [False, False, True, True, True]
    assert not network.learns("x")


def test_an_input_whose_gradient_is_not_needed_may_be_left_out():
    nodes = [Node("a", Linear(3, 3), ("x",)), Node("sum", Add(), ("a", "x")), Node("plain", Add(), ("x", "x"))]
    network, ctx = drawn(Network(nodes, ["sum", "plain"], (3,))), Context()
    x = np.ones((2, 3), np.float32)
    logits, cache = network.forward(x, ctx)
    assert network.backward([np.ones_like(z) for z in logits], cache, ctx, need_dx=False) is None
    assert np.array_equal(ctx.gradient(network.parameters()[1]), [2, 2, 2])


def alive(probes):
    gc.collect()
    return [p.y() is not None for p in probes]


def test_an_output_is_held_while_a_later_node_reads_it_and_not_longer():
    """In inference; the sum reads a, so a lives until then, b only until c."""
    a, b, c = probes = [Probe() for _ in range(3)]
    seen = {}

    class Sum(Add):
        def forward(self, x, ctx):
            seen["in the sum"] = alive(probes)
            return super().forward(x, ctx)

    class Last(Probe):
        def forward(self, x, ctx):
            seen["after it"] = alive(probes)
            return super().forward(x, ctx)

    nodes = [
        *chain("x", [("a", a), ("b", b), ("c", c)]),
        Node("sum", Sum(), ("a", "c")),
        Node("last", Last(), ("sum",)),
    ]
    ctx = Context()
    ctx.needs_backward = False
    _, cache = Network(nodes, ["last"], (3,)).forward(np.ones((2, 3)), ctx)
    assert seen == {"in the sum": [True, False, True], "after it": [False, False, False]}
    assert cache == [None] * 5


def test_a_backward_pass_uses_up_its_cache_as_it_goes():
    """A layer's cache is freed once its backward has run, and so is a gradient once its node's has."""
    below, above = Probe(), Probe()
    grads = []

    class Lowest(Probe):
        def backward(self, dy, cache, ctx, need_dx=True):
            gc.collect()
            grads.append(above.x() is None)
            return super().backward(dy, cache, ctx, need_dx)

    network = Network(chain("x", [("lowest", Lowest()), ("below", below), ("above", above)]), ["above"], (3,))
    ctx = Context()
    logits, cache = network.forward(np.ones((2, 3)), ctx)
    assert above.x() is not None
    network.backward([np.ones_like(logits[0])], cache, ctx)
    assert grads == [True]
    assert cache == []
    with pytest.raises(UserError) as refused:
        network.backward([np.ones_like(logits[0])], cache, ctx)
    assert str(refused.value) == "a backward pass has used this cache up: give the one of a new forward pass."


def test_the_sum_of_two_gradients_lies_in_the_memory_of_the_pass():
    memory = Memory()
    network = Network([Node("low", ReLU()), Node("top", ReLU())], ["low", "top"], (3,))
    ctx = Context(memory=memory)
    logits, cache = network.forward(np.ones((2, 3), np.float32), ctx)
    before = memory.nbytes_in_use
    dx = network.backward([np.ones_like(z) for z in logits], cache, ctx)
    assert (dx == 2).all()
    assert memory.nbytes_in_use - before == dx.nbytes


@pytest.mark.parametrize("count", [1, 3])
def test_the_backward_pass_takes_one_gradient_for_each_exit(count):
    network, ctx = residual(), Context()
    logits, cache = network.forward(np.ones((2, 4, 3, 2), np.float32), ctx)
    with pytest.raises(
        UserError, match=f"the network was given {count} gradients; 2 are needed, one for each of the exits"
    ):
        network.backward([np.ones_like(logits[0])] * count, cache, ctx)


@pytest.mark.parametrize("count", [1, 3])
def test_a_layer_gives_one_gradient_for_each_of_its_inputs(count):
    class Other(Add):
        def backward(self, dy, cache, ctx, need_dx=True):
            return (dy,) * count

    network, ctx = Network([Node("sum", Other(), ("x", "x"))], ["sum"], (3,)), Context()
    logits, cache = network.forward(np.ones((2, 3)), ctx)
    with pytest.raises(ValueError, match=r"argument 3 is (shorter|longer)"):
        network.backward([np.ones_like(logits[0])], cache, ctx)


def test_a_copy_computes_with_parameters_of_its_own():
    network = residual()
    other = copy.deepcopy(network)
    assert {p.name for p in other.parameters()} == {p.name for p in network.parameters()}
    assert not set(other.parameters()) & set(network.parameters())
    initialise(other.parameters(), Key(9))
    x = Key(1).normal((2, 4, 3, 2)).astype(np.float32)
    a, b = (net.forward(x, Context())[0][1] for net in (network, other))
    assert not np.array_equal(a, b)


def test_a_notebook_shows_a_network_as_a_table_with_its_exits_in_bold():
    trunk = chain("x", [("flatten", Flatten()), ("<hidden>", Linear(4, 3))])
    network = Network([*trunk, Node("top", Linear(3, 2), ("<hidden>",))], ["top"], (2, 2, 1))
    shown = network._repr_html_()
    assert shown.count("<tr>") == 4
    assert "<td>&lt;hidden&gt;</td><td>Linear</td><td>flatten</td><td>3</td><td>15</td><td>12</td>" in shown
    assert "<td><b>top</b></td>" in shown
