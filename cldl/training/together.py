"""What several ranks do together at the beginning of a run: load its data in turns, and see that all have the same.

Each works for a single process, too, where it does nothing but its part.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cldl.recipes.recipe import Recipe
from cldl.recipes.stored import to_json
from cldl.training.run import Run
from data.dataset import Dataset
from data.transforms.preprocessing import Preprocessing
from engine.errors import UserError
from engine.runtime.communicator import Communicator
from engine.runtime.pool import available_processors

T = TypeVar("T")


def in_turns(comm: Communicator, load: Callable[[], T]) -> T:
    """What `load` gives, on each rank, where the first call may fill a cache: rank 0, then one rank of each other node, then all.

    So a cache is filled by one rank, whether the nodes share it or each has its own.
    """
    nodes = comm.gather(platform.node())
    leads_node = nodes.index(nodes[comm.rank]) == comm.rank
    turn = 2 - leads_node - comm.is_first  # rank 0 leads its node, too
    for now in range(3):
        if now == turn:
            loaded = load()
        comm.wait_for_all()
    return loaded


def check_same(comm: Communicator, facts: dict[str, Any], remedy: str) -> None:
    """Raise UserError, on all ranks, where a rank has other facts than rank 0; it names the rank.

    >>> from engine.runtime.communicator import ALONE
    >>> check_same(ALONE, {"numpy": "2.4.0"}, "install the same")
    """
    (_, own), *others = comm.gather([platform.node(), facts])
    for rank, (node, theirs) in enumerate(others, 1):
        for name, value in theirs.items():
            if value != own[name]:
                told = f" ({_short(value)}, not {_short(own[name])})"
                raise UserError(f"rank {rank} on {node} has another {name} than rank 0{told}: {remedy}.")


def data_facts(comm: Communicator, recipe: Recipe, dataset: Dataset, preprocessing: Preprocessing) -> dict[str, Any]:
    """What must be the same on all ranks, where there are several, once the data are loaded."""
    if comm.size == 1:
        return {}
    sha256 = {"training data": dataset.train.fingerprint, "test data": dataset.test.fingerprint}
    return {"recipe": to_json(recipe), **sha256, "preprocessing": preprocessing.sha256}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def fair_threads(comm: Communicator) -> int:
    """How many threads each rank can have so that those on one node share its processors, the same number on all."""
    own = platform.node()
    every = comm.gather([own, available_processors()])
    ranks = Counter(processor for node, processors in every if node == own for processor in processors)
    share = sum(1 / ranks[processor] for processor in every[comm.rank][1])
    return max(1, min(comm.gather(int(share + 1e-9))))


class FollowedRun(Run):
    """The run as the other ranks see it: rank 0 alone writes its folder."""

    def record(self, lines: list[dict]) -> None:
        """Leave it to rank 0."""

    def save(self, arrays: dict, numbers: dict) -> None:
        """Leave it to rank 0."""

    def change_epochs(self, epochs: int, done: int) -> None:
        """Leave it to rank 0."""


def on_first(comm: Communicator, make: Callable[[], Run]) -> Run:
    """The run that rank 0 makes or opens, on all ranks."""
    run = make() if comm.is_first else None
    folder, config = comm.gather(run and [str(run.folder), run.config])[0]
    return run or FollowedRun(Path(folder), config)
