"""Exits one after another: samples that leave take no more work, and those that stay get what they would have got anyway."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.context import Context
from engine.errors import UserError
from engine.gradcheck import grid
from engine.random import Key
from layers import Add, Conv2d, Flatten, Linear, Network, Node, ReLU, chain
from layers.in_turn import forward_in_turn, multiply_adds, turns

IMAGE, K = (4, 4, 2), 3


def network():
    """Three exits; the second block is read twice, and the third exit also reads the first block's output."""
    trunk = chain(
        "x", [("conv1", Conv2d(2, 3, 3, padding=1)), ("relu1", ReLU()), ("conv2", Conv2d(3, 3, 1)), ("relu2", ReLU())]
    )
    heads = [
        *chain("relu1", [("flat1", Flatten()), ("exit1", Linear(48, K))]),
        *chain("relu2", [("flat2", Flatten()), ("exit2", Linear(48, K))]),
        Node("sum", Add(2), ("relu1", "relu2")),
        *chain("sum", [("flat3", Flatten()), ("exit3", Linear(48, K))]),
    ]
    made = Network([*trunk, *heads], ["exit1", "exit2", "exit3"], IMAGE)
    made.initialise(Key(0))
    return made


@given(leaving=st.lists(st.integers(0, 2), min_size=1, max_size=6))
def test_each_sample_has_the_logits_of_the_exits_it_came_to_and_no_others(leaving):
    net, x = network(), grid((len(leaving), *IMAGE), Key(1)).astype(np.float32)
    whole, _ = net.forward(x, Context())
    where, staying = np.array(leaving), np.arange(len(leaving))

    def leaves(m, z):
        nonlocal staying
        is_leaving = where[staying] <= m
        np.testing.assert_allclose(z, whole[m][staying], rtol=1e-5, atol=1e-5)
        staying = staying[~is_leaving]
        return is_leaving

    logits, left_at = forward_in_turn(net, x, Context(), leaves)
    assert left_at.tolist() == leaving
    for m in range(3):
        came = where >= m
        np.testing.assert_allclose(logits[m][came], whole[m][came], rtol=1e-5, atol=1e-5)
        assert np.isnan(logits[m][~came]).all()


def test_a_layer_that_nobody_stays_for_is_not_run():
    net, ran = network(), []
    for step in net.steps:
        forward = step.layer.forward
        object.__setattr__(
            step.layer, "forward", lambda x, ctx, f=forward, n=step.name: ran.append((n, len(x))) or f(x, ctx)
        )
    forward_in_turn(net, np.ones((5, *IMAGE), np.float32), Context(), lambda m, z: np.arange(len(z)) < 5)
    assert [name for name, _ in ran] == [step.name for step in turns(net)[0]]
    ran.clear()
    forward_in_turn(net, np.ones((5, *IMAGE), np.float32), Context(), lambda m, z: np.arange(len(z)) < 2)
    sizes = {name: n for name, n in ran if name in ("exit1", "exit2", "exit3")}
    assert sizes == {"exit1": 5, "exit2": 3, "exit3": 1}


def test_what_each_exit_costs_is_what_it_needs_beyond_those_before_it():
    net = network()
    conv1, conv2, linear = 16 * 9 * 2 * 3, 16 * 3 * 3, 48 * K
    assert multiply_adds(net) == [conv1 + linear, conv1 + conv2 + 2 * linear, conv1 + conv2 + 3 * linear]
    assert multiply_adds(net)[-1] == net.multiply_adds()
    assert [name for turn in turns(net) for step in turn for name in [step.name] if name.startswith("exit")] == [
        "exit1",
        "exit2",
        "exit3",
    ]


def test_images_of_another_shape_are_refused():
    with pytest.raises(UserError, match="was given samples of shape"):
        forward_in_turn(network(), np.ones((1, 5, 4, 2), np.float32), Context(), lambda m, z: np.ones(len(z), bool))
