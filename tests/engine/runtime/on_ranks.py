"""What each of several ranks finds, one object of JSON on rank 0's output: run by test_mpi.py under mpiexec."""

import hashlib

import numpy as np

from engine.parameters import FlatBuffer, Parameter
from engine.runtime import communicator, mpi
from engine.runtime.communicator import share
from engine.runtime.cpu import CpuBackend
from tests.engine.runtime.test_cpu import N, X, gradients, network
from tests.of_ranks import tell


def gathered(comm):
    whole = np.arange(2.0 * N).reshape(N, 2), np.arange(N, dtype=np.float32)
    parts = [np.zeros_like(array) for array in whole]
    for part, array in zip(parts, whole, strict=True):
        part[comm.share(N)] = array[comm.share(N)]
    comm.gather_rows(*parts)
    return all(np.array_equal(a, b) for a, b in zip(parts, whole, strict=True))


def summed(comm):
    """Whether a sum, of pieces that are cut and parts that no rank can own alone, is the sum in the order of the ranks."""
    parameters = [Parameter((size,), lambda key, shape: np.zeros(shape)) for size in (3, 1000, 70, 1)]
    flat = FlatBuffer(parameters)
    every = [np.random.default_rng(r).standard_normal(len(flat.buffer)).astype(np.float32) for r in range(comm.size)]
    expected = every[0].copy()
    for array in every[1:]:
        expected += array
    total = comm.gradient_sum(flat)
    found = []
    for _ in range(2):  # two steps
        flat.buffer[...] = every[comm.rank]
        for piece in range(len(total.pieces)):
            total.give(piece)
            total.advance()
        total.finish()
        found.append(np.array_equal(flat.buffer, expected))
    return [len(total.pieces) > 1, *found]


def gradient_bits(comm, threads, overlap, samples):
    net = network(np.float32)
    comm.overlap = overlap
    backend = CpuBackend(net.parameters(), threads=threads, chunk=2, comm=comm)
    x = X[:samples].astype(np.float32)
    found = [gradients(net, backend, x) for _ in range(2)]
    alone = gradients(net, CpuBackend(net.parameters(), threads=1), x)
    near = float(np.abs(found[0] - alone).max() / np.abs(alone).max())
    return [hashlib.sha256(array).hexdigest() for array in found], near


def main():
    communicator.PIECE, mpi.LARGEST = 256, 1024  # bytes: many pieces of little
    comm = mpi.MpiCommunicator()
    array = np.full(3, comm.rank)
    comm.broadcast(array)
    results = {
        "place": [comm.rank, comm.size],
        "share": [comm.share(N).start, share(N, comm.rank, comm.size).stop],
        "rows": gathered(comm),
        "values": comm.gather({"rank": comm.rank, "text": "é" * comm.rank}),
        "broadcast": array.tolist(),
        "any": [comm.any(comm.rank == 1), comm.any(False)],
        "sums": summed(comm),
        "gradients": {
            f"{threads} {samples}": [gradient_bits(comm, threads, overlap, samples) for overlap in (True, False)]
            for threads in (1, 2)
            for samples in (N, 2)
        },
    }
    tell(comm, results)


if __name__ == "__main__":
    main()
