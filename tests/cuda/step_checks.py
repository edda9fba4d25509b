"""What a step on the simulated GPU must do beside its numbers; JSON: {check: "passed", or what went wrong}."""

import json
import re
import sys
import traceback
from types import SimpleNamespace

import numpy as np
import pytest

from tests.cuda import stand_in

cupy = stand_in.install()

from cldl.recipes.recipe import Recipe  # after the stand-in
from cldl.training.trainer import DivergedError, Trainer
from engine.context import Context
from engine.errors import UserError
from engine.runtime.graph import CapturedGraph
from engine.runtime.prefetch import Prefetcher
from layers import Linear
from tests.cuda.trainings import BASE, dataset, network


def trainer(**values) -> Trainer:
    return Trainer.from_recipe(BASE.changed(**values), dataset(), device="cuda")


def no_update_of_a_loss_that_is_not_finite() -> None:
    t = trainer()
    t.network.parameters()[0].value.reshape(-1)[:1].fill(np.nan)
    before = [cupy.asnumpy(p.value) for p in t.network.parameters()]
    with pytest.raises(DivergedError):
        next(t.steps())
    after = [cupy.asnumpy(p.value) for p in t.network.parameters()]
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True))
    assert t.statistics()[0][3] > 0


def too_large_a_batch_is_refused_with_one_that_fits() -> None:
    cupy.cuda.runtime.memGetInfo = lambda: (9_000, 9_000)
    with pytest.raises(
        UserError, match=r"a step of 6 images needs [\d.]+ MiB of the GPU's memory .* is free"
    ) as refusal:
        next(trainer(batch_size=6).steps())
    fits = int(re.search(r"give --batch-size (\d+) or less", str(refusal.value))[1])
    assert 1 <= fits < 6
    next(trainer(batch_size=fits).steps())
    cupy.cuda.runtime.memGetInfo = lambda: (2**30, 2**30)


def arrays_on_two_devices_do_not_meet() -> None:
    with pytest.raises(UserError, match="some arrays are on the CPU and others on the GPU"):
        Linear(3, 2).forward(cupy.zeros((1, 3), np.float32), Context())


def a_graph_is_captured_at_the_second_call_and_replayed_from_then_on() -> None:
    heard: list[str] = []
    graph = SimpleNamespace(dispatch=lambda stream: heard.append("replay"))
    stream = SimpleNamespace(begin_capture=lambda: heard.append("begin"), end_capture=lambda: graph)
    work = CapturedGraph(lambda: heard.append("work"), stream)
    for _ in range(3):
        work()
    assert heard == ["work", "begin", "work", "replay", "replay"], heard
    assert work.reason == ""


def a_run_goes_on_on_the_other_device() -> None:
    lines = []
    for devices in (("cpu", "cpu"), ("cpu", "cuda")):
        first, second = (Trainer.from_recipe(BASE, dataset(), threads=1, device=device) for device in devices)
        next(first.steps())
        second.restore(*first.state())
        list(second.steps())
        lines.append([second.metrics.loss, *second.metrics.wrong])
    assert np.allclose(lines[0], lines[1:], rtol=1e-6), lines


def images_that_do_not_fit_are_copied_batch_by_batch() -> None:
    data, losses = dataset(), []
    for free in (2**30, 2 * data.train.images.nbytes - 1):
        cupy.cuda.runtime.memGetInfo = lambda free=free: (free, free)
        t = trainer()
        cupy.cuda.runtime.memGetInfo = lambda: (2**30, 2**30)
        list(t.steps())
        losses.append((t.metrics.loss, t.take.ahead is not None))
    assert losses == [(losses[0][0], False), (losses[0][0], True)], losses


def a_batch_is_copied_while_the_gpu_works_on_the_one_before() -> None:
    source = np.arange(24, dtype=np.uint8).reshape(8, 3)
    rows, stream, to = Prefetcher(source, 4), cupy.cuda.Stream(), cupy.empty((4, 3), np.uint8)
    batches = [np.array(batch) for batch in ([3, 0, 5, 2], [7, 1, 4, 6], [2, 3], [0, 0, 1, 7])]
    rows.start(batches[0])
    for batch, then in zip(batches, [*batches[1:], batches[0]], strict=True):
        copied = rows._turn
        rows.to_device(batch, to[: len(batch)], stream)
        assert rows._turn == copied, "copied twice"
        rows.start(then)
        assert np.array_equal(cupy.asnumpy(to[: len(batch)]), source[batch])
    unforeseen = np.array([6, 5])
    rows.to_device(unforeseen, to[:2], stream)
    assert np.array_equal(cupy.asnumpy(to[:2]), source[unforeseen])


CHECKS = {
    "another device": a_run_goes_on_on_the_other_device,
    "copies ahead": a_batch_is_copied_while_the_gpu_works_on_the_one_before,
    "too many images": images_that_do_not_fit_are_copied_batch_by_batch,
    "a loss that is not finite": no_update_of_a_loss_that_is_not_finite,
    "too large a batch": too_large_a_batch_is_refused_with_one_that_fits,
    "two devices": arrays_on_two_devices_do_not_meet,
    "replay": a_graph_is_captured_at_the_second_call_and_replayed_from_then_on,
}


def outcome(check) -> str:
    try:
        check()
    except Exception:
        return traceback.format_exc(limit=-4)
    return "passed"


if __name__ == "__main__":
    Recipe.build_network = lambda recipe: network()
    json.dump({name: outcome(check) for name, check in CHECKS.items()}, sys.stdout)
