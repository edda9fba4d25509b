"""A network's weights as a safetensors file, which `load_weights` reads."""

from __future__ import annotations

from pathlib import Path

from cldl.interop.files import reading, require
from cldl.interop.from_safetensors import OWN_FORMAT
from engine.device import to_host
from engine.errors import UserError
from engine.io.files import atomic_write
from layers.network import Network


def save_weights(network: Network, path: str | Path) -> None:
    """Write all parameters to a `.safetensors` file, by their names and in the engine's layout; its metadata say so.

    Raises:    UserError where the file has another suffix, cannot be written, or the library is not installed.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise UserError(f"weights are written as .safetensors, not as {path.name}: choose such a name.")
    with reading(path):
        library = require("safetensors.numpy")
    arrays = {parameter.name: to_host(parameter.value) for parameter in network.parameters()}
    with atomic_write(path) as file:
        file.write(library.save(arrays, metadata={"format": OWN_FORMAT}))
