"""Every command and every code block of the README runs."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from data import registry
from tests.cldl.synthetic import digits

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[-1][:30] for block in BLOCKS])
def test_the_code_runs(block):
    exec(compile(block, "README.md", "exec"), {})


def test_every_make_target_exists_and_installation_is_what_make_does():
    for line in COMMANDS:
        if line.startswith("make "):
            assert re.search(rf"^{line.split()[1]}:", MAKEFILE, re.MULTILINE), line
        elif not line.startswith("python -m cldl"):
            assert line in ("python3 -m venv .venv", ". .venv/bin/activate", "pip install ."), line


def test_the_commands_run_one_after_another(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(registry.LOADERS, "mnist", lambda cache, data, say: digits())
    monkeypatch.setattr("cldl.serve.PORT", 0)  # the usual one may be taken
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: None)  # which would wait for Ctrl-C
    Image.fromarray(digits().test.images[3, :, :, 0]).save("digit.png")
    run = [shlex.split(line)[2:] for line in COMMANDS if line.startswith("python -m cldl")]
    assert len(run) >= 6
    for module, *arguments in run:
        package = importlib.util.find_spec(module).submodule_search_locations
        main = importlib.import_module(f"{module}.__main__" if package else module).main
        assert main(arguments) == 0, (module, arguments, capsys.readouterr().err)


def test_every_page_that_is_linked_exists():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert all((ROOT / link).exists() for link in links)
