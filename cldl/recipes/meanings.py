"""What the values of a spec mean, in the words of its docstrings: lines such as `dropout -- the probability that ...`."""

from __future__ import annotations

import inspect
import re
from typing import Any

LINE = re.compile(r"((?:\w+, )*\w+) +-- (.+)")


def meanings(spec: type[Any]) -> dict[str, str]:
    """The meaning of each value by its name; a class's own words come before those of the classes that it is made from.

    >>> from cldl.recipes.optimisers import SGDSpec
    >>> meanings(SGDSpec)["weight_decay"]
    'alpha, the factor of the penalty on the weights'
    """
    found: dict[str, str] = {}
    for part in reversed(spec.__mro__):
        names: list[str] = []
        for line in inspect.cleandoc(part.__doc__ or "").splitlines():
            if match := LINE.fullmatch(line):
                names = match[1].split(", ")
                found |= dict.fromkeys(names, match[2])
            elif line.startswith(" ") and names:  # the text goes on
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
            else:
                names = []
    return found
