"""Segments at the same time: every step once, after what it reads, and the bits of one step after another."""

from itertools import chain

import numpy as np
import pytest

from cldl.recipes import FAMILIES
from cldl.verification.end_to_end import checkable
from engine.context import Context
from engine.gradcheck import grid
from engine.parameters import cast
from engine.random import Key
from engine.runtime.cpu import CpuBackend
from layers import Add, Concat, Linear, Network, Node, ReLU
from layers.layer import Layer
from layers.segments import Level, Segment, levels


def network(family):
    return checkable(FAMILIES[family][0]).build_network()


class Nested(Layer):
    """A network as a layer."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x, ctx):
        (z,), cache = self.inner.forward(x, ctx)
        return z, cache


def diamond():
    """Two exits, one of them read by other nodes; two branches that meet; a head beside them."""
    nodes = [
        Node("a", Linear(3, 4)),
        Node("left", ReLU(), ("a",)),
        Node("right", Linear(4, 4), ("a",)),
        Node("right2", ReLU(), ("right",)),
        Node("both", Concat(2), ("left", "right2")),
        Node("low", Linear(4, 2), ("left",)),
        Node("wide", Linear(2, 8), ("low",)),
        Node("sum", Add(2), ("both", "wide")),
        Node("top", Linear(8, 2), ("sum",)),
    ]
    made = Network(nodes, ["low", "top"], (3,))
    made.initialise(Key(0))
    cast(made.parameters(), np.float64)
    return made


@pytest.mark.parametrize("made", [diamond(), *map(network, FAMILIES)], ids=["diamond", *FAMILIES])
def test_every_step_stands_once_in_a_level_behind_what_it_reads(made):
    found, known = levels(made.steps, made.exits, {"x": made.input_shape, **made.node_shapes()}), {"x"}
    for level in found:
        for segment in level.segments:
            assert known.issuperset(segment.inputs)
            assert all(b.inputs == (a.name,) for a, b in zip(segment.steps, segment.steps[1:], strict=False))
        known.update(segment.name for segment in level.segments)
        known.difference_update(level.last_reads)  # no later level reads these
    assert known == set(made.exits)
    steps = chain.from_iterable(segment.steps for level in found for segment in level.segments)
    assert sorted(step.name for step in steps) == sorted(step.name for step in made.steps)


def test_segments_that_do_not_read_each_other_are_one_level():
    made = diamond()
    found = levels(made.steps, made.exits, {"x": (3,), **made.node_shapes()})
    names = [{segment.name for segment in level.segments} for level in found]
    assert names == [{"a"}, {"left", "right2"}, {"low", "both"}, {"wide"}, {"top"}]


@pytest.mark.parametrize(("available", "works", "expected"), [(2, (3, 1), [2, 1]), (4, (2, 1, 1), [2, 1, 1])])
def test_a_segment_has_threads_in_proportion_to_its_work(available, works, expected):
    steps = tuple(diamond().steps[:1])
    level = Level(tuple(Segment(steps, work) for work in works), last_reads=())
    assert level.threads(available) == expected


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("threads", [2, 3])
def test_a_network_of_several_threads_has_the_bits_of_one(family, threads, monkeypatch):
    monkeypatch.setattr("engine.context.LEAST_SHARE", 1)
    made = network(family)
    cast(made.parameters(), np.float32)
    x, given = grid((1, *made.input_shape), Key(1)).astype(np.float32), {}

    def work(ctx, start, stop):
        ctx.needs_backward = False
        given[ctx.threads] = made.forward(x, ctx)[0]

    for count in (1, threads):
        CpuBackend(made.parameters(), threads=count).run(1, work)
    for alone, shared in zip(given[1], given[threads], strict=True):
        assert np.array_equal(alone, shared)


class Noise(Layer):
    """Adds a number that belongs to the draw and the sample: random in inference, too."""

    def forward(self, x, ctx):
        key = ctx.next_key()
        return x + np.array([key.fold(ctx.first_sample + i).normal(x.shape[1:]) for i in range(len(x))]), None


def noisy():
    branches = [Node(name, Noise(), ("x",)) for name in ("left", "right")]
    return Network([*branches, Node("sum", Add(2), ("left", "right"))], ["sum"], (3,))


@pytest.mark.parametrize("make", [noisy, lambda: Network([Node("inner", Nested(noisy()))], ["inner"], (3,))])
def test_random_numbers_in_inference_do_not_depend_on_the_number_of_threads(make):
    x, given = grid((2, 3), Key(1)), []
    for threads in (1, 2, 4):
        made, logits = make(), np.zeros((2, 3))
        backend = CpuBackend([], threads=threads, chunk=1)

        def work(ctx, start, stop, made=made, logits=logits):
            ctx.needs_backward = False
            (logits[start:stop],), _ = made.forward(x[start:stop], ctx)

        for _ in range(2):
            backend.run(2, work)
            given.append(logits.copy())
    assert np.abs(given[0] - x).min() > 0
    assert all(np.array_equal(logits, given[0]) for logits in given)


def test_a_layer_is_told_which_sample_is_the_first_by_any_number_of_threads():
    class Index(Layer):
        def forward(self, x, ctx):
            return x + ctx.first_sample, None

    made = Network([Node("index", Index())], ["index"], (3,))
    ctx = Context(first_sample=5)
    ctx.threads, ctx.needs_backward = 2, False
    (z,), _ = made.forward(np.zeros((1, 3)), ctx)
    assert (z == 5).all()


def test_outputs_that_nothing_reads_any_more_are_freed():
    made, held = diamond(), []
    for threads in (1, 2):
        ctx = Context()
        ctx.threads, ctx.needs_backward = threads, False
        logits, _ = made.forward(grid((64, 3), Key(2)), ctx)
        held.append(sum(fork._memory.nbytes_in_use for fork in (ctx, *ctx._forks)))
        assert held[-1] == sum(z.nbytes for z in logits)
    assert len(set(held)) == 1


def test_an_exception_in_a_segment_is_raised_again():
    made = diamond()
    made.nodes[2].layer.forward = lambda x, ctx: 1 // 0

    def work(ctx, start, stop):
        ctx.needs_backward = False
        made.forward(grid((1, 3), Key(2)), ctx)

    with pytest.raises(ZeroDivisionError):
        CpuBackend(made.parameters(), threads=2).run(1, work)


def test_a_training_step_takes_one_step_after_another():
    """Its random numbers follow their order; so its threads share operations only."""
    made, ctx = diamond(), Context(training=True)
    ctx.threads = 2
    _, cache = made.forward(grid((1, 3), Key(2)), ctx)
    assert len(cache) == len(made.steps) + 1
    assert ctx._forks == []
