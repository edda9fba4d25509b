"""The oldest versions that pyproject.toml allows, as constraints for pip: `python tools/oldest.py [EXTRA...] >constraints.txt`.

The lower bound of each dependency becomes its only version, so that a test run shows whether the bound is true. What a bound
names for other platforms keeps its marker; dependencies of dependencies are pip's to choose.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOUND = re.compile(r"(?P<name>[\w.-]+)[^;>]*>=\s*(?P<version>[\w.]+)[^;]*(?P<marker>;.*)?")


def oldest(extras):
    """A line `name==version; marker` for each dependency, and each of the extras', that has a lower bound."""
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    for match in map(BOUND.fullmatch, [requirement for group in groups for requirement in group]):
        if match:
            yield f"{match['name']}=={match['version']}{match['marker'] or ''}"


if __name__ == "__main__":
    print(*oldest(sys.argv[1:]), sep="\n")
