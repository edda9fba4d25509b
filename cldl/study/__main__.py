"""python -m cldl.study: the gradient taken apart in the terminal, then in figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cldl import commands
from cldl.study import walk

DEFAULT = "gradient"


def parser() -> argparse.ArgumentParser:
    """The studies, a sub-command each."""
    main = commands.parser("cldl.study", f"Studies of CLDL; without a name, `{DEFAULT}`.")
    studies = main.add_subparsers(dest="study", metavar="STUDY", required=True)
    gradient = studies.add_parser(
        DEFAULT,
        help="one sample's loss and gradient, term by term and by four roads, then the figures",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    gradient.add_argument("--out", type=Path, default=Path("study"), metavar="DIR", help="where the figures go")
    return main


@commands.guarded
def main(argv: list[str] | None = None) -> int:
    """Run one study; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv = [DEFAULT, *argv]
    options = parser().parse_args(argv)
    walk.gradient(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
