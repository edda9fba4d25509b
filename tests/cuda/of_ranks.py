"""`tests.of_ranks`, the command with a fault on one rank, on simulated GPUs."""

import sys

from cldl.commands import leave
from tests import of_ranks
from tests.cuda import two_gpus  # noqa: F401 -- which installs the stand-ins

if __name__ == "__main__":
    of_ranks.AT_STEP = 1
    leave(lambda argv=None: of_ranks.train(*sys.argv[1:]))
