"""A user who waits for a compilation is told so, once; with the kernels in the cache there is no message."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, sys
os.environ["CLDL_CACHE"] = sys.argv[1]
import numpy as np
from engine.codegen.jit import jit, told_of_compilation

@jit
def double(x):
    for i in range(len(x)):
        x[i] *= 2

with told_of_compilation(lambda: print("told")):
    double(np.ones(3))
    double(np.ones(3, np.float32))
"""


def test_a_compilation_is_told_once_and_a_cached_kernel_is_not(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run():
        done = subprocess.run(
            [sys.executable, program, tmp_path / "cache"],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run() == "told\n"
    assert run() == ""
