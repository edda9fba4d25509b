"""Layers and networks are copied and pickled: a copy computes the same and shares nothing."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given

from cldl.recipes import FAMILIES
from cldl.verification.cases import LAYERS
from cldl.verification.end_to_end import checkable
from engine.context import Context
from engine.initialisers import constant, normal, uniform
from engine.random import Key
from layers import Flatten, Linear, Network, Node, ReLU, Sequential
from tests.strategies import batch, layer_cases

COPIES = {"copied": copy.deepcopy, "pickled": lambda thing: pickle.loads(pickle.dumps(thing))}


@pytest.fixture(params=COPIES)
def copied(request):
    """`copied(thing)` is a copy of it."""
    return COPIES[request.param]


def passes(layer, x):
    """What a layer returns in training: y, dx and the gradients of its parameters, by name."""
    ctx = Context(training=True, key=Key(5))
    y, cache = layer.forward(x, ctx)
    dx = layer.backward(np.ones_like(y), cache, ctx)
    gradients = ctx.gradients()
    return [y, *(dx if isinstance(dx, tuple) else [dx]), *(gradients[p] for p in layer.parameters())]


@pytest.mark.parametrize("name", LAYERS)
def test_a_copy_of_a_layer_computes_the_same_and_shares_nothing(name, copied):
    @given(case=layer_cases(name))
    def holds(case):
        x = batch(case, next((p.dtype for p in case.layer.parameters()), np.float32))
        other = copied(case.layer)
        for a, b in zip(passes(case.layer, x), passes(other, x), strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(case.layer.parameters(), other.parameters(), strict=True):
            assert a.name == b.name
            assert a is not b
            assert not np.shares_memory(a.value, b.value)
        assert repr(other) == repr(case.layer)

    holds()


@pytest.mark.parametrize("weight", [constant(2.0), normal(0.1), uniform(0.5)])
def test_a_copy_draws_the_same_weights(weight, copied):
    layer = Linear(4, 2, weight=weight)
    drawn, again = (thing.weight.initialiser(Key(3), (4, 2)) for thing in (layer, copied(layer)))
    np.testing.assert_array_equal(drawn, again)


def test_a_parameter_that_stands_twice_is_one_parameter_in_the_copy(copied):
    shared = Linear(4, 4)
    nodes = [Node("flat", Flatten()), Node("a", shared, ("flat",)), Node("b", shared, ("a",))]
    for thing in (Sequential(shared, ReLU(), shared), Network(nodes, ["b"], (2, 2, 1))):
        other = copied(thing)
        assert [p.name for p in other.parameters()] == [p.name for p in thing.parameters()]
        assert len(other.parameters()) == 2
    assert other.nodes[1].layer is other.nodes[2].layer


@pytest.mark.parametrize("family", FAMILIES)
def test_a_copy_of_a_recipe_builds_the_same_network_and_a_copy_of_that_learns_alike(family, copied):
    recipe = checkable(FAMILIES[family][0])
    other = copied(recipe)
    assert other == recipe
    assert other.sources == recipe.sources
    network = recipe.build_network()
    again = copied(network)
    key = Key(7)
    network.initialise(key)
    again.initialise(key)
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a.value, b.value)
        assert not np.shares_memory(a.value, b.value)
        assert (a.name, a.lr_mult, a.decay_mult, a.max_norm) == (b.name, b.lr_mult, b.decay_mult, b.max_norm)
        if a.lr_policy:
            assert a.lr_policy(100) == b.lr_policy(100)
    assert [step.name for step in again.steps] == [step.name for step in network.steps]
    learned = {p for step in again.steps for p in step.layer.parameters()}
    assert learned == set(again.parameters())  # what runs is what the nodes hold
