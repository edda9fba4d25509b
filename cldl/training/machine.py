"""What the bits of a run depend on beside its recipe and seed: versions, the processor, the BLAS."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

PACKAGES = ("cldl", "numpy", "numba", "llvmlite", "h5py")


def versions() -> dict[str, str]:
    """The versions of Python, of the packages that compute, and of the BLAS that NumPy calls."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}, "blas": blas()}


def blas() -> str:
    """The BLAS in use with the kernels that it chose for this processor, as in "openblas 0.3.31 SkylakeX".

    A whitening calls it, where it is fitted and applied, and convolutions by FFT for the gradient of their weights.
    """
    parts = ("internal_api", "version", "architecture")
    found = {
        " ".join(str(pool[part]) for part in parts if pool.get(part))
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    return ", ".join(sorted(found)) or "none"


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def changes(config: Mapping[str, Any]) -> str:
    """What a run's config.json names and this machine has otherwise; empty where nothing differs.

    >>> changes({"versions": versions() | {"numpy": "1.0"}, "machine": processor()})  # doctest: +ELLIPSIS
    'numpy 1.0 (now ...)'
    """
    now = versions() | {"processor": processor()}
    then = config["versions"] | {"processor": config["machine"]}
    return ", ".join(
        f"{name} {then[name]} (now {now[name]})" for name in then if name in now and now[name] != then[name]
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
