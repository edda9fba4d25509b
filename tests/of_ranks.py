"""Programs that several ranks run in tests, and how they are started.

python -m tests.of_ranks FAULT RANK [ARGUMENT ...]      `python -m cldl.train` on a small network, with a fault on one rank
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cldl.commands import leave

ROOT = Path(__file__).parents[1]
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
AT_STEP = 4  # of the second epoch


def mpiexec(ranks, *words, wait=True, **variables):
    """`python -m ...` on so many ranks, with variables of the environment: what it printed and its status, or the process."""
    pytest.importorskip("mpi4py")
    if MPIEXEC is None:
        pytest.skip("there is no mpiexec (pip install mpich)")
    command = [MPIEXEC, "-n", str(ranks), sys.executable, "-m", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", **variables}
    process = subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    if not wait:
        return process
    out, error = process.communicate(timeout=100)
    return out, error, process.returncode


def tell(comm, found):
    """Print what each rank has found, an object of JSON, and end MPI."""
    every = comm.gather(found)
    if comm.is_first:
        json.dump(every, sys.stdout)
    comm.leave()


def network():
    """Two linear classifiers behind dropout."""
    from layers.dropout import Dropout
    from layers.flatten import Flatten
    from layers.linear import Linear
    from layers.sequential import Sequential
    from tests.networks import stack

    heads = [Sequential(Flatten(), Linear(784, 10)) for _ in range(2)]
    return stack([Dropout(0.5) for _ in range(2)], heads, (28, 28, 1))


def break_down(fault):
    """What happens on the one rank."""
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    if fault == "hung":
        time.sleep(1000)
    if fault == "memory":
        raise MemoryError("1 TB")


def train(fault, rank, *arguments):
    """The command, with a fault on a rank."""
    from cldl.recipes.recipe import Recipe
    from cldl.train import main
    from cldl.training.ranks import launched
    from cldl.training.trainer import Trainer
    from data import registry
    from engine.runtime import mpi, pulse
    from tests.cldl import synthetic

    step, is_there = Trainer._train, launched()[0] == int(rank)

    def _train(self, *batches):
        if is_there and (self.epoch, self.step) == (1, AT_STEP):
            break_down(fault)
        step(self, *batches)

    Trainer._train = _train
    if fault == "stopped":
        pulse.SILENCE = mpi.SILENCE = 5.0
    if fault == "hung":
        mpi.PATIENCE = 2.0
    sys.modules["cldl.reporting.run_report"] = SimpleNamespace(write_report=lambda *_: "none")  # without figures
    Recipe.build_network = lambda recipe: network()
    if fault == "device" and is_there:
        sys.modules["cldl.start"].choose = lambda device: "cuda"
    number = 52 if fault == "data" and is_there else 48
    registry.LOADERS["mnist"] = lambda cache, data, say: synthetic.digits(number)
    return main(list(arguments))


if __name__ == "__main__":
    leave(lambda argv=None: train(*sys.argv[1:]))
