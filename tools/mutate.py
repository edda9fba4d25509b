"""Mutation testing: one bug at a time is put into the code, and the tests must notice.

    python tools/mutate.py                         the layers and the loss: all mutants, from scratch
    python tools/mutate.py engine                  another group of files
    python tools/mutate.py layers 'layers.relu.*'  only those whose names match

mutmut makes the mutants and runs the tests; `GROUPS` says of what, and by which tests. It leaves decorated functions alone,
and the heart of the loss is one: `@exact` compiles it. The layers' group compiles nothing (`NUMBA_DISABLE_JIT=1`), so the
decorator does nothing there, and mutmut works on a copy of the project without it, in build/mutation.

Prints the change that every survivor makes, the score of every file, and that of the group last. Exit code 1 if fewer mutants
died than the group asks for.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build" / "mutation"
PACKAGES = ("engine", "data", "layers", "cldl", "tests", "tools")


@dataclass(frozen=True)
class Group:
    """Files that are mutated, the arguments by which pytest selects their tests, the least score in %, and the environment."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    least: float = 90.0
    environment: dict[str, str] = field(default_factory=dict)


SLOW = (  # whole networks forwards and backwards
    "test_cldl_nin_has_the_right_gradient_for_pixels_and_every_weight",
    "test_the_first_network_of_every_family_has_the_right_gradient_for_pixels_and_every_weight",
    "test_float32_and_float64_agree_end_to_end",
    "test_weights_move_between_a_network_with_one_exit_and_one_with_five",
)
LEARNING = (  # seconds each, and what they find others find too
    "test_training_lowers_the_loss",
    "test_the_other_methods_learn_too",
)

GROUPS = {
    "layers": Group(
        files=("layers/*", "cldl/loss.py", "cldl/arguments.py"),
        tests=(
            *("tests/layers", "tests/cldl/test_loss.py", "tests/cldl/test_inference.py"),
            "--deselect=tests/layers/test_layers.py::test_a_layer_passes_the_check[Network",  # slow, and as Sequential's
        ),
        least=95.0,
        environment={"NUMBA_DISABLE_JIT": "1"},
    ),
    "engine": Group(
        files=(
            *("engine/ops/convolution.py", "engine/ops/fft_convolution.py", "engine/ops/fused_linear.py"),
            *("engine/runtime/cpu.py", "engine/context.py", "engine/memory.py"),
            *("engine/optim/*", "engine/parameters.py", "engine/random.py", "engine/initialisers.py", "engine/io/*"),
        ),
        tests=("tests/engine",),
        environment={"NUMBA_DISABLE_JIT": "1"},
    ),
    "training": Group(
        files=("cldl/training/[!c]*", "cldl/inference.py", "cldl/objective.py"),  # without cuda/
        tests=(
            *("tests/cldl/training", "tests/cldl/test_objective.py", "tests/cldl/test_inference.py"),
            *("tests/cldl/test_resume.py", "tests/cldl/test_data_of_a_run.py"),
            *("tests/cldl/reporting/test_display.py", "tests/cldl/reporting/test_terminal.py"),
            *(f"--deselect=tests/cldl/training/test_trainer.py::{name}" for name in LEARNING),
        ),
    ),
    "recipes": Group(
        files=("cldl/recipes/*", "cldl/models/*"),
        tests=(
            *("tests/cldl/recipes", "tests/cldl/models", "tests/cldl/test_train_options.py"),
            *(f"--deselect=tests/cldl/models/test_models.py::{name}" for name in SLOW),
        ),
    ),
    "report": Group(
        files=("cldl/report.py", "cldl/reporting/*"),
        tests=("tests/cldl/reporting", "tests/cldl/test_report.py"),
    ),
    "estimator": Group(
        files=("cldl/estimator/*", "cldl/prediction.py", "cldl/nearest.py"),
        tests=("tests/cldl/estimator", "tests/cldl/test_predict.py", "tests/cldl/test_train_options.py"),
    ),
    "exporting": Group(files=("cldl/exporting/*",), tests=("tests/cldl/exporting",)),
    "interop": Group(files=("cldl/interop/*",), tests=("tests/cldl/interop",)),
    "data": Group(files=("data/*",), tests=("tests/data",)),
}


def mutmut(*arguments: str, environment: dict[str, str], capture: bool = True) -> str:
    """Run mutmut in the copy; its output, where it is captured."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=COPY, env=environment, text=True, capture_output=capture, check=True)
    return done.stdout or ""


def make_copy(group: Group) -> None:
    """Make the copy, fresh: the packages, where the loss is mutated without its `@exact`, and mutmut's settings."""
    shutil.rmtree(COPY, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, COPY / package, ignore=shutil.ignore_patterns("__pycache__"))
    if "cldl/loss.py" in group.files:
        loss = COPY / "cldl" / "loss.py"
        loss.write_text(loss.read_text().replace("@exact\n", ""))
    sources = sorted({name.split("/")[0] for name in group.files})
    settings: dict[str, object] = {
        "source_paths": sources,
        "only_mutate": list(group.files),
        "also_copy": [package for package in PACKAGES if package not in sources],
        "pytest_add_cli_args_test_selection": list(group.tests),
        "pytest_add_cli_args": ["-p", "no:cacheprovider"],
        "timeout_multiplier": 4.0,  # in CPU time, twice this times the sum of the constant and what the tests take unchanged
        "timeout_constant": 5.0,
        "use_git_change_detection": False,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    pyproject = (ROOT / "pyproject.toml").read_text()
    (COPY / "pyproject.toml").write_text("\n".join([pyproject, "[tool.mutmut]", *lines, ""]))


def score(states: list[str]) -> float:
    """The share of mutants that the tests noticed, in %."""
    return 100 * sum(state in ("killed", "timeout") for state in states) / len(states)


def main(name: str, patterns: list[str]) -> int:
    """Run a group's mutants, report the survivors, and say whether they are few enough."""
    group = GROUPS[name]
    environment = os.environ | {"HYPOTHESIS_PROFILE": "mutation"} | group.environment
    started = time.monotonic()
    make_copy(group)
    mutmut("run", *patterns, environment=environment, capture=False)
    lines = mutmut("results", "--all", "true", environment=environment).splitlines()
    states = {name: state for name, state in (line.strip().split(": ") for line in lines) if state != "not checked"}
    for mutant in (mutant for mutant, state in states.items() if state not in ("killed", "timeout")):
        print(mutmut("show", mutant, environment=environment))
    files: dict[str, list[str]] = {}
    for mutant, state in states.items():
        files.setdefault(mutant.rpartition(".")[0], []).append(state)
    for file, of_file in sorted(files.items()):
        print(f"{score(of_file):5.1f} % of {len(of_file):4} {file}")
    total = list(states.values())
    counts = ", ".join(f"{count} {state}" for state, count in Counter(total).items())
    print(f"{len(total)} mutants in {(time.monotonic() - started) / 60:.0f} minutes: {counts}")
    print(f"mutation score of {name}: {score(total):.1f} % (at least {group.least:.0f} % are needed)")
    return int(score(total) < group.least)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Put one bug at a time into the code: the tests must notice.")
    parser.add_argument("group", nargs="?", default="layers", choices=GROUPS, help="which files (default: layers)")
    parser.add_argument("patterns", nargs="*", help="only the mutants whose names match, as 'layers.relu.*'")
    arguments = parser.parse_args()
    sys.exit(main(arguments.group, arguments.patterns))
