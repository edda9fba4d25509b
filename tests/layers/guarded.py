"""Guard pages: every layer on arrays that end, or begin, where the process may not read or write.

python -m tests.layers.guarded [CASES]

draws so many cases of each layer, in float32 and float64, then takes the first network of every family, and prints how many
ran. Inputs, gradients, parameters and all scratch memory lie beside a page without access, so that a kernel that reads or
writes outside its arrays ends the process; the name of the case is printed before it runs. Between an array and the page there
may be some bytes, so that scratch arrays begin at a cache line; they are filled with a pattern, and must still have it in the
end.
"""

import ctypes
import faulthandler
import mmap
import sys
from collections.abc import Iterator

import numpy as np

from cldl.gradcheck import chooser
from cldl.recipes import FAMILIES
from cldl.verification.cases import LAYERS, Case, Logits
from cldl.verification.end_to_end import checkable
from engine import context
from engine.context import Context
from engine.memory import LINE
from engine.parameters import cast
from engine.random import Key
from tests.strategies import batch, mapped

PAGE = mmap.PAGESIZE
NO_ACCESS, PATTERN = 0, 0xA5
_protect = ctypes.CDLL(None, use_errno=True).mprotect
_protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Guarded:
    """Arrays between two pages without access: at their end, or at their beginning."""

    def __init__(self, at_end: bool) -> None:
        self.at_end, self._regions = at_end, []

    def empty(self, shape, dtype, alignment=LINE):
        """An array of NaNs, or of the largest integers, that begins at a multiple of `alignment` bytes."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        inner = -(-max(size, 1) // PAGE) * PAGE
        region = mmap.mmap(-1, inner + 2 * PAGE)
        whole = np.frombuffer(region, np.uint8)
        address = whole.__array_interface__["data"][0]
        for page in (address, address + PAGE + inner):
            if _protect(page, PAGE, NO_ACCESS):
                raise OSError(ctypes.get_errno(), "mprotect")
        middle = whole[PAGE : PAGE + inner]
        middle[:] = PATTERN
        start = (inner - size) // alignment * alignment if self.at_end else 0
        own = middle[start : start + size]
        own[:] = 0xFF
        self._regions.append((region, middle[:start], middle[start + size :]))
        return own.view(dtype).reshape(shape)

    def copy(self, array):
        """A copy of an array whose last element, or first, is beside a page without access."""
        copy = self.empty(array.shape, array.dtype, array.itemsize)
        copy[...] = array
        return copy

    def check(self) -> None:
        """Raise unless all bytes around the arrays are as they were."""
        for _, before, after in self._regions:
            assert (before == PATTERN).all(), "something was written before an array"
            assert (after == PATTERN).all(), "something was written behind an array"


class GuardedContext(Context):
    """A pass whose scratch memory and gradients are guarded."""

    def __init__(self, guarded: Guarded, **options) -> None:
        super().__init__(**options)
        self._guarded = guarded

    def empty(self, shape, dtype):
        return self._guarded.empty(shape, dtype)

    def forks(self, threads):
        forks = super().forks(threads)
        for fork in forks:
            fork.empty = self.empty
        return forks

    def gradient(self, parameter):
        if parameter not in self._gradients:
            self._gradients[parameter] = self._guarded.empty(parameter.shape, parameter.dtype)
            self._gradients[parameter][...] = 0
        return self._gradients[parameter]


def run(case: Case, dtype: type, at_end: bool) -> None:
    """Forward and backward, in training by one thread, and not in training in the parts of three; then in inference."""
    layer, seed = case.layer, case.seed
    cast(layer.parameters(), dtype)
    guarded = Guarded(at_end)
    for p in layer.parameters():
        p.value = guarded.copy(p.value)
    x = mapped(guarded.copy, batch(case, dtype))
    for training in (True, False):
        ctx = GuardedContext(guarded, training=training, key=Key(seed))
        ctx.threads = 1 if training else 3
        y, cache = layer.forward(x, ctx)
        dy = guarded.copy(Key(seed).normal(y.shape).astype(dtype))
        layer.backward(dy, cache, ctx)
        ctx.gradients()
    inference = GuardedContext(guarded)
    inference.needs_backward, inference.threads = False, 3
    layer.forward(x, inference)
    guarded.check()


def drawn(count: int) -> Iterator[tuple[str, Case]]:
    """So many cases of each layer, and the networks of recipes, each with its name."""
    for draw in LAYERS.values():
        for i in range(count):
            case = draw(chooser(Key(0).fold(i)))
            yield f"{case.layer}, {case.samples} samples of shape {case.shape}, seed {case.seed}", case
    for family, recipes in FAMILIES.items():
        network = checkable(recipes[0]).build_network()
        yield family, Case(Logits(network), network.input_shape, 2)


def main(count: int = 200) -> None:
    """Run them all; the last line says how many there were."""
    faulthandler.enable()
    context.LEAST_SHARE = 1
    ran = 0
    for name, case in drawn(count):
        for dtype in (np.float32, np.float64):
            for at_end in (True, False):
                print(f"{name}, {dtype.__name__}, {'end' if at_end else 'beginning'}", flush=True)
                run(case, dtype, at_end)
                ran += 1
    print(f"{ran} cases ran beside pages without access: no fault")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
