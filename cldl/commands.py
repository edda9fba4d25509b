"""What the commands share: parsing, and errors in one line."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol

from engine.device import DEVICES, PRECISIONS
from engine.errors import UserError
from engine.io.files import CACHE


class Main(Protocol):
    """A command: arguments (sys.argv's where None) to exit status."""

    def __call__(self, argv: list[str] | None = None) -> int: ...


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UserError, where argparse's own prints the usage and exits."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the options).")


def parser(prog: str, description: str, **options: Any) -> Parser:
    """A parser whose help shows the defaults, and which takes no abbreviations."""
    return Parser(
        prog=f"python -m {prog}",
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        **options,
    )


def add_data_arguments(to: argparse.ArgumentParser) -> None:
    """--data PATH and --cache FOLDER."""
    to.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="the data set's archive, or a folder with its files: read once, then stored in --cache",
    )
    to.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help=f"where data sets are stored (otherwise ${CACHE}, or the user's cache folder)",
    )


def add_device_arguments(to: argparse.ArgumentParser) -> None:
    """--device and --precision."""
    to.add_argument("--device", choices=DEVICES, default="auto", help="auto is an NVIDIA GPU where CuPy finds one")
    to.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="what a GPU's matrix products are computed in; sums and weights are float32 in any case",
    )


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
    """Turn a UserError into one line and exit status 2, Ctrl-C into status 130, and a closed pipe into 141."""

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
