"""An array that a kernel allocated is freed after the last use of its pointer, if the kernel keeps it alive."""

import re

import numpy as np
import pytest
from numba import config, njit

from engine.codegen.pointers import keep_alive, load, pointer, store


def careful(x, n):
    own = np.zeros(64, x.dtype)
    p, q = pointer(own), pointer(x)
    for _ in range(n):
        store(p, 0, load(q, 0))
        store(q, 0, load(p, 0) + load(q, 0))
    keep_alive(own)


def careless(x, n):
    own = np.zeros(64, x.dtype)
    p, q = pointer(own), pointer(x)
    for _ in range(n):
        store(p, 0, load(q, 0))
        store(q, 0, load(p, 0) + load(q, 0))


@pytest.mark.skipif(config.DISABLE_JIT, reason="plain Python counts references by itself")
@pytest.mark.parametrize(("kernel", "last"), [(careful, "NRT_decref"), (careless, "store")])
def test_an_array_that_is_kept_alive_is_freed_last(kernel, last):
    compiled = njit(kernel)
    x = np.ones(64, np.float32)
    compiled(x, 3)
    assert x[0] == 8
    (code,) = compiled.inspect_llvm().values()
    body = next(part for part in code.split("\n}") if "define" in part and "MemInfo_alloc" in part)
    assert re.findall(r"NRT_decref|store(?= <\d+ x float>)", body)[-1] == last
