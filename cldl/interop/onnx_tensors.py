"""The arrays of an ONNX file, and of the files beside it that may hold their numbers.

A name of such a file is taken as the name of a file in the same folder, and of nothing else: no folder, no link, no device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cldl.interop.stored import Tensor, checked_shape, expect_bytes, from_bytes
from engine.errors import UserError
from engine.io.fields import shown
from engine.typing import Array, Shape

TYPES = {1: ("<f4", "float_data"), 10: ("<f2", "int32_data"), 11: ("<f8", "double_data")}  # of TensorProto
EXTERNAL = 1


class TensorFile:
    """What reads the arrays of the ONNX file `path`; `others` are the files beside it that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.others: list[Path] = []

    def tensor(self, name: str, proto: Any) -> Tensor | None:
        """An array, or None where it is none of floats.

        Raises:    UserError, a predicate, where it has no such shape, or more numbers or fewer.
        """
        if proto.data_type not in TYPES or not proto.dims:
            return None
        shape = checked_shape(name, tuple(proto.dims))
        return Tensor(name, shape, self._reader(name, proto, shape))

    def _reader(self, name: str, proto: Any, shape: Shape) -> Callable[[], Array]:
        dtype, field = TYPES[proto.data_type]
        size = math.prod(shape)
        if proto.data_location == EXTERNAL:
            return self._external(name, {e.key: e.value for e in proto.external_data}, dtype, shape)
        if proto.HasField("raw_data"):
            expect_bytes(name, len(proto.raw_data), dtype, shape)
            return lambda: from_bytes(name, proto.raw_data, dtype, shape)
        held = len(getattr(proto, field))
        if held != size:
            raise UserError(f"has {held:,} numbers for {shown(name)} of shape {shape}, expected {size:,}")

        def read() -> Array:
            numbers = getattr(proto, field)
            if field == "int32_data":  # the bits of a float16 each
                bits = (np.fromiter(numbers, np.int64, size) & 0xFFFF).astype("<u2")
                return from_bytes(name, bits.tobytes(), dtype, shape)
            return from_bytes(name, np.fromiter(numbers, dtype, size).tobytes(), dtype, shape)

        return read

    def _external(self, name: str, entries: dict[str, str], dtype: str, shape: Shape) -> Callable[[], Array]:
        """What reads an array from another file in the same folder."""
        location = entries.get("location", "")
        other = self.path.parent / location
        plain = location.isprintable() and not set(location) & set("/\\:")
        if not plain or other.is_symlink() or not other.is_file():
            raise UserError(f"keeps {shown(name)} in {shown(location)}, which is no file in its folder")
        try:
            offset, size = int(entries.get("offset", "0")), math.prod(shape) * np.dtype(dtype).itemsize
            length = int(entries.get("length", size))
        except ValueError:
            raise UserError(f"keeps {shown(name)} at a place that is no number") from None
        if length != size or not 0 <= offset <= other.stat().st_size - size:
            raise UserError(f"keeps {shown(name)} of shape {shape} in {size:,} bytes of {location} that are not there")
        if other not in self.others:
            self.others.append(other)

        def read() -> Array:
            with other.open("rb") as file:
                file.seek(offset)
                return from_bytes(name, file.read(size), dtype, shape)

        return read
