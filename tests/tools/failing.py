"""`tools/fuzz.py` with readers that fail, one in each way."""

import os
import signal
import sys

import numpy as np

from engine.errors import UserError
from tools import fuzz
from tools.fuzzing.kinds import Kind


def make(folder):
    return [b"intact"]


def failing(action):
    """A reader that takes the intact file, and does this where the file is another."""

    def read(folder):
        if (folder / "file.txt").read_bytes() != b"intact":
            action(folder)

    return Kind("file.txt", make, read)


def crash(folder):
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(folder):
    while True:
        pass


def fill_memory(folder):
    try:
        np.ones(3 << 30, np.uint8)
    except MemoryError:
        raise UserError("does not fit into memory: close other programs") from None


def refuse(sentence):
    raise UserError(sentence)


fuzz.SECONDS = 1
fuzz.KINDS.clear()
fuzz.KINDS.update(
    {
        "good": failing(lambda folder: refuse("a sentence.")),
        "crash": failing(crash),
        "hang": failing(hang),
        "memory": failing(fill_memory),
        "traceback": failing(lambda folder: [][0]),
        "lines": failing(lambda folder: refuse("two\nlines")),
        "opened": failing(lambda folder: open(folder.parents[1] / "other.txt", "w").close()),
    }
)

if __name__ == "__main__":
    sys.exit(fuzz.main())
