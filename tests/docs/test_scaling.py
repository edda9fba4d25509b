"""The commands of the page on several processes are those that there are; those of mpiexec run."""

import re
import shlex
from pathlib import Path

import pytest

from cldl.train import parse
from tests.of_ranks import mpiexec

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
TRAININGS = [words for words in map(shlex.split, COMMANDS) if "cldl.train" in words]


def arguments(words):
    return words[words.index("cldl.train") + 1 :]


@pytest.mark.parametrize("words", TRAININGS, ids=" ".join)
def test_each_training_has_options_that_there_are(words):
    parse(arguments(words))


def test_the_programs_that_it_names_are_there():
    root = Path(__file__).parents[2]
    names = re.findall(r"`(?:python |sudo )?(?:-m )?((?:tools/|benchmarks\.)\w+)", PAGE)
    assert {"tools/kill_runs", "tools/namespaces", "benchmarks.scaling"} <= set(names)
    for name in names:
        assert list(root.glob(f"{name.replace('.', '/')}.*")), name


def test_the_one_of_mpiexec_on_cpus_runs(tmp_path):
    (words,) = [words for words in TRAININGS if words[0] == "mpiexec" and "cuda" not in words]
    given = [str(tmp_path / "run") if word == "runs/two" else word for word in arguments(words)]
    small = ["--classifiers", "2", "--loss.weights", "1,1", "--epochs", "1"]
    out, error, status = mpiexec(words[2], "tests.of_ranks", "none", 0, *given, *small)
    assert (error, status) == ("", 0)
    assert "epoch 1/1" in out
