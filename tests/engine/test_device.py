import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from engine.context import Context
from engine.device import check_same_device, choose, contiguous, dispatch, on_gpu
from engine.errors import UserError
from engine.kernels.cpu.elementwise import relu_forward
from layers import Conv2d, Linear
from tests.on_gpu import OnGpu

needs_no_cupy = pytest.mark.skipif(find_spec("cupy") is not None, reason="CuPy is installed here")


def test_the_device_follows_the_arrays():
    x = np.zeros(3, np.float32)
    assert not on_gpu(x)
    assert on_gpu(x.view(OnGpu))


def test_a_kernel_of_arrays_on_the_cpu_runs_on_the_cpu():
    x = np.array([-1, 2], np.float32)
    y = np.empty_like(x)
    dispatch(relu_forward, x, y)
    assert y.tolist() == [0, 2]


def test_a_kernel_without_a_cuda_version_is_refused_with_the_remedy():
    with pytest.raises(
        UserError, match=r"len has no version for the GPU: pass NumPy arrays, or register .*cuda_version_of"
    ):
        dispatch(len, np.zeros(3).view(OnGpu))


@pytest.mark.parametrize("there", [0, 1])
def test_arrays_on_two_devices_are_refused_with_the_remedy(there):
    arrays = [np.zeros(3, np.float32), np.zeros(3, np.float32)]
    arrays[there] = arrays[there].view(OnGpu)
    with pytest.raises(UserError, match=r"some arrays are on the CPU and others on the GPU.*cupy\.asnumpy"):
        check_same_device(*arrays)
    with pytest.raises(UserError, match="some arrays are on the CPU and others on the GPU"):
        check_same_device((arrays[0], arrays[1]), 1.0, None)


@pytest.mark.parametrize(("layer", "shape"), [(Linear(3, 2), (1, 3)), (Conv2d(3, 2, 1), (1, 2, 2, 3))])
def test_two_precisions_or_two_devices_in_one_layer_are_refused_with_the_remedy(layer, shape):
    with pytest.raises(UserError, match=r"input is float64 and its weights are float32.*x.astype\('float32'\)"):
        layer.forward(np.zeros(shape), Context())
    with pytest.raises(UserError, match="some arrays are on the CPU and others on the GPU"):
        layer.forward(np.zeros(shape, np.float32).view(OnGpu), Context())


def test_a_contiguous_array_is_not_copied():
    x = np.zeros((2, 3))
    assert contiguous(x) is x
    assert contiguous(x.T).flags.c_contiguous


@needs_no_cupy
def test_auto_is_the_cpu_where_cupy_is_not_installed_and_cuda_is_refused_with_the_remedy():
    assert choose("auto") == choose("cpu") == "cpu"
    with pytest.raises(UserError, match=r"CuPy is not installed: pip install 'cldl\[cuda13\]'.*leave --device out"):
        choose("cuda")


def test_an_unknown_device_is_refused():
    with pytest.raises(UserError, match="'tpu' is unknown; choose one of auto, cpu, cuda"):
        choose("tpu")


def test_nothing_of_cuda_is_imported_before_it_is_asked_for():
    code = "import sys, cldl.train, cldl.predict; print(*(m for m in sys.modules if m.startswith(('cupy', 'nvmath'))))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []
