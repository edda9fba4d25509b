"""One decorator for every CPU kernel: compiled by Numba, cached on disk, without the interpreter's lock.

A kernel is a function of arrays and numbers that loops over elements. `NUMBA_DISABLE_JIT=1` runs the same text as plain
Python: slow, and the way to step through a kernel in a debugger or to measure line coverage.

Numba recompiles a kernel when its own file has changed, but a compiled kernel contains the code of those that it calls, in other
files. So compiled kernels are cached in a folder that is named by a hash of all files that contain kernels (unless
NUMBA_CACHE_DIR names another).
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import config, njit

from engine.io.files import cache_folder

KERNEL_SOURCES = ("codegen/*.py", "kernels/cpu/*.py", "ops/*.py", "memory.py", "random.py")
KEPT_VERSIONS = 8  # cache folders, those used last

# contract: a * b + c may become one fused multiply-add. nsz, arcp, afn: algebra that keeps NaN and infinity meaningful.
# reassoc (reordering sums) is left out: a kernel that wants sums in lanes writes them.
FAST_MATH = {"contract", "nsz", "arcp", "afn"}


def _kernel_folder() -> str:
    """The cache folder of this version's kernels, created if need be; "" where it cannot be: Numba then chooses one."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in KERNEL_SOURCES for path in Path(__file__).parents[1].glob(pattern)):
        digest.update(path.read_bytes())
    folder = cache_folder() / "kernels" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder, ns=(time.time_ns(),) * 2)
        by_use = sorted(folder.parent.iterdir(), key=lambda other: other.stat().st_mtime_ns, reverse=True)
        for old in by_use[KEPT_VERSIONS:]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        return ""
    return str(folder)


_FOLDER = config.CACHE_DIR or _kernel_folder()


def _compiled(**options: Any) -> Callable[[Callable], Any]:
    def decorate(kernel: Callable) -> Any:
        previous, config.CACHE_DIR = config.CACHE_DIR, _FOLDER
        try:
            return njit(cache=True, nogil=True, error_model="numpy", **options)(kernel)
        finally:
            config.CACHE_DIR = previous

    return decorate


# A literal int argument has its own Numba type, and every new literal forces a recompilation; these have the type intp.
ZERO, ONE, MINUS_ONE = np.intp(0), np.intp(1), np.intp(-1)

jit = _compiled(fastmath=FAST_MATH)
exact = _compiled()
