"""No kernel reads or writes outside its arrays."""

import subprocess
import sys

import pytest
from numba import config

COUNTED = "cases ran beside pages without access: no fault"
ARRAY = """
import ctypes
from tests.layers.guarded import Guarded
guarded = Guarded(at_end={at_end})
array = guarded.empty(({size},), "u1", {alignment})
address = array.__array_interface__["data"][0] + ({offset})
ctypes.c_ubyte.from_address(address).value{act}
guarded.check()
"""


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.skipif(config.DISABLE_JIT, reason="plain Python checks every index by itself")
def test_no_layer_reads_or_writes_outside_its_arrays():
    done = python("-m", "tests.layers.guarded", "2")
    last = (done.stdout.splitlines() or [""])[-1]
    assert done.returncode == 0, f"{last}\n{done.stderr}"
    assert COUNTED in last


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.parametrize(("at_end", "offset"), [(True, 100), (False, -1)])
@pytest.mark.parametrize("act", ["", " = 1"], ids=["read", "write"])
def test_an_access_beside_the_array_ends_the_process(at_end, offset, act):
    inside = ARRAY.format(at_end=at_end, size=100, alignment=1, offset=offset + (-1 if at_end else 1), act=act)
    assert python("-c", inside).returncode == 0
    assert python("-c", ARRAY.format(at_end=at_end, size=100, alignment=1, offset=offset, act=act)).returncode < 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_a_write_between_the_array_and_the_page_is_noticed():
    done = python("-c", ARRAY.format(at_end=True, size=100, alignment=64, offset=100, act=" = 1"))
    assert done.returncode == 1
    assert "something was written behind an array" in done.stderr
