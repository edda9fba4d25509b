"""Unpacking of archives that may not be what they say.

Nothing is written: the wanted members are returned as bytes, so an archive cannot write to any path. What an
archive claims is compared with what is expected before it is read, and what is unpacked is counted, so that a small file
cannot fill the memory.
"""

import gzip
import posixpath
import tarfile
from collections.abc import Mapping
from typing import IO

from engine.errors import UserError

OVERHEAD = 1 << 20  # bytes that an archive may have beside its members: headers, padding

Sizes = Mapping[str, tuple[int, int]]  # a file's name: the fewest and the most bytes that it may have


class _Counted:
    """A stream that may be read up to a limit."""

    def __init__(self, stream: IO[bytes], limit: int):
        self.stream, self.left = stream, limit

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise UserError("unpacks to more than its members can be")
        return data


def check_size(name: str, size: int, sizes: Sizes) -> None:
    """Raise UserError unless a file of this name may have this size."""
    least, most = sizes[name]
    if not least <= size <= most:
        expected = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        raise UserError(f"{name} has {size:,} bytes, expected {expected}")


def untar(file: IO[bytes], sizes: Sizes, folder: str) -> dict[str, bytes]:
    """Return the bytes of those members of a tar archive, packed with gzip or not, that `sizes` names.

    They lie in `folder` inside the archive, or at its top.

    Raises:    UserError when a member is anything but one of these files, once each, or their folder: a link, a device,
               a path that leads elsewhere, another file; when one has another size; when the archive is broken or cut
               short, or unpacks to more than its members can be.
    """
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    limit = sum(most for _, most in sizes.values()) + OVERHEAD
    stream = _Counted(gzip.GzipFile(fileobj=file) if packed else file, limit)  # type: ignore[arg-type]  # both have read
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # read is all it needs
            for member in archive:
                name = _accepted(member, sizes, folder)
                if name in found:
                    raise UserError(f"holds {name} twice")
                if name:
                    content = archive.extractfile(member)
                    assert content is not None  # it is a file
                    found[name] = content.read()
                    check_size(name, len(found[name]), sizes)
        while stream.read(1 << 16):  # to the end, where gzip has its checksum
            pass
    except UserError:
        raise
    except Exception as error:  # tarfile reports damage with nearly any exception
        raise UserError(f"cannot be unpacked ({str(error) or type(error).__name__})") from error
    return found


def _accepted(member: tarfile.TarInfo, sizes: Sizes, folder: str) -> str:
    """Return the name of a wanted file, "" for the folder it lies in; refuse everything else."""
    path = member.name.removeprefix("./")
    shown = repr(member.name[:100])
    if member.islnk() or member.issym():
        raise UserError(f"holds a link {shown}")
    if posixpath.isabs(member.name) or ".." in path.split("/"):
        raise UserError(f"holds a path that leads elsewhere, {shown}")
    if member.isdir() and path in (".", folder):
        return ""
    name = path.removeprefix(f"{folder}/")
    if not member.isreg() or name not in sizes:
        raise UserError(f"holds {shown}, which does not belong there")
    check_size(name, member.size, sizes)
    return name
