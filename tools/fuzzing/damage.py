"""How an intact file is damaged: its bytes, or its structure, so that damage gets past checksums and parsers."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

Restructure = Callable[[Random, bytes], bytes]

EDGES = (0, 1, 0x7F, 0x80, 0xFF)
VALUES = (  # what takes the place of a value in JSON
    "null", "true", "false", "0", "1", "-1", "2", "0.5", "-0.5", "1e9", "1e400", "-1e400", "NaN", "Infinity", "-Infinity",
    str(2**31), str(2**63), str(2**64), "9" * 300, "1" + "0" * 5000, '""', '"1"', '"x"', r'"\ud800"', r'"\u0000"',
    r'"\u001b[2J"', '"' + "x" * 100_000 + '"', "[]", "{}", "[[]]", "[1, 2, 3]", '{"a": 1}', '[["a"], [1.5]]', '{"type": "nin"}',
    "'", "1 2", "", "[" * 100_000, "[" * 900 + "]" * 900, '{"a":' * 100_000, "[" + "0," * 100_000 + "0]", "[" + "0," * 80 + "0]",
)  # fmt: skip


def damage(random: Random, seeds: Sequence[bytes], restructure: Restructure | None) -> bytes:
    """One of the intact files, damaged: half of the time by its structure, where it has one."""
    data = random.choice(seeds)
    if restructure and random.random() < 0.5:
        return restructure(random, data)
    return damage_bytes(random, data, random.choice(seeds))


def damage_bytes(random: Random, data: bytes, other: bytes = b"") -> bytes:
    """Some of: bits flipped, bytes and numbers at the edge, cuts, blocks inserted, repeated, exchanged, another file's end."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        n = len(out)
        if not n:
            break
        # headers are short and at the front
        at = random.randrange(n) if random.random() < 0.6 else random.randrange(min(n, 128))
        size = min(n - at, random.choice((1, 2, 4, 16, 256, n)))
        match random.randrange(9):
            case 0 | 1:
                out[at] ^= 1 << random.randrange(8)
            case 2:
                out[at] = random.choice(EDGES)
            case 3:
                width = random.choice("BHIQ")
                number = struct.pack(random.choice("<>") + width, random.getrandbits(8 * struct.calcsize(width)))
                out[at : at + len(number)] = number
            case 4:
                del out[at:]
            case 5:
                del out[at : at + size]
            case 6:
                out[at:at] = random.randbytes(min(size, 4096)) if random.random() < 0.5 else out[at : at + size]
            case 7:
                to = random.randrange(n)
                out[at : at + size], out[to : to + size] = out[to : to + size], out[at : at + size]
            case 8:
                out[at:] = other[random.randrange(len(other) + 1) :]
    return bytes(out)


def json_tree(random: Random, data: bytes) -> bytes:
    """A text of JSON with values exchanged, names dropped, repeated or added."""
    tree = json.loads(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        nodes = [tree]
        for node in nodes:
            nodes += (
                v for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, (dict, list)) and v
            )
        node = random.choice(nodes)
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = random.choice(keys)
        match random.randrange(6) if isinstance(node, dict) else 0:
            case 0 | 1 | 2:
                node[key] = f"@{random.randrange(len(VALUES))}@"
            case 3:
                del node[key]
            case 4:
                node[random.choice(("future", "1", "", "a\n", key + " ", key.upper()))] = node[key]
            case 5:
                node[key] = node[random.choice(keys)]
    text = json.dumps(tree)
    for i, value in enumerate(VALUES):
        text = text.replace(f'"@{i}@"', value)
    if random.random() < 0.1:
        text = (
            text.replace('": ', '": 1, "', 1)
            if random.random() < 0.5
            else text.replace("{", '{"seed": 1, "seed": 1, ', 1)
        )
    return text.encode("utf-8", "surrogatepass")


def json_lines(random: Random, data: bytes) -> bytes:
    """Lines of JSON of which one is damaged, or lines dropped, repeated or exchanged."""
    lines = data.splitlines()
    at, to = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines *= random.choice((2, 1000))
        case 2:
            lines[at], lines[to] = lines[to], lines[at] * 2
        case _:
            lines[at] = json_tree(random, lines[at])
    return b"\n".join(lines) + b"\n"


def inside_gzip(random: Random, data: bytes) -> bytes:
    """A file packed by gzip that was damaged before it was packed."""
    return gzip.compress(damage_bytes(random, gzip.decompress(data)), 1, mtime=0)


def chunks(random: Random, data: bytes) -> bytes:
    """A PNG file whose chunks are damaged, their sums right; anything else as bytes."""
    out, data = io.BytesIO(), damage_bytes(random, data)
    out.write(data[:8])
    at = 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + size]
        out.write(data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + size
    return out.getvalue() if data[1:4] == b"PNG" else data


def arrays(random: Random, data: bytes) -> bytes:
    """An HDF5 file of `engine.io.storage` whose attributes or arrays are others, its sum right; or whose header is damaged."""
    import h5py
    import numpy as np

    from engine.io.storage import write_arrays

    with h5py.File(io.BytesIO(data)) as file:
        header = json.loads(file.attrs["header"])
        found: dict[str, Any] = {}
        file.visititems(lambda name, item: found.update({name: item[...]}) if isinstance(item, h5py.Dataset) else None)
    if random.random() < 0.3:
        image, text = io.BytesIO(data), json_tree(random, json.dumps(header).encode())
        # the first format has no long texts
        with suppress(OSError), h5py.File(image, "r+", libver=("v110", "v110")) as file:
            file.attrs.create("header", np.bytes_(text or b" "))
        return image.getvalue()
    attributes = header["attributes"]
    if attributes and random.random() < 0.6:
        try:
            attributes = json.loads(json_tree(random, json.dumps(attributes).encode()))
        except (ValueError, RecursionError):
            return damage_bytes(random, data)
    for _ in range(random.randrange(3) if found else 0):
        name = random.choice(list(found))
        array = found.pop(name)
        dtype = np.dtype(random.choice(("u1", "i8", ">f4", "f8", "?", "f2")))
        changed = random.choice(
            (array[:-1] if array.ndim else array, array.astype(dtype), array.reshape(-1), array[None], None)
        )
        if changed is not None:
            found[random.choice((name, name, f"{name}x"))] = changed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        try:
            write_arrays(path, found, attributes, kind=header["kind"], version=header["version"])
        except (ValueError, TypeError, RecursionError, OverflowError):
            return damage_bytes(random, data)
        return path.read_bytes()


def safetensors(random: Random, data: bytes) -> bytes:
    """A safetensors file whose header, a JSON text, is damaged, its length right."""
    (size,) = struct.unpack_from("<Q", data)
    header = json_tree(random, data[8 : 8 + size])
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


def protobuf(random: Random, data: bytes) -> bytes:
    """A protobuf message with a field changed, dropped, repeated or moved, at any depth; the lengths around it are right."""
    fields = list(_fields(data))
    if not fields:
        return damage_bytes(random, data)
    at, to = random.randrange(len(fields)), random.randrange(len(fields))
    number, wire, value = fields[at]
    match random.randrange(12):
        case 0:
            del fields[at]
        case 1:
            fields.insert(to, fields[at])
        case 2:
            fields[at] = (random.choice((number + 1, max(1, number - 1), fields[to][0])), wire, value)
        case 3:
            fields[at], fields[to] = fields[to], fields[at]
        case _ if wire == 2:
            deeper = random.random() < 0.9 and any(True for _ in _fields(value))
            fields[at] = (number, wire, protobuf(random, value) if deeper else damage_bytes(random, value))
        case _ if wire == 0:
            new = random.choice((0, 1, 2, 3, 7, 2**31 - 1, 2**31, 2**40, 2**63 - 1, 2**63, 2**64 - 1))
            fields[at] = (number, wire, _varint(new))
    return b"".join(_varint(n << 3 | w) + (_varint(len(v)) if w == 2 else b"") + v for n, w, v in fields)


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The fields of a message, (number, wire type, bytes); none where it is no message."""
    found, at = [], 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        start = at
        if wire == 0:
            _, at = _read_varint(data, at)
        elif wire in (1, 5):
            at += {1: 8, 5: 4}[wire]
        elif wire == 2:
            size, start = _read_varint(data, at)
            at = start + size
        else:
            return
        if not number or at > len(data):
            return
        found.append((number, wire, data[start:at]))
    yield from found


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and the place behind it; beyond the end where it is cut short."""
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7
    return value, len(data) + 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
