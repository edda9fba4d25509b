"""Two ranks with a GPU each learn what one GPU does: `mpiexec -n 2 python -m tests.cuda.two_gpus`.

Prints a line, and ends with status 1 where they do not. On real GPUs it is a part of `tools/gpu_visit.py`; under
NUMBA_ENABLE_CUDASIM=1 and NUMBA_DISABLE_JIT=1 it runs on the stand-ins.
"""

import os
import sys

import numpy as np

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
if SIMULATED:
    from tests.cuda import stand_in, stand_in_nccl

    stand_in.install(gpus=2)
    stand_in_nccl.install()

    from engine.kernels.cuda import launch  # after the stand-ins

    launch.THREADS, launch.BLOCKS = 2, 1  # a launch takes as long as its threads take to start

from cldl.recipes.recipe import Recipe  # after the stand-ins
from cldl.training.trainer import Trainer
from engine.device import to_host
from engine.runtime import communicator, mpi
from engine.runtime.communicator import ALONE
from layers import Conv2d, Dropout, Flatten, Linear, ReLU, Sequential
from tests.cuda.trainings import BASE, SGD, dataset
from tests.networks import stack

RECIPE = BASE.changed(**SGD, learning_rate=0.05, augment=True, epochs=4, batch_size=5)  # a batch of 5, and one of 1
EPOCHS = 1 if SIMULATED else 3  # the second captures the graphs, the third replays them
TOLERANCE = 1e-4


def network():
    """5 x 4 images of two channels, three classes."""
    trunk = [Sequential(Conv2d(2, 3, 1), ReLU(), Dropout(0.25)), Sequential(Conv2d(3, 2, 1), ReLU())]
    return stack(trunk, [Sequential(Flatten(), Linear(n, 3)) for n in (60, 40)], (5, 4, 2))


def prepare() -> mpi.MpiCommunicator:
    """The communicator of the ranks, which train this network."""
    Recipe.build_network = lambda recipe: network()
    communicator.PIECE = 64  # bytes: a piece for each parameter
    return mpi.MpiCommunicator()


def trainer(comm) -> Trainer:
    return Trainer.from_recipe(RECIPE, dataset(), seed=3, device="cuda", comm=comm)


def train(*comms) -> dict:
    """An epoch with each of these: losses and predictions of each step, the test, the weights."""
    steps, t = [], trainer(comms[0])
    for comm in comms:
        if comm is not t.comm:
            state, t = t.state(), trainer(comm)
            t.restore(*state)
        for sums in t.steps():
            steps.append([sums.loss, *sums.wrong.tolist(), *sums.companions.tolist()])
        line, _ = t.end_epoch()
    return {
        "steps": steps,
        "test": [line["test_loss"], *line["test_error"].values()],
        "weights": np.concatenate([to_host(p.value).ravel() for p in t.network.parameters()]).tolist(),
        "checksum": t.checksum(),
        "device": t.backend.device_name,
        "graphs": [s.graph.reason or ("captured" if s.graph.graph else "none") for s in t.train_step.captured.values()],
    }


def main() -> int:
    comm = prepare()
    alone, *two = (train(*EPOCHS * [c]) for c in (ALONE, comm, comm))
    apart = max(float(np.abs(np.subtract(alone[k], two[0][k])).max()) for k in ("steps", "weights"))
    alike = len({checksum for t in two for checksum in comm.gather(t["checksum"])}) == 1
    if comm.is_first:
        print(
            f"{two[0]['device']}: {apart:.1e} apart from one, bits of two runs {'alike' if alike else 'differ'}, "
            f"graph: {two[0]['graphs'][0]}"
        )
    comm.leave()
    return 0 if apart < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
