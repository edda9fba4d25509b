"""What is no network is refused in one sentence."""

import numpy as np
import pytest

from engine.errors import UserError
from layers import (
    Conv2d,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    Network,
    Node,
    ReLU,
)
from tests.layers.test_network import Add

LINEAR, HEAD = Node("a", Linear(3, 2), ("x",)), Linear(2, 2)


@pytest.mark.parametrize(
    ("nodes", "exits", "sentence"),
    [
        ([LINEAR, Node("a", HEAD, ("a",))], ["a"], "a node is called 'a', like another node: give it a name of its own."),
        ([Node("x", HEAD, ("x",))], ["x"], "a node is called 'x', like the network's input: give it a name of its own."),
        ([Node("b", HEAD, ("a",)), LINEAR], ["b"], "node 'b' reads 'a', which is no node before it: put that one first."),
        ([LINEAR, Node("b", HEAD, ("c",))], ["b"], "node 'b' reads 'c', which is no node before it: put that one first."),
        ([LINEAR, Node("b", Add(), ("a",))], ["b"], "node 'b' reads 1 inputs, a; Add() takes 2: name as many."),
        ([LINEAR, Node("b", HEAD, ("a", "x"))], ["b"], "node 'b' reads 2 inputs, a, x; Linear(2, 2) takes 1: name as many."),
        ([LINEAR], ["b"], "the exit 'b' is no node: choose from a."),
        ([LINEAR, Node("b", HEAD, ("a",))], ["c"], "the exit 'c' is no node: choose from a, b."),
        ([LINEAR], ["x"], "the exit 'x' is no node: choose from a."),
        ([LINEAR], ["a", "a"], "the exit 'a' stands twice: name each exit once."),
        ([LINEAR], [], "the network has no exit: name at least one node that gives logits."),
        ([LINEAR, Node("b", HEAD, ("a",))], ["a"], "node 'b' leads to no exit: leave it out, or make it an exit."),
        (
            [LINEAR, Node("b", Linear(2, 3), ("a",))],
            ["a", "b"],
            "the exits give logits of shapes a (2,), b (3,); all must give the same K numbers.",
        ),
    ],
)  # fmt: skip
def test_a_network_that_is_none_is_refused_in_one_sentence(nodes, exits, sentence):
    with pytest.raises(UserError) as refused:
        Network(nodes, exits, (3,))
    assert str(refused.value) == sentence


def test_layers_that_do_not_fit_are_refused():
    conv = Node("conv", Conv2d(1, 4, 3), ("x",))
    with pytest.raises(UserError, match="last axis must be 1"):
        Network([conv, Node("top", GlobalAvgPool(), ("conv",))], ["top"], (8, 8, 2))
    with pytest.raises(UserError, match="takes vectors"):
        Network([conv, Node("top", Linear(4, 2), ("conv",))], ["top"], (8, 8, 1))
    with pytest.raises(UserError, match="all must give the same K numbers"):
        Network([conv, Node("top", MaxPool2d(2), ("conv",))], ["top"], (8, 8, 1))


@pytest.mark.parametrize("layer", [np.tanh, ReLU, None], ids=repr)
def test_a_nodes_layer_is_an_object_of_one(layer):
    with pytest.raises(
        UserError, match="for a layer: give an object with forward, backward, output_shape and parameters"
    ):
        Node("act", layer, ("x",))


def test_inputs_are_a_tuple_of_names():
    with pytest.raises(UserError) as refused:
        Node("relu1", ReLU(), "conv1")
    assert str(refused.value) == "the inputs of node 'relu1' are a string: give a tuple of names, ('conv1',)."


def test_two_parameters_of_one_name_are_refused():
    class Pair(Layer):
        def __init__(self):
            self.parts = Linear(2, 2), Linear(2, 2)

        def parameters(self):
            return [p for part in self.parts for p in part.parameters()]

    with pytest.raises(UserError) as refused:
        Network([Node("pair", Pair(), ("x",))], ["pair"], (2,))
    assert str(refused.value) == (
        "two parameters are called 'pair.bias': let `named_parameters` of their layer tell them apart."
    )
