"""All commands under one name.

cldl train mnist_nin
cldl --version
python -m cldl report runs/mnist_nin-20260101-120000    # where the script is not on the PATH
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from cldl import __version__
from cldl.commands import guarded, leave, parser

COMMANDS = {  # the module of each, and what it does
    "train": ("cldl.train", "train a recipe"),
    "evaluate": ("cldl.evaluate", "test a trained run once more"),
    "predict": ("cldl.predict", "classify pictures with a trained run"),
    "serve": ("cldl.serve", "draw digits and drop pictures on a page, and see what a trained run makes of them"),
    "export": ("cldl.export", "write a trained run for other tools: ONNX, PyTorch, safetensors"),
    "report": ("cldl.report", "put runs side by side"),
    "gradcheck": ("cldl.gradcheck", "hold every gradient against differences"),
    "study": ("cldl.study.__main__", "take the gradient apart, or compare methods over several seeds"),
}


@guarded
def main(argv: list[str] | None = None) -> int:
    """Run the command that the first argument names; the exit status is that of the command."""
    commands = "\n".join(f"  {name:10}{meaning}" for name, (_, meaning) in COMMANDS.items())
    p = parser("cldl", f"CLDL, and everything around it.\n\ncommands:\n{commands}")
    p.formatter_class = argparse.RawDescriptionHelpFormatter
    p.add_argument("--version", action="version", version=f"cldl {__version__}")
    p.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="COMMAND --help says what it takes")
    arguments = sys.argv[1:] if argv is None else argv
    command = p.parse_args(arguments[:1]).command
    module, _ = COMMANDS[command]
    return import_module(module).main(arguments[1:])


def script() -> None:
    """The command `cldl`."""
    leave(main)


if __name__ == "__main__":
    script()
