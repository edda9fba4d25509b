"""A trained network, out of its run's folder."""

from __future__ import annotations

from cldl.training.run import Run
from engine.errors import UserError
from layers.network import Network


def load_network(run: Run) -> Network:
    """The network of a run with the weights of its checkpoint.

    Raises:    UserError if there is no checkpoint, it is damaged, or it is of another network than the run's.
    """
    network = run.recipe.build_network()
    arrays, _ = run.load()
    for parameter in network.parameters():
        stored = arrays.get(f"weights/{parameter.name}")
        if stored is None or stored.shape != parameter.shape or stored.dtype != parameter.dtype:
            raise UserError(
                f"{run.folder / 'checkpoint.h5'} does not hold the weights of the network in config.json "
                f"({parameter.name} is not there or differs): restore both files of one run."
            )
        parameter.value[...] = stored
    return network
