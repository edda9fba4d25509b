"""Whether `engine`, `layers` and `data` are the project's own: they are common names."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

OWN = ("engine", "layers", "data")


def expect_own_packages(root: Path = Path(__file__).parents[1]) -> None:
    """Raise ImportError, or end a command with one line, where Python finds another module of one of these names.

    root -- the folder that holds the packages
    """
    for name in OWN:
        spec = find_spec(name)
        found = spec.origin if spec and spec.origin else "none"
        if Path(found).resolve() != (root / name / "__init__.py").resolve():
            message = (
                f"cldl needs its own package {name!r}, and Python finds {found}: rename it, or start in another folder."
            )
            if sys.argv[:1] == ["-m"]:  # the command of python -m cldl.COMMAND is being imported
                print(f"error: {message}", file=sys.stderr)
                raise SystemExit(2)
            raise ImportError(message)
