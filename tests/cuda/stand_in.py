"""A stand-in for CuPy on NumPy's arrays, so that all code for a GPU runs without one.

It is strict where CuPy is: an operation on arrays of both kinds fails, and NumPy's functions accept its arrays only where CuPy
has a function of that name. Work in a stream of its own is done as late as possible, when it is waited for. A stream refuses to
be captured, as a real one does under CuPy's cuBLAS. Where `Stream.capturable` lets it, the graph has what other streams were
given meanwhile; the capture fails where one of them has not joined it again.
"""

import ctypes
import sys
import weakref
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np

HAS = {  # NumPy's functions that are called with CuPy arrays, directly or by other functions, and that CuPy has
    "array_equal", "array_split", "concatenate", "copyto", "empty_like", "may_share_memory", "shape", "split", "swapaxes",
    "zeros_like",
}  # fmt: skip


class _Owned(np.ndarray):
    """The bytes of an UnownedMemory; it keeps the owner alive as long as an array is on it."""


class UnownedMemory:
    def __init__(self, ptr, size, owner, device_id):
        assert device_id == Device.current
        raw = np.frombuffer((ctypes.c_uint8 * size).from_address(ptr), np.uint8) if size else np.empty(0, np.uint8)
        self.ptr, self.size, self.bytes = ptr, size, raw.view(_Owned)
        self.bytes.owner = owner


class MemoryPointer:
    def __init__(self, mem, offset):
        self.mem, self.ptr = mem, mem.ptr + offset
        assert offset == 0


class Device:
    current = 0  # of the only thread that uses one
    count = 1  # of the GPUs that this process sees

    def __init__(self, device=None):
        self.id = Device.current if device is None else device

    def use(self):
        assert 0 <= self.id < Device.count, "cudaErrorInvalidDevice"
        Device.current = self.id


class ndarray(np.ndarray):  # noqa: N801 - CuPy's name
    device = property(lambda self: Device())

    def __new__(cls, shape, dtype=np.float64, memptr=None):
        return super().__new__(cls, shape, dtype, None if memptr is None else memptr.mem.bytes)

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        everything = (*inputs, *out)
        if any(type(a) is np.ndarray and a.ndim for a in everything):
            raise TypeError(f"Unsupported type numpy.ndarray in {ufunc.__name__}")
        plain = [a.view(np.ndarray) if isinstance(a, ndarray) else a for a in inputs]
        if out:
            options["out"] = tuple(a.view(np.ndarray) for a in out)
        result = getattr(ufunc, method)(*plain, **options)
        return out[0] if out else np.asarray(result).view(ndarray)

    def __array_function__(self, function, types, arguments, options):
        if function.__name__ not in HAS:
            raise TypeError(f"CuPy has no numpy.{function.__name__}")
        result = super().__array_function__(function, types, arguments, options)
        return result.view(ndarray) if type(result) is np.ndarray else result

    @property
    def data(self):
        return SimpleNamespace(ptr=self.ctypes.data)

    def set(self, host, stream=None):
        if stream is not None:
            return stream.later.append(lambda: self.set(host))
        assert type(host) is np.ndarray
        assert host.shape == self.shape
        assert host.dtype == self.dtype
        assert self.flags.c_contiguous
        self.view(np.ndarray)[...] = host


ndarray.__module__ = "cupy"


def asarray(array, dtype=None):
    return np.array(np.asarray(array), dtype, order="C").view(ndarray)


def asnumpy(array):
    assert isinstance(array, ndarray)
    return np.array(array.view(np.ndarray))


def empty(shape, dtype=np.float64):
    array = ndarray(shape, dtype)
    array.view(np.ndarray).reshape(-1).view(np.uint8)[...] = 0xFF  # NaN, so that a read of unwritten memory shows
    allocated[array.ctypes.data] = array
    return array


allocated: weakref.WeakValueDictionary[int, ndarray] = weakref.WeakValueDictionary()  # by address


def zeros(shape, dtype=np.float64):
    array = empty(shape, dtype)
    array.fill(0)
    return array


def matmul(a, b, out=None):
    assert isinstance(a, ndarray)
    assert isinstance(b, ndarray)
    return np.matmul(a, b, out=out)


class Stream:
    """Its own work is done at once, but for what is in `later`; it remembers what it has waited for."""

    by_pointer: ClassVar = weakref.WeakValueDictionary()
    current = None
    capturable = False

    def __init__(self, non_blocking=False):
        self.later, self.ptr, self.device = [], id(self), Device.current
        self.waited_for = None
        self.origin, self.forked = None, set()  # the stream whose capture this one is in; those that it has to wait for
        Stream.by_pointer[self.ptr] = self

    def __enter__(self):
        self._before, Stream.current = Stream.current, self
        return self

    def __exit__(self, *error):
        Stream.current = self._before

    def synchronize(self):
        assert self.origin is None, "cudaErrorStreamCaptureUnsupported"
        while self.later:
            self.later.pop(0)()

    def wait_event(self, event):
        self.waited_for = event
        if event.origin is None:
            event.synchronize()
        elif self is not event.origin:
            self.origin = event.origin
            self.origin.forked.add(self)
        elif event.behind == len(event.stream.later):
            self.forked.discard(event.stream)

    def begin_capture(self):
        if not Stream.capturable:
            raise RuntimeError("this stream cannot be captured")
        self.origin = self

    def end_capture(self):
        captured = [stream for stream in Stream.by_pointer.values() if stream.origin is self]
        work = [one for stream in captured for one in stream.later]
        unjoined = bool(self.forked)
        for stream in captured:
            stream.origin, stream.later = None, []
        self.forked.clear()
        if unjoined:
            raise RuntimeError("cudaErrorStreamCaptureUnjoined")
        return SimpleNamespace(launch=lambda stream: [one() for one in work])


class Event:
    def __init__(self, disable_timing):
        self._before, self.origin = [], None

    def record(self, stream):
        self._before, self.stream = list(stream.later), stream
        self.origin, self.behind = stream.origin, len(stream.later)

    def synchronize(self):
        assert self.origin is None, "cudaErrorCapturedEvent"
        for work in self._before:
            if work in self.stream.later:
                self.stream.later.remove(work)
                work()


def current_stream():
    return Stream.current or DEFAULT


DEFAULT = Stream()
DEFAULT.ptr = 0


def install(free: int = 2**30, gpus: int = 1) -> ModuleType:
    """Let `import cupy` give the stand-in, on GPUs with so many free bytes."""
    cupy = ModuleType("cupy")
    Device.count = gpus
    cupy.__spec__ = ModuleSpec("cupy", None)
    for thing in (ndarray, asarray, asnumpy, empty, zeros, matmul):
        setattr(cupy, thing.__name__, thing)
    cupy.ascontiguousarray = asarray
    cupy.get_default_memory_pool = lambda: SimpleNamespace(free_bytes=lambda: 0)
    cupy.cuda = ModuleType("cupy.cuda")
    vars(cupy.cuda).update(
        Stream=Stream,
        UnownedMemory=UnownedMemory,
        MemoryPointer=MemoryPointer,
        Event=Event,
        get_current_stream=current_stream,
        Device=Device,
        runtime=SimpleNamespace(
            getDeviceCount=lambda: gpus,
            streamQuery=lambda pointer: 0,
            deviceGetPCIBusId=lambda device: f"0000:{device:02X}:00.0",
            getDeviceProperties=lambda device: {"name": b"simulated GPU"},
            memGetInfo=lambda: (free, free),
        ),
    )
    cupyx = ModuleType("cupyx")
    cupyx.empty_pinned = lambda shape, dtype: np.full(shape, 0xFF, dtype)
    sys.modules |= {"cupy": cupy, "cupy.cuda": cupy.cuda, "cupyx": cupyx}
    return cupy
