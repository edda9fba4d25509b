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


def test_those_of_mpiexec_run_one_after_another(tmp_path):
    started = [words for words in TRAININGS if words[0] == "mpiexec"]
    assert len(started) == 2
    for words in started:
        given = [str(tmp_path / "run") if word == "runs/two" else word for word in arguments(words)]
        small = [] if "--resume" in given else ["--classifiers", "2", "--loss.weights", "1,1", "--epochs", "1"]
        out, error, status = mpiexec(words[2], "tests.of_ranks", "none", 0, *given, *small)
        assert (error, status) == ("", 0)
    assert "the run is one of 20 epochs now" in out
