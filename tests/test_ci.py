"""What runs elsewhere fits this repository: the workflow's targets, the hooks' tools, the oldest packages."""

import re
import runpy
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW = (ROOT / ".github" / "workflows" / "test.yml").read_text()
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text()
oldest = runpy.run_path(str(ROOT / "tools" / "oldest.py"))["oldest"]


def names(requirements):
    return {re.match(r"[\w.-]+", requirement)[0] for requirement in requirements}


def test_every_target_of_the_workflow_exists_and_is_no_file():
    targets = re.findall(r"run: make (\S+)", WORKFLOW)
    assert len(targets) == len(re.findall(r"\brun:", WORKFLOW)) >= 5
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    for target in targets:
        assert re.search(rf"^{target}:.*## ", MAKEFILE, re.MULTILINE), target
        assert target in phony


def test_the_oldest_python_that_is_supported_is_tested():
    oldest_python = PROJECT["requires-python"].removeprefix(">=")
    assert f'python: ["{oldest_python}", ' in WORKFLOW
    versions = re.findall(r'python-version: "(.*)"', WORKFLOW)
    assert set(versions) == {oldest_python}


def test_other_seeds_are_tried_every_night_and_on_request_and_not_with_the_fixed_examples_of_ci():
    job = re.search(r"^  nightly-seeds:\n(.*?)^  \S", WORKFLOW, re.MULTILINE | re.DOTALL)[1]
    assert "if: github.event_name == 'schedule'" in job
    assert "run: make test-seeds" in job
    assert re.search(r"^  schedule:\n    - cron: ", WORKFLOW, re.MULTILINE)
    seeds = re.search(r"^SEEDS \?= (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    assert len(set(seeds)) == 20
    recipe = re.search(r"^test-seeds:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    assert "HYPOTHESIS_PROFILE=dev" in recipe
    assert "--hypothesis-seed=$$seed" in recipe


def test_hooks_run_tools_that_the_tests_install():
    tools = re.findall(r"entry: \.venv/bin/(\S+)", HOOKS)
    assert set(tools) == {"ruff", "mypy"}
    assert set(tools) <= names(PROJECT["optional-dependencies"]["test"])


def test_every_dependency_has_an_oldest_version():
    lines = list(oldest(["test"]))
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+(;.*)?", line) for line in lines)
    assert names(lines) == names(PROJECT["dependencies"]) | names(PROJECT["optional-dependencies"]["test"])
    assert "pooch==1.8.2" in lines
