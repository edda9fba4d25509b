"""Checks of a step on the simulated GPU, beside its numbers; JSON: {check: "passed", or what went wrong}."""

import ctypes
import gc
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
from engine.runtime.cuda import CudaBackend
from engine.runtime.cuda_context import CudaContext
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


def arrays_on_two_devices_are_refused() -> None:
    with pytest.raises(UserError, match="some arrays are on the CPU and others on the GPU"):
        Linear(3, 2).forward(cupy.zeros((1, 3), np.float32), Context())


def a_graph_is_captured_at_the_second_call_and_replayed_from_then_on() -> None:
    calls: list[str] = []
    replay = SimpleNamespace(launch=lambda stream: calls.append("replay"))
    stream = SimpleNamespace(begin_capture=lambda: calls.append("begin"), end_capture=lambda: replay)
    graph = CapturedGraph(lambda ctx: calls.append("work"), context(), stream)
    for _ in range(3):
        graph()
    assert calls == ["work", "begin", "work", "replay", "replay"], calls
    assert graph.reason == ""


class CapturingStream:
    """Captures what `touch` notes, and replays it as a real graph would: by writing to the same addresses again."""

    def __init__(self) -> None:
        self.addresses: list[tuple[int, int]] = []  # and sizes

    def begin_capture(self) -> None:
        self.addresses.clear()

    def end_capture(self) -> SimpleNamespace:
        captured = list(self.addresses)
        return SimpleNamespace(launch=lambda stream: [ctypes.memset(a, 0xAB, n) for a, n in captured])

    def touch(self, array) -> None:
        array.fill(7)
        self.addresses.append((array.data.ptr, array.nbytes))


def captured(keep: list) -> tuple[CapturedGraph, CapturingStream, CudaBackend]:
    """A captured graph of three arrays of one size, of which at most two are alive at a time; `keep` gets the first call's."""
    backend, stream = CudaBackend([]), CapturingStream()

    def work(ctx) -> None:
        first = ctx.empty((5,), np.float32)
        stream.touch(first)
        second = ctx.empty((5,), np.float32)
        stream.touch(second)
        if not keep:
            keep.append(second)
        del first
        stream.touch(ctx.empty((5,), np.float32))

    graph = CapturedGraph(work, backend.new_context(), stream)
    graph()
    held = graph.ctx.nbytes
    graph()
    assert graph.graph is not None
    assert len({address for address, _ in stream.addresses}) == 2, "dead arrays' memory is used again inside the graph"
    assert graph.ctx.nbytes == held + 20, "one more for the array that is kept, of the first call"
    return graph, stream, backend


def a_replay_overwrites_no_array_of_another_pass_and_none_of_an_earlier_call() -> None:
    first_call: list = []
    graph, _, backend = captured(first_call)
    evaluated: list = []
    for _ in range(3):
        backend.run(1, lambda ctx, start, stop: evaluated.append(ctx.empty((5,), np.float32)))
        evaluated[-1].fill(3)
        graph()
    assert np.array_equal(cupy.asnumpy(first_call[0]), [7] * 5), first_call
    assert all(np.array_equal(cupy.asnumpy(array), [3] * 5) for array in evaluated), evaluated


def the_memory_of_a_graph_is_handed_to_no_one_else_as_long_as_the_graph_lives() -> None:
    first_call: list = []
    graph, stream, backend = captured(first_call)
    first_call.clear()
    del backend
    gc.collect()
    taken = [cupy.empty((5,), np.float32) for _ in range(1000)]
    assert not {a.data.ptr for a in taken} & {address for address, _ in stream.addresses}
    assert graph.graph is not None


def every_step_that_is_captured_has_scratch_memory_of_its_own() -> None:
    t = trainer()
    list(t.steps())
    contexts = [step.graph.ctx for step in t.train_step.captured.values()]
    t.evaluate()
    assert len(contexts) == 2, "batches of 4 and of 2"
    assert len({id(ctx) for ctx in contexts}) == 2
    assert all(0 < ctx.nbytes < t.backend.nbytes for ctx in contexts)
    held = t.backend.nbytes
    t.step = 0
    list(t.steps())
    t.evaluate()
    assert t.backend.nbytes == held, "nothing is allocated after the first steps"


def a_run_is_resumed_on_the_other_device() -> None:
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
        losses.append((t.metrics.loss, t.train_step.prefetcher is not None))
    assert losses == [(losses[0][0], False), (losses[0][0], True)], losses


def a_batch_is_copied_while_the_gpu_works_on_the_one_before() -> None:
    source = np.arange(24, dtype=np.uint8).reshape(8, 3)
    rows = Prefetcher(lambda index, out: np.take(source, index, axis=0, out=out), (3,), 4)
    stream, to = cupy.cuda.Stream(), cupy.empty((4, 3), np.uint8)
    batches = [np.array(batch) for batch in ([3, 0, 5, 2], [7, 1, 4, 6], [2, 3], [0, 0, 1, 7])]
    rows.start(batches[0])
    for batch, then in zip(batches, [*batches[1:], batches[0]], strict=True):
        turn = rows._turn
        rows.to_device(batch, to[: len(batch)], stream)
        assert rows._turn == turn, "copied twice"
        rows.start(then)
        assert np.array_equal(cupy.asnumpy(to[: len(batch)]), source[batch])
    unforeseen = np.array([6, 5])
    rows.to_device(unforeseen, to[:2], stream)
    assert np.array_equal(cupy.asnumpy(to[:2]), source[unforeseen])


def context() -> CudaContext:
    return CudaContext(cupy.zeros(2, np.uint64), {})


CHECKS = {
    "another device": a_run_is_resumed_on_the_other_device,
    "prefetch": a_batch_is_copied_while_the_gpu_works_on_the_one_before,
    "too many images": images_that_do_not_fit_are_copied_batch_by_batch,
    "a loss that is not finite": no_update_of_a_loss_that_is_not_finite,
    "too large a batch": too_large_a_batch_is_refused_with_one_that_fits,
    "two devices": arrays_on_two_devices_are_refused,
    "memory of other passes": a_replay_overwrites_no_array_of_another_pass_and_none_of_an_earlier_call,
    "memory of a graph": the_memory_of_a_graph_is_handed_to_no_one_else_as_long_as_the_graph_lives,
    "memory of each step": every_step_that_is_captured_has_scratch_memory_of_its_own,
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
