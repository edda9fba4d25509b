"""Do both engines compute the same? The same weights, images and labels, without dropout: the loss and every gradient.

In float64 they agree to rounding: nothing but the order of the sums is different. In float32 that order decides near
the kinks of ReLU and pooling. If one of the n elements of a feature map falls to the other side, the gradient changes
by about 1 / sqrt(n) of its norm; any two orders may differ by one such element in the smallest map. Beyond that, each
engine must be as near to float64 as the other, within a small factor.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.interleaved import Worker
from engine.errors import UserError
from layers.network import Network
from layers.relu import ReLU

DOUBLE = 1e-9
FACTOR = 4.0

Gradients = dict[str, np.ndarray]


@dataclass(frozen=True)
class Agreement:
    """The largest relative differences, over the loss and all gradients (in norm)."""

    double: float  # of the two engines in float64
    single: float  # of the two engines in float32
    ours: float  # of this engine in float32 from float64
    theirs: float
    tie: float  # what one element that falls to the other side of its kink may change in float32

    @property
    def holds(self) -> bool:
        near, far = sorted((self.ours, self.theirs))
        return self.double <= DOUBLE and far <= max(self.tie, FACTOR * near)

    def __str__(self) -> str:
        return (
            f"same loss and gradients: float64 to {self.double:.0e}; float32 to {self.single:.0e}, "
            f"where cldl is {self.ours:.0e} from float64 and PyTorch {self.theirs:.0e}"
        )


def check(ours: Worker, theirs: Worker, folder: Path, network: Network, batch: int) -> Agreement:
    """Compare the two; raises UserError if they do not compute the same."""
    exact, exact_theirs = (_gradients(worker, folder, double=True) for worker in (ours, theirs))
    single, single_theirs = (_gradients(worker, folder, double=False) for worker in (ours, theirs))
    found = Agreement(
        double=distance(exact_theirs, exact),
        single=distance(single_theirs, single),
        ours=distance(single, exact),
        theirs=distance(single_theirs, exact),
        tie=1
        / math.sqrt(batch * min(math.prod(shape) for node, shape, _ in network.rows() if isinstance(node.layer, ReLU))),
    )
    if not found.holds:
        raise UserError(f"the engines do not compute the same, so their times say nothing: {asdict(found)}.")
    return found


def distance(a: Gradients, b: Gradients) -> float:
    """The largest |a - b| / |b| over the arrays of b."""
    if a.keys() != b.keys():
        raise UserError(f"one engine has no gradient of {', '.join(a.keys() ^ b.keys())}: compare the two networks.")
    return max(float(np.linalg.norm(a[name] - b[name]) / np.linalg.norm(b[name])) for name in b)


def _gradients(worker: Worker, folder: Path, double: bool) -> Gradients:
    """Loss and gradients of the job's first batch, in float64 for the comparison."""
    path = folder / "gradients.npz"
    loss = worker.ask("check", double=double)
    with np.load(path) as arrays:
        return {"loss": np.array(loss), **{name: arrays[name].astype(np.float64) for name in arrays.files}}
