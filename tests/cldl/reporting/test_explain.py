"""What a training step costs, part by part."""

import threading
from itertools import count

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cldl import train
from cldl.models.maxout import MAXOUT_CIFAR, maxout
from cldl.models.nin import NIN_MNIST, nin
from cldl.recipes import find
from cldl.reporting.explain import (
    SIDE,
    Cost,
    Timed,
    endless_steps,
    explain,
    matmul_peak,
    step_flops,
    synthetic_dataset,
    time_steps,
)
from cldl.training.trainer import Trainer
from engine.context import Context
from layers.relu import ReLU

RECIPE = find("mnist_nin").changed(batch_size=4)


@pytest.fixture(scope="module")
def explained():
    return explain(RECIPE, steps=2)


def test_flops_are_two_a_multiply_add_three_times_but_for_the_gradient_of_the_pixels():
    first = 28 * 28 * 96 * 25
    forward = 50_699_712 + (48 * 14 * 14 + 1) * 10 + (48 * 7 * 7 + 1) * 10 - 20
    assert step_flops(nin(NIN_MNIST, (28, 28, 1), 10), 1) == 2 * (3 * forward - first)
    assert step_flops(nin(NIN_MNIST, (28, 28, 1), 10), 128) == 128 * step_flops(nin(NIN_MNIST, (28, 28, 1), 10), 1)


def test_under_a_layer_that_learns_nothing_no_gradient_is_counted():
    network = maxout(MAXOUT_CIFAR, (32, 32, 3), 100)  # its image is dropped out before the first convolution
    first = 33**2 * 8 * 8 * 3 * 192
    assert step_flops(network, 1) == 2 * (3 * network.multiply_adds() - first)


def test_the_parts_are_all_of_the_step(explained):
    parts, peaks = explained
    assert sum(part.flops for part in parts) == step_flops(nin(NIN_MNIST, (28, 28, 1), 10), 4)
    assert len(peaks) == 2
    assert min(peaks) > 1e6
    assert parts[-1].name == "rest"
    assert all(part.forward > 0 for part in parts)
    assert all(part.backward > 0 for part in parts[:-1])


@pytest.fixture
def clock(monkeypatch):
    """A clock that shows a second more each time that it is read; the threads that have read it."""
    seconds, threads = count(), []

    def read():
        threads.append(threading.get_ident())
        return float(next(seconds))

    monkeypatch.setattr("time.perf_counter", read)
    return threads


def test_a_layers_times_are_the_sums_over_its_calls(clock):
    timed, x = Timed(ReLU(), Cost("relu", "ReLU")), np.ones((2, 3))
    assert timed.seconds == [0, 0]
    for _ in range(2):
        y, cache = timed.forward(x, Context())
    assert timed.seconds == [2, 0]
    for _ in range(3):
        assert np.array_equal(timed.backward(y, cache, Context()), x)
    assert timed.seconds == [2, 3]


def test_one_thread_works_and_the_rest_is_what_is_left_of_a_steps_time(clock):
    parts, peaks = explain(RECIPE, steps=1)
    *layers, rest = parts
    assert {(part.forward, part.backward) for part in layers} == {(1, 1)}
    # the clock is read at both ends of a step, of every layer's forward and of every layer's backward
    assert rest.seconds == (2 + 4 * len(layers) - 1) - 2 * len(layers)
    assert (rest.name, rest.kind) == ("rest", "pixels, loss, update")
    assert set(clock) == {threading.get_ident()}
    assert peaks == [2 * SIDE**3]  # a second for a product


def test_the_peak_is_that_of_the_fastest_product_and_of_the_threads_that_are_asked_for(monkeypatch):
    times, threads = iter([0, 9, 10, 12, 20, 25]), set()

    def read():
        threads.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return next(times)

    monkeypatch.setattr("time.perf_counter", read)
    with threadpool_limits(2, user_api="blas"):
        assert matmul_peak(tries=3) == 2 * SIDE**3 / 2
    assert threads == {1}


def parts_of_nin():
    """The parts of a step of four images, without their times."""
    return [part.cost for part in time_steps(nin(NIN_MNIST, (28, 28, 1), 10), 4)]


def test_convolutions_that_run_as_one_are_one_part_and_tell_the_algorithm_of_the_first():
    parts = parts_of_nin()
    first, *_ = parts
    assert (first.name, first.kind, first.output) == ("conv1", "Conv2d 5x5, 1x1, 1x1", (28, 28, 48))
    convolutions = [part for part in parts if part.kind.startswith("Conv2d")]
    assert [part.name for part in convolutions] == ["conv1", "conv2", "conv3"]
    assert {part.algorithm for part in parts if part not in convolutions} == {""}
    assert {"patches", "fft"} <= {part.algorithm for part in convolutions}


def test_a_part_is_called_by_its_layers_first_and_has_the_flops_of_all():
    parts = parts_of_nin()
    kinds = [part.kind for part in parts if not part.kind.startswith("Conv2d")]
    assert kinds == [
        *["MaxPool2d", "Flatten", "Linear", "Dropout"] * 2,
        "GlobalAvgPool",
    ]
    assert parts[0].flops == 2 * 4 * 28 * 28 * (2 * 25 * 96 + 3 * 96 * 64 + 3 * 64 * 48)
    assert [part.flops for part in parts if part.kind == "Linear"] == [
        2 * 4 * 3 * 48 * side**2 * 10 for side in (14, 7)
    ]


def test_bytes_are_those_of_every_array_once():
    parts = parts_of_nin()
    pixels, outputs, weights = 28 * 28, 28 * 28 * (96 + 64 + 48), 26 * 96 + 97 * 64 + 65 * 48
    assert parts[0].bytes == 4 * (4 * (2 * pixels + 2 * outputs) + 3 * weights)  # the pixels' gradient is not needed
    flatten, linear = parts[2:4]
    assert linear.bytes == 4 * (4 * (3 * 14 * 14 * 48 + 2 * 10) + 3 * (14 * 14 * 48 + 1) * 10)
    assert flatten.bytes == 4 * 4 * 5 * 14 * 14 * 48


def test_a_watched_network_computes_the_same():
    data = synthetic_dataset(nin(NIN_MNIST, (28, 28, 1), 10), 4)
    weights = []
    for watched in (False, True):
        trainer = Trainer.from_recipe(RECIPE.changed(warmup=0.0), data, threads=1)
        if watched:
            time_steps(trainer.network, 4)
        stream = endless_steps(trainer)
        for _ in range(3):
            next(stream)
        weights.append([p.value for p in trainer.network.parameters()])
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_synthetic_data_are_the_same_every_time_and_differ_from_sample_to_sample():
    a, b = (synthetic_dataset(nin(NIN_MNIST, (28, 28, 1), 10), 3, batches=2) for _ in range(2))
    assert a.train.images.shape == (6, 28, 28, 1)
    assert len(a.test.labels) == 3
    assert np.array_equal(a.train.images, b.train.images)
    assert not np.array_equal(a.train.images[0], a.train.images[1])
    assert 100 < a.train.images.mean() < 155
    assert a.name == "noise"


def test_synthetic_data_are_one_batch_unless_more_are_asked_for():
    data = synthetic_dataset(nin(NIN_MNIST, (28, 28, 1), 10), 3)
    assert (len(data.train), len(data.test)) == (3, 3)


def test_the_peak_is_more_than_nothing_and_no_more_than_a_processor_has():
    assert 1e6 < matmul_peak(1, tries=1) < 1e13


def test_the_command_prints_the_table_and_makes_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train.main(["mnist_nin", "--batch-size", "2", "--explain"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split()[:4] == ["part", "layer", "output", "algorithm"]
    assert "conv2" in printed
    assert "a training step of 2 images on one thread" in printed
    assert not list(tmp_path.iterdir())


def test_the_command_needs_a_recipe(capsys):
    assert train.main(["--explain"]) == 2
    assert "no recipe was named" in capsys.readouterr().err
