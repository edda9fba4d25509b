"""python -m cldl.study: the gradient taken apart in the terminal and in figures; and the error against M."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from cldl import commands
from cldl.study.variants import TABLES

DEFAULT = "gradient"


def parser() -> commands.Parser:
    """The studies, a sub-command each."""
    main = commands.parser("cldl.study", f"Studies of CLDL; without a name, `{DEFAULT}`.")
    studies = main.add_subparsers(dest="study", metavar="STUDY", required=True)
    gradient = studies.add_parser(
        DEFAULT,
        help="one sample's loss and gradient, term by term and by four methods, then the figures",
        formatter_class=commands.HelpFormatter,
    )
    gradient.add_argument("--out", type=Path, default=Path("study"), metavar="DIR", help="where the figures go")
    passes_on: dict[str, Any] = {
        "epilog": "All other options are those of cldl.train, and go to every run: --epochs, --threads, --data and so on.",
        "formatter_class": commands.HelpFormatter,
        "allow_abbrev": False,
    }
    sweep = studies.add_parser(
        "classifiers",
        help="the poster's second figure: CIFAR-100 with 1 to 5 classifiers, ten runs; goes on where it was stopped",
        **passes_on,
    )
    sweep.add_argument(
        "--out", type=Path, default=Path("runs/classifiers"), metavar="DIR", help="where the runs and the figure go"
    )
    sweep.add_argument("--results", type=Path, metavar="DIR", help="the two files of results (otherwise in --out)")
    sweep.add_argument("--seeds", type=commands.whole(0), nargs="+", default=[0], metavar="SEED", help="of the runs")
    training = studies.add_parser(
        "training",
        help="CLDL, deep supervision and softmax side by side over several seeds; goes on where it was stopped",
        **passes_on,
    )
    training.add_argument("table", choices=TABLES, metavar="TABLE", help=f"what is compared: {', '.join(TABLES)}")
    training.add_argument("--out", type=Path, metavar="DIR", help="where the runs go (otherwise runs/training/TABLE)")
    training.add_argument("--results", type=Path, metavar="FILE", help="the results (otherwise results.jsonl in --out)")
    training.add_argument("--seeds", type=commands.whole(0), nargs="+", default=[0], metavar="SEED", help="of the runs")
    training.add_argument("--only", nargs="+", default=[], metavar="NAME", help="train only these variants")
    return main


@commands.guarded
def main(argv: list[str] | None = None) -> int:
    """Run one study; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help")):
        argv = [DEFAULT, *argv]
    whole = parser()
    options, others = whole.parse_known_args(argv)
    if options.study == "classifiers":
        from cldl.study import classifiers  # here, as matplotlib makes folders when it is imported

        return classifiers.classifiers(options.out, options.results, options.seeds, others)
    if options.study == "training":
        from cldl.study import training

        out = options.out or Path("runs/training") / options.table
        return training.compare(options.table, out, options.results, options.seeds, options.only, others)
    if others:
        whole.refuse(others[0])
    from cldl.study import walk

    walk.gradient(options.out)
    return 0


if __name__ == "__main__":
    commands.leave(main)
