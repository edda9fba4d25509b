"""Which file imports which, between and inside the four packages: no circle, and none upwards.

python tools/imports.py            the folders in order, each with the folders that it imports
python tools/imports.py --files    the same for files

The exit status is 1 if there is a circle.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "data", "layers", "cldl")
Graph = dict[str, set[str]]


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the packages by its dotted name."""
    paths = (path for package in PACKAGES for path in sorted((root / package).rglob("*.py")))
    return {".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}


def imported(path: Path) -> Iterable[str]:
    """The dotted names that a file imports, at its top or inside functions; `from a import b` gives a.b and a."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
                yield node.module


def between_files(root: Path = ROOT) -> Graph:
    """For each module the modules that it imports; of `from a import b` the module a.b where there is one, else a."""
    known = modules(root)
    graph: Graph = {}
    for name, path in known.items():
        found = [n for n in imported(path) if n in known]
        packages = {n.rpartition(".")[0] for n in found if known[n] != known.get(n.rpartition(".")[0])}
        graph[name] = {n for n in found if n not in packages or known[n].name != "__init__.py"} - {name}
    return graph


def between_folders(graph: Graph) -> Graph:
    """The same between folders, the engine's three levels deep, others' two; a file at a package's top stands for itself."""
    known = modules()
    paths = {name: known[name].relative_to(ROOT) for name in graph}
    depth = {name: 3 if path.parts[0] == "engine" else 2 for name, path in paths.items()}
    folder = {
        name: str(path if len(path.parts) == 2 else Path(*path.parent.parts[: depth[name]]))
        for name, path in paths.items()
    }
    folders: Graph = {place: set() for place in folder.values()}
    for name, others in graph.items():
        folders[folder[name]] |= {folder[other] for other in others} - {folder[name]}
    return folders


def in_order(graph: Graph) -> list[str]:
    """The names so that each comes after what it imports; raises CycleError if they cannot be ordered."""
    return list(TopologicalSorter({name: sorted(others) for name, others in sorted(graph.items())}).static_order())


def main(arguments: list[str]) -> int:
    """Print the graph; the exit status."""
    files = between_files()
    graph = files if "--files" in arguments else between_folders(files)
    try:
        order = in_order(graph)
    except CycleError as circle:
        print(f"a circle of imports: {' -> '.join(circle.args[1])}", file=sys.stderr)
        return 1
    for name in order:
        print(f"{name:28} {', '.join(sorted(graph[name], key=order.index))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
