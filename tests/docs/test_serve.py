"""The page on serving: its commands run, its fields are those of the answers, its limits those of the server."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from cldl import serve
from cldl.__main__ import main
from cldl.joint import SURE
from cldl.training.early_exit import USUAL
from cldl.web import app
from cldl.web.answer import Answerer
from tests.cldl import tiny
from tests.cldl.web.serving import ask, served

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
FIELDS = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(tiny.bright(7)[..., 0]).save("seven.png")
    return tiny.run(tmp_path / "runs" / "first", monkeypatch)


def test_every_command_runs(run, monkeypatch, capsys):
    install, command, curl = COMMANDS
    assert install == "pip install 'cldl[serve]'"
    assert f"`http://{serve.HOST}:{serve.PORT}`" in PAGE
    with monkeypatch.context() as patch:
        patch.setattr(serve, "PORT", 0)  # the usual one may be taken
        patch.setattr("uvicorn.Server.run", lambda server, sockets: None)  # which would wait for Ctrl-C
        assert main(shlex.split(command)[1:]) == 0
    assert re.fullmatch(r"runs/first is at http://127\.0\.0\.1:\d+ until Ctrl-C\n", capsys.readouterr().out)
    if not shutil.which("curl"):
        return
    answerer = Answerer(run, run.model(threads=1))
    with served(answerer, answerer.about) as port:
        words = shlex.split(curl.replace(str(serve.PORT), str(port)))
        done = subprocess.run([*words, "--silent", "--noproxy", "*"], capture_output=True, timeout=60)
    assert json.loads(done.stdout)["label"] == "7"


def test_its_tables_have_the_fields_of_an_answer(run):
    answerer = Answerer(run, run.model(threads=1))
    found = answerer(Path("seven.png").read_bytes())
    assert [name for name, _ in FIELDS] == list(found)
    named = {name: re.findall(r"`(\w+)`", meaning) for name, meaning in FIELDS}
    assert set(found["classifiers"][0]) == set(named["classifiers"])
    assert set(found["exit"]) == set(named["exit"])
    assert set(found["likeliest"][0]) == set(named["likeliest"])
    with served(answerer, answerer.about) as port:
        about = ask(port, path="/api/run")[2]
    sentence = re.search(r"`GET /api/run` says(.*?)\.\n", PAGE, re.DOTALL)[1]
    assert re.findall(r"`(\w+)`", sentence) == list(about)


def test_its_limits_are_the_servers():
    assert f"more than {app.MAX_BYTES:,} bytes" in PAGE
    assert f"did not arrive within {app.UPLOAD_SECONDS:g} seconds" in PAGE
    assert f"no answer within {app.ANSWER_SECONDS:g} seconds" in PAGE
    assert f"more than {serve.CONNECTIONS} connections" in PAGE
    assert f"a confidence of {SURE} is asked for" in PAGE
    assert f"that for {USUAL} points more error" in PAGE
