"""The command that serves a run: its address, its refusals, and how it ends."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from cldl import serve
from cldl.serve import listen, main
from tests.cldl import tiny

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from cldl.commands import leave
from cldl.recipes.recipe import Recipe
from cldl.serve import main
from tests.cldl import tiny

Recipe.build_network = lambda recipe: tiny.network()
leave(main)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    return tiny.run(tmp_path / "run", monkeypatch)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_answers_there_and_ends_by_a_signal(run, kind):
    picture = io.BytesIO()
    Image.fromarray(tiny.bright(4)[..., 0]).save(picture, format="png")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    arguments = [sys.executable, "-c", PROGRAM, str(run.folder), "--port", "0"]
    with subprocess.Popen(arguments, cwd=ROOT, env=os.environ, start_new_session=True, **pipes) as process:
        try:
            first = process.stdout.readline()
            address = re.fullmatch(rf"{run.folder} is at (http://127\.0\.0\.1:\d+) until Ctrl-C\n", first)[1]
            with urllib.request.urlopen(f"{address}/api/predict", picture.getvalue(), timeout=30) as response:
                assert json.load(response)["label"] == "4"
            process.send_signal(kind)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()  # where it did not end
    assert (process.returncode, out, err) == (130, "", "stopped.\n")


def test_it_listens_on_this_machine_alone():
    with listen(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        assert listener.family == socket.AF_INET


def test_a_port_that_is_taken_is_one_sentence(run, capsys):
    with listen(0) as taken:
        port = taken.getsockname()[1]
        assert main([str(run.folder), "--port", str(port)]) == 2
    sentence = f"error: port {port} is taken: choose another one by --port, or 0 for any that is free.\n"
    assert capsys.readouterr() == ("", sentence)


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(run, capsys, port):
    assert main([str(run.folder), "--port", port]) == 2
    assert capsys.readouterr().err.startswith("error: argument --port: ")


@pytest.mark.parametrize("package", serve.PACKAGES)
def test_without_its_packages_it_says_what_to_install(run, capsys, monkeypatch, package):
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == package else name)
    assert main([str(run.folder)]) == 2
    expected = f"error: the package {package} is needed, and not installed: pip install 'cldl[serve]'.\n"
    assert capsys.readouterr().err == expected


def test_a_folder_that_is_no_run_is_one_line_and_status_2(tmp_path, capsys):
    assert main([str(tmp_path), "--port", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
