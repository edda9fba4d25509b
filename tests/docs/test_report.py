"""The page on the report: its commands run, its thresholds are those of the code, its columns are those of the file."""

import csv
import re
import shlex
from pathlib import Path

from cldl import evaluate, report
from cldl.reporting import claims, gallery, style
from data import registry
from tests.cldl import tiny
from tests.cldl.synthetic import digits

PAGE = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
COMMANDS = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
MAINS = {"cldl.evaluate": evaluate.main, "cldl.report": report.main}


def test_the_commands_run_and_the_file_has_the_columns_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(registry.LOADERS, "mnist", lambda cache, data, say: digits())
    tiny.run(tmp_path / "runs" / "first", monkeypatch)
    (tmp_path / "runs" / "note").mkdir()
    for command in COMMANDS:
        module, *arguments = shlex.split(command)[2:]
        words = [
            path for word in arguments for path in (sorted(map(str, Path().glob(word))) if "*" in word else [word])
        ]
        assert MAINS[module](words) == 0
    assert "hold no run: runs/note." in " ".join(capsys.readouterr().out.split())
    with open("runs.csv", encoding="utf-8") as file:
        names = csv.DictReader(file).fieldnames
    mentioned = re.findall(r"`(\w+)`", PAGE.partition("## For programs")[2])
    assert set(mentioned) <= set(names)
    assert {name for name in names if not re.search(r"error_\w+$", name)} <= set(mentioned)
    assert (tmp_path / "curves.png").exists()


def test_the_thresholds_of_the_page_are_those_of_the_code():
    assert f"differ by {claims.CLEAR:g} standard errors or more" in PAGE
    assert f"decides {claims.SOLE:g} % of the images or more" in PAGE
    assert f"less than {claims.IDLE:g} % |" in PAGE
    assert f"more than {claims.STARVED_TIMES:g} times the error" in PAGE
    assert f"{claims.STARVED_POINTS:g} points more" in PAGE
    assert f"leave it less than {100 * claims.STARVED_LEFT:g} % of its loss" in PAGE
    assert f"one classifier has {style.ONE_COLOUR:g} % of each" in PAGE
    assert f"probability of\n{100 * gallery.SURE:g} % or more" in PAGE
    assert claims.QUARTER == 4
