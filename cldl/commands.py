"""What the commands share: parsing, and errors in one line."""

from __future__ import annotations

import argparse
import functools
import io
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, Protocol

from cldl import signals
from cldl.nearest import nearest
from engine.device import DEVICES, PRECISIONS
from engine.errors import UserError
from engine.io.files import CACHE


class Main(Protocol):
    """A command: arguments (sys.argv's where None) to exit status."""

    def __call__(self, argv: list[str] | None = None) -> int: ...


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UserError, where argparse's own prints the usage and exits."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """All arguments; of an option that there is not, the error says which one may be meant."""
        options, others = self.parse_known_args(args, namespace)
        if others:
            self.refuse(others[0])
        return options

    @property
    def names(self) -> list[str]:
        """All option strings, such as --threads."""
        return [string for action in self._actions for string in action.option_strings]

    def refuse(self, word: str) -> NoReturn:
        """Raise UserError for a word that is no option of these."""
        option = word.partition("=")[0]
        if not option.startswith("-"):
            raise UserError(f"{word!r} is one argument too many (--help lists them).")
        similar = nearest(option.removeprefix("--"), [name.removeprefix("--") for name in self.names], prefix="--")
        raise UserError(f"there is no option {option}{similar or ' (--help lists them).'}")

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the options).")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help that tells the defaults, where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        none = action.default is None or action.default is False or action.default == []
        return action.help if none else super()._get_help_string(action)


def parser(prog: str, description: str, **options: Any) -> Parser:
    """A parser whose help shows the defaults, and which takes no abbreviations."""
    return Parser(
        prog=f"python -m {prog}",
        description=description,
        allow_abbrev=False,
        formatter_class=HelpFormatter,
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


def add_device_arguments(to: argparse.ArgumentParser, precision: str | None = PRECISIONS[0]) -> None:
    """--device and --precision, with this default."""
    to.add_argument("--device", choices=DEVICES, default="auto", help="auto is an NVIDIA GPU where CuPy finds one")
    to.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=precision,
        help=f"what a GPU's matrix products are computed in (otherwise {PRECISIONS[0]}); sums and weights are float32 anyway",
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


def again(module: str, *arguments: object) -> str:
    """The command line that runs a command of this installation again, whether its environment is active or not.

    Under make it is make's: the target `mnist`, which names the recipe mnist_nin itself, takes the other arguments in ARGS.
    """
    words = [str(argument) for argument in arguments]
    options = words[1:] if words[:1] == ["mnist_nin"] else words
    is_of_mnist_nin = not options or options[0].startswith("-")
    if module == "cldl.train" and is_of_mnist_nin and os.environ.get("MAKELEVEL"):
        return f"make mnist ARGS={shlex.quote(shlex.join(options))}" if options else "make mnist"
    return shlex.join([_interpreter(), "-m", module, *words])


def _interpreter() -> str:
    """`python` where that is the one that runs; otherwise its path, as seen from the current folder where that is shorter."""
    found = shutil.which("python")
    if found and os.path.abspath(found) == os.path.abspath(sys.executable):
        return "python"
    with suppress(ValueError):  # on another drive
        return min(sys.executable, os.path.relpath(sys.executable), key=len)
    return sys.executable


def guarded(main: Main) -> Main:
    """Turn a UserError into one line and exit status 2, Ctrl-C into status 130, and a closed pipe into 141.

    SIGTERM and SIGHUP are as Ctrl-C. What the output cannot show is shown by its code; one that is closed shows nothing; one
    that cannot be written to is an error.
    """

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        with output(), signals.handled(), without_missing_backend():
            try:
                try:
                    return main(argv)
                finally:
                    sys.stdout.flush()
            except (UserError, MemoryError, KeyboardInterrupt) as error:
                line, status = last_line(error)
                print(line, file=sys.stderr)
                return status
            except BrokenPipeError:
                _discard_output()
                return 141
            except OSError as error:
                if _takes_output():
                    raise
                _discard_output()
                reason = error.strerror or error
                print(f"error: the output cannot be written ({reason}): send it somewhere else.", file=sys.stderr)
                return 2

    return run


def last_line(error: BaseException) -> tuple[str, int]:
    """What a command says of the exception that ends it, and its exit status; of an unforeseen one, nothing and 1."""
    if isinstance(error, UserError):
        return f"error: {error}", 2
    if isinstance(error, MemoryError):
        return f"error: not enough memory ({error}): use a smaller --batch-size or fewer --threads.", 2
    return (signals.STOPPED, signals.STATUS) if isinstance(error, KeyboardInterrupt) else ("", 1)


def leave(main: Main) -> NoReturn:
    """End the process with the status of a command; a stopped one does not wait for its threads, which may be compiling."""
    status = main()
    if status == signals.STATUS:
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


@contextmanager
def output() -> Iterator[None]:
    """Have standard output and error, which may be closed or of an encoding without some characters, take any text."""
    with ExitStack() as undo:
        for name, redirect in (("stdout", redirect_stdout), ("stderr", redirect_stderr)):
            stream = getattr(sys, name)
            if stream is None:  # closed by >&-
                undo.enter_context(redirect(undo.enter_context(open(os.devnull, "w", encoding="utf-8"))))
            elif isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
                undo.callback(stream.reconfigure, errors=stream.errors)
                stream.reconfigure(errors="backslashreplace")
        yield


def _takes_output() -> bool:
    """Whether standard output can be written to, so that it was something else that failed."""
    try:
        print(flush=True)
    except OSError:
        return False
    return True


def _discard_output() -> None:
    """Have what is left of the output go nowhere, so that the flush at exit is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def without_missing_backend() -> Iterator[None]:
    """Leave out a notebook's MPLBACKEND where its module is not installed, as matplotlib would refuse it; none is needed."""
    backend = os.environ.get("MPLBACKEND", "")
    package = backend.removeprefix("module://").partition(".")[0]
    if not backend.startswith("module://") or find_spec(package):
        yield
        return
    del os.environ["MPLBACKEND"]
    try:
        yield
    finally:
        os.environ["MPLBACKEND"] = backend
