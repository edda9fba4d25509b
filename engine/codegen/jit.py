"""One decorator for every CPU kernel: compiled by Numba, cached on disk, free of the interpreter lock.

A kernel is a function of arrays and numbers that loops over elements. `NUMBA_DISABLE_JIT=1` runs the same text as plain
Python: slow, and the way to step through a kernel in a debugger or to measure the coverage of its lines.

Numba compiles a kernel again when its own file has changed, but a kernel holds the code of those that it calls, in other
files. So compiled kernels are kept in a folder that is named by a sum over all files that have them (unless NUMBA_CACHE_DIR
names another).
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

WITH_KERNELS = ("codegen/*.py", "kernels/cpu/*.py", "ops/*.py", "memory.py", "random.py")
VERSIONS = 8  # of the kernels are kept, those that were used last

# contract: a * b + c may become one fused multiply-add. nsz, arcp, afn: algebra that keeps NaN and infinity meaningful.
# reassoc (summing in lanes) is left out: a kernel that wants lanes says so in its own loops.
FAST = {"contract", "nsz", "arcp", "afn"}


def _kept_in() -> str:
    """The folder for this version's kernels, made if need be; where it cannot be, none: Numba then chooses."""
    total = hashlib.sha256()
    for path in sorted(path for pattern in WITH_KERNELS for path in Path(__file__).parents[1].glob(pattern)):
        total.update(path.read_bytes())
    folder = cache_folder() / "kernels" / total.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder, ns=(time.time_ns(),) * 2)
        by_use = sorted(folder.parent.iterdir(), key=lambda other: other.stat().st_mtime_ns, reverse=True)
        for old in by_use[VERSIONS:]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        return ""
    return str(folder)


_FOLDER = config.CACHE_DIR or _kept_in()


def _compiled(**options: Any) -> Callable[[Callable], Any]:
    def decorate(kernel: Callable) -> Any:
        others, config.CACHE_DIR = config.CACHE_DIR, _FOLDER
        try:
            return njit(cache=True, nogil=True, error_model="numpy", **options)(kernel)
        finally:
            config.CACHE_DIR = others

    return decorate


# Numba compiles a kernel anew for every number that is written out in a call of it; of these it sees but the type.
ZERO, ONE, MINUS = np.intp(0), np.intp(1), np.intp(-1)

jit = _compiled(fastmath=FAST)
exact = _compiled()
