"""One decorator for every CPU kernel: compiled by Numba, cached on disk, without the interpreter's lock.

A kernel is a function of arrays and numbers that loops over elements. `NUMBA_DISABLE_JIT=1` runs the same text as plain
Python: slow, and the way to step through a kernel in a debugger or to measure line coverage. Where compiled kernels are kept
is told in `engine.codegen.kernel_cache`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import config, njit
from numba.core import event

from engine.codegen.kernel_cache import KernelCache

# contract: a * b + c may become one fused multiply-add. nsz, arcp, afn: algebra that keeps NaN and infinity meaningful.
# reassoc (reordering sums) is left out: a kernel that wants sums in lanes writes them.
FAST_MATH = {"contract", "nsz", "arcp", "afn"}


def _compiled(**options: Any) -> Callable[[Callable], Any]:
    def decorate(kernel: Callable) -> Any:
        dispatcher = njit(nogil=True, error_model="numpy", **options)(kernel)
        if not config.DISABLE_JIT:
            dispatcher._cache = KernelCache(kernel)
        return dispatcher

    return decorate


# A literal int argument has its own Numba type, and every new literal forces a recompilation; these have the type intp.
ZERO, ONE, MINUS_ONE = np.intp(0), np.intp(1), np.intp(-1)

jit = _compiled(fastmath=FAST_MATH)
exact = _compiled()


COMPILING = "compiling the kernels of this network, which later runs find in the cache: some seconds to a minute"


@contextmanager
def told_of_compilation(tell: Callable[[], object]) -> Iterator[None]:
    """Call `tell` once, when a kernel is compiled during the block that the cache on the disk does not have."""

    class Listener(event.Listener):
        told = False

        def on_start(self, event: Any) -> None:
            if not self.told:
                self.told = True
                tell()

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield
