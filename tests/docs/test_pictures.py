"""The page on pictures: its commands run, its sentences are those of refusals, and its fields are printed."""

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cldl.predict import main
from cldl.prediction import COLUMNS
from data.pictures import strokes
from tests.cldl import tiny

PAGE = (Path(__file__).parents[2] / "docs" / "pictures.md").read_text(encoding="utf-8")
COMMANDS = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
FOR_PROGRAMS = PAGE.partition("## For programs")[2].partition("##")[0]


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """What each command of the page prints, of a picture that is read and one that is refused."""
    monkeypatch.chdir(tmp_path)
    tiny.run(tmp_path / "runs" / "first", monkeypatch)
    Image.fromarray(tiny.bright(3)[..., 0]).save("one.jpg", quality=95)
    Image.fromarray(np.full((80, 90), 200, np.uint8)).save("two.webp")
    output = []
    for command in COMMANDS:
        assert command.startswith("python -m cldl.predict ")
        assert main(shlex.split(command)[3:]) == 2
        output.append(capsys.readouterr().out)
    return output


def test_every_command_runs_and_shows_what_was_given(printed, tmp_path):
    assert len(printed) == 3
    assert (tmp_path / "given.png").exists()


def test_the_fields_of_json_and_the_columns_of_csv_are_those_of_the_page(printed):
    of_json, of_csv = FOR_PROGRAMS.split("`--format csv`")
    read, refused = map(json.loads, printed[1].splitlines())
    assert set(read) | {k for field in ("likeliest", "classifiers") for k in read[field][0]} == set(
        re.findall(r"`(\w+)`", of_json)
    )
    assert refused["refused"]
    assert tuple(re.findall(r"`(\w+)`", of_csv)) == COLUMNS == tuple(next(csv.reader(printed[2].splitlines())))


def test_every_refusal_is_on_the_page():
    sentences = [strokes.NOTHING, strokes.EDGE, strokes.SHAPE, strokes.TEXTURE, strokes.SEVERAL.format(3)]
    assert re.findall(r"^\| (shows .*?) \|", PAGE, re.MULTILINE) == sentences
    assert f"less than {strokes.FAINTEST} of 255" in PAGE
    assert f"{strokes.NOISE} times the noise" in PAGE
    assert f"smaller than {strokes.DRAWN} pixels" in PAGE
