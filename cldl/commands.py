"""What the commands share: parsing, the data set's place, and errors in one line."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from data import mnist
from data.cache import VARIABLE
from data.dataset import Dataset
from engine.errors import UserError


class Main(Protocol):
    """A command: arguments (sys.argv's where None) to exit status."""

    def __call__(self, argv: list[str] | None = None) -> int: ...


LOADERS = {"mnist": mnist.load}


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """An argument parser whose help shows the defaults, and which takes no abbreviations."""
    return argparse.ArgumentParser(
        prog=f"python -m {prog}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def add_cache_argument(to: argparse.ArgumentParser) -> None:
    """--cache FOLDER."""
    to.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help=f"where data sets are kept (otherwise ${VARIABLE}, or the user's cache folder)",
    )


def load_dataset(name: str, cache: Path | str | None, say: Callable[[str], object]) -> Dataset:
    """The data set of this name, from the cache or from where it can be had."""
    if name not in LOADERS:
        raise UserError(f"there is no data set {name!r}; choose one of {', '.join(LOADERS)}.")
    return LOADERS[name](cache, say=say)


def whole(least: int, most: int = 2**63 - 1) -> Callable[[str], int]:
    """A whole number from `least` to `most`, for `add_argument(type=...)`."""

    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is out of range: choose a whole number from {least} to {most}")
        return value

    parse.__name__ = "whole number"
    return parse


def guarded(main: Main) -> Main:
    """What the user can mend becomes one line and exit status 2; Ctrl-C becomes 130; a closed pipe is no error."""

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        try:
            return main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except MemoryError as error:
            print(
                f"error: not enough memory ({error}): use a smaller --batch-size or fewer --threads.", file=sys.stderr
            )
            return 2
        except KeyboardInterrupt:
            print("stopped.", file=sys.stderr)
            return 130
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit is quiet
            return 141

    return run
