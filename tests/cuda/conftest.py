"""Under the CUDA simulator stand-ins replace CuPy and nvmath-python, so that the tests for a GPU can be run."""

import os

if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    from tests.cuda import stand_in, stand_in_nvmath

    stand_in.install()
    stand_in_nvmath.install()
