"""What each of two ranks finds on a simulated GPU of its own, one object of JSON on rank 0's output: run by test_ranks.py."""

import sys
import warnings
from contextlib import contextmanager
from functools import partial

import numpy as np

from tests.cuda import stand_in, two_gpus
from tests.cuda import stand_in_nccl as nccl

cupy = sys.modules["cupy"]  # a stand-in since two_gpus was imported

from cldl.training.cuda import step
from cldl.training.cuda.step import CudaStep
from cldl.training.trainer import DivergedError
from engine.errors import UserError
from engine.parameters import Parameter
from engine.random import Key
from engine.runtime.communicator import ALONE, Communicator
from engine.runtime.cuda import CudaBackend
from engine.runtime.graph import CapturedGraph
from engine.runtime.nccl import choose_gpu
from engine.runtime.prefetch import Prefetcher
from tests.cuda.two_gpus import prepare, trainer
from tests.of_ranks import tell


def train(*comms) -> dict:
    """The same, with the sums of gradients, how many had begun when each pass ended, and the numbers of copies and of the GPU."""
    for noted in (nccl.calls, begun, copies):
        noted.clear()
    found = two_gpus.train(*comms)
    noted = {"sums": sums_of_gradients(), "begun": list(begun), "copies": list(copies)}
    return found | noted | {"gpu": stand_in.Device.current}


begun: list[int] = []
copies: list[int] = []  # of so many images


def sums_of_gradients() -> list[int]:
    return [count for kind, count in nccl.calls if kind == nccl.NCCL_FLOAT32]


def noting_copies(start):
    def wrapped(self, index):
        copies.append(len(index))
        start(self, index)

    return wrapped


def counted(loss_and_gradients):
    def wrapped(*arguments):
        found = loss_and_gradients(*arguments)
        begun.append(len(sums_of_gradients()))
        return found

    return wrapped


def chosen() -> list[list[int]]:
    """The GPUs that ranks choose, on nodes where each sees all, and where a launcher shows each its own."""
    two, own = ["0000:00:00.0", "0000:01:00.0"], [["0000:01:00.0"], ["0000:00:00.0"]]
    places = (
        [("a", two), ("b", two), ("a", two), ("b", two)],
        [("a", own[0]), ("a", own[1]), ("b", own[0])],
        [("a", own[1]), ("a", two)],
    )
    return [[choose_gpu(Told(rank, place)) for rank in range(len(place))] for place in places]


class Told(Communicator):
    """A rank among others that are at these places."""

    def __init__(self, rank, places):
        self.rank, self.size, self.places = rank, len(places), places

    def gather(self, value):
        return self.places


def diverged(comm) -> bool:
    """Whether no rank makes an update where the loss of one sample, which one rank has, is not finite."""
    t = trainer(comm)
    before = t.checksum()
    t.train_step._pipeline = lambda images, ctx, pipeline=t.train_step._pipeline: poisoned(pipeline(images, ctx))

    def poisoned(x):
        if not comm.is_first:
            x.reshape(-1)[:1].fill(np.nan)
        return x

    try:
        next(t.steps())
    except DivergedError:
        return t.checksum() == before
    return False


def prefetched(comm) -> list[int]:
    """The images that are copied during a step, for the next one."""
    t = trainer(comm)
    t.train_step(np.arange(4), Key(0), 0.1, t.objective.at(0), np.array([4, 5, 1, 2]))
    return t.train_step.prefetcher._index.tolist()


def captured(comm) -> dict:
    """A graph of sums alone: what is called, captured, and replayed; where one rank cannot capture; where it fails half way."""
    parameters = [Parameter((size,), lambda key, shape: np.zeros(shape)) for size in (3, 1000, 70)]
    for parameter in parameters:
        parameter.value = cupy.asarray(np.zeros(parameter.shape, np.float32))
    backend, found = CudaBackend(parameters, comm=comm), {}
    flat = backend.gradients
    assert len(backend._total.pieces) > 1

    def work(ctx, breaks=False) -> None:
        backend._overlap.begin()
        for parameter in parameters if comm.rank else reversed(parameters):
            backend._overlap.finished(0, ctx, [parameter])
            if breaks and backend.stream.origin:
                raise RuntimeError("half way")
        backend._overlap.wait(())

    for name, capturable, breaks in (("all", True, False), ("rank 0", comm.is_first, False), ("none", True, True)):
        stand_in.Stream.capturable = capturable
        graph = CapturedGraph(partial(work, breaks=breaks), backend.new_context(), backend.stream, comm)
        values = []
        with backend.active(), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(4):
                flat.buffer.fill(1)
                graph()
                backend.wait()
                values.append(sorted({float(v) for v in cupy.asnumpy(flat.buffer)}))
        found[name] = [values, graph.graph is not None, graph.reason, len(told)]
    stand_in.Stream.capturable = False
    return found


def refused(comm) -> list[str]:
    """What is said where there are too few GPUs or too little memory, and where NCCL meets an error or is not there."""
    told = []

    def tell(work) -> None:
        try:
            work()
        except UserError as error:
            told.append(str(error))

    runtime = cupy.cuda.runtime
    with replaced(runtime, getDeviceCount=lambda: 1):
        tell(lambda: CudaBackend([], comm=comm))
    backend = CudaBackend([], comm=comm)
    with replaced(runtime, streamQuery=lambda stream: 600), replaced(nccl.mode, error="NCCL_ERROR_SYSTEM_ERROR"):
        tell(backend.wait)
    with replaced(nccl, available=False):
        tell(lambda: CudaBackend([], comm=comm))
    for t in (trainer(ALONE), trainer(comm)):
        with t.backend.active():
            one = t.train_step._scratch(1, t.objective.at(0))
        with replaced(runtime, memGetInfo=lambda one=one: (one, one)):
            tell(lambda t=t: next(t.steps()))
    return told


@contextmanager
def replaced(thing, **values):
    before = {name: getattr(thing, name) for name in values}
    vars(thing).update(values)
    yield
    vars(thing).update(before)


def main() -> None:
    comm = prepare()
    warnings.simplefilter("ignore")  # no step can be captured
    found = {"chosen": chosen(), "captured": captured(comm), "refused": refused(comm)}
    CudaStep._check_memory = lambda self, samples, objective: None  # two passes more
    step.loss_and_gradients, Prefetcher.start = counted(step.loss_and_gradients), noting_copies(Prefetcher.start)
    found["diverged"], found["alone"] = diverged(comm), train(ALONE, ALONE)
    found["overlapped, late"] = train(comm, comm)
    nccl.mode.late, step.SHARE = False, 0.0
    found["overlapped, early, images on the CPU"] = train(comm, comm)
    found["prefetched"] = prefetched(comm)
    comm.overlap = False
    found["in turn, resumed"] = train(ALONE, comm)
    tell(comm, found)


if __name__ == "__main__":
    main()
