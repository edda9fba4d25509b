"""Under the CUDA simulator stand-ins take the places of CuPy and nvmath-python, so that what needs a GPU can be tried."""

import os

if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    from tests.cuda import stand_in, stand_in_nvmath

    stand_in.install()
    stand_in_nvmath.install()
