"""Programs of this folder, each run in its own process: Numba decides at import whether it simulates CUDA."""

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

SIMULATED = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}


@cache
def output(module: str, *arguments: str, simulated: bool = False) -> Any:
    """What `python -m tests.cuda.MODULE` prints, as JSON."""
    command = [sys.executable, "-m", f"tests.cuda.{module}", *arguments]
    environment = {**os.environ, **(SIMULATED if simulated else {})}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
