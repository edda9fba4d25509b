"""Refuse private words where the field has one of its own: `make lint` runs it over every tracked text file.

python tools/check_words.py [FILE ...]

Prints a line for each retired word, with what to say instead; the exit status is 1 if there is one. What the words mean here
is in docs/glossary.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXEMPT = ("tools/check_words.py", "tests/test_words.py", "docs/lab-notes/", "LICENSE")  # histories keep their words

RETIRED = {  # a pattern: what the field says
    # sentences
    r"house|houses": "project",
    r"rooms?": "package; or memory, space",
    r"mend(s|ed|ing)?": "fix",
    r"slips?": "bug, mistake",
    r"whoever|nobody": "name who, or say it in the passive",
    r"who is done": "idle threads",
    r"(the )?way back": "backward pass",
    r"(given|give|gives|gave) back": "freed; or returned",
    r"lent": "handed out",
    r"asked for early": "prefetched",
    r"thousand million": "billion; GFLOP",
    r"blackboard": "reference",
    r"pushes|pushed|push": "gradient, with its sign: dd",
    # names
    r"if_greater|if_equal": "select_gt, select_eq",
    r"HEIGHTS|WIDEST": "MR, NR",
    r"Filters|Maps": "FusedLayer",
    r"Derived|image_gradient": "WeightTransform, transformed_weight_gradient",
    r"Tally|Outcome|workers_on|Replayed|Ahead|Team": "EpochMetrics, StepResult, make_backend, CapturedGraph, Prefetcher, Backend",
    r"on_cpu|copy_to|_seen|module_of": "to_host, copy_from_host, as_kernel_argument, array_module",
    r"release_since|keeping": "ctx.empty, ctx.needs_backward",
    r"deciders": "deciding_exits",
    r"promises?": "check",
    r"WHOLES|bend|bends": "END_TO_END, third_difference",
}
PATTERNS = [(re.compile(rf"(?<![\w`])({pattern})(?!\w)", re.IGNORECASE if pattern.islower() else 0), say)
            for pattern, say in RETIRED.items()]  # fmt: skip


def retired_words(text: str) -> Iterator[tuple[int, str, str]]:
    """Each retired word of a text, as (line, word, what to say instead)."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, say in PATTERNS:
            for found in pattern.finditer(line):
                yield number, found[1], say


def tracked() -> list[str]:
    """The text files of the repository that are held to the vocabulary."""
    listed = subprocess.run(["git", "ls-files", "*.py", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if not name.startswith(EXEMPT) and (ROOT / name).exists()]


def main(files: Sequence[str]) -> int:
    """Check the files, or all tracked ones; the exit status."""
    count = 0
    for name in files or tracked():
        for line, word, say in retired_words((ROOT / name).read_text(encoding="utf-8")):
            print(f"{name}:{line}: {word!r} is retired; say: {say}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
