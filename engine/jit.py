"""One decorator for every CPU kernel: compiled by Numba, cached on disk, free of the interpreter lock.

A kernel is a function of arrays and numbers that loops over elements. `NUMBA_DISABLE_JIT=1` runs the same text as plain
Python: slow, and the way to step through a kernel in a debugger or to measure the coverage of its lines.
"""

from numba import njit

# contract: a * b + c may become one fused multiply-add. nsz, arcp, afn: algebra that keeps NaN and infinity meaningful.
# reassoc (summing in lanes) is left out: a kernel that wants lanes says so in its own loops.
FAST = {"contract", "nsz", "arcp", "afn"}

jit = njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
exact = njit(cache=True, nogil=True, error_model="numpy")
