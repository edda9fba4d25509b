# Two targets do everything: `make mnist` trains, `make test` tests. Every target makes what it needs.

PYTHON ?= python3
VENV ?= .venv
SEEDS ?= 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
ON_ALL_CORES := --numprocesses auto --dist loadfile
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help mnist test test-seeds test-guards test-gpu test-oldest lint hooks coverage mutate bench docs clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

mnist: $(VENV)/installed  ## install, get MNIST, train CLDL on it, write a report (ARGS='--seed 1 ...')
	$(BIN)/python -m cldl.train mnist_nin $(ARGS)

test: $(VENV)/installed-for-tests lint  ## install, then check style and types and run all tests
	$(BIN)/python -m pytest $(ON_ALL_CORES)

test-seeds: $(VENV)/installed-for-tests  ## the property tests under 20 other seeds, half an hour or more (SEEDS='21 22 ...')
	@failed=0; for seed in $(SEEDS); do \
	  echo "--hypothesis-seed=$$seed"; \
	  HYPOTHESIS_PROFILE=dev $(BIN)/python -m pytest -q --hypothesis-seed=$$seed \
	    $$(grep -rl --include='test_*.py' '@given' tests) || failed=1; \
	done; exit $$failed

test-guards: $(VENV)/installed-for-tests  ## 100 drawn cases of each layer beside pages that may not be touched
	$(BIN)/python -m tests.layers.guarded 100

test-gpu: $(VENV)/installed-for-tests  ## the tests that need an NVIDIA GPU, in this environment; says how many it skips
	$(BIN)/python -m pytest -q -m gpu tests/cuda

test-oldest: $(VENV)-oldest/installed  ## all tests with the oldest packages that pyproject.toml allows, on Python 3.11
	$(VENV)-oldest/bin/python -m pytest $(ON_ALL_CORES)

lint: $(VENV)/installed-for-tests  ## style, vocabulary and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/check_words.py
	$(BIN)/mypy

hooks: $(VENV)/installed-for-tests  ## check style and types before each commit, by pre-commit
	$(PIP) --editable '.[hooks]'
	$(BIN)/pre-commit install

coverage: $(VENV)/installed-for-tests  ## lines of the layers, the loss and the gradient checker that tests run
	NUMBA_DISABLE_JIT=1 HYPOTHESIS_PROFILE=ci $(BIN)/python -m pytest -q --cov --cov-report=term-missing --cov-fail-under=98 \
	  tests/layers tests/cldl/test_loss.py tests/engine/gradcheck

mutate: $(VENV)/installed-for-tests  ## put bugs into the code, one at a time: tests must notice (ARGS='engine', ARGS='layers layers.relu.*')
	$(PIP) --editable '.[mutation]'
	$(BIN)/python tools/mutate.py $(ARGS)

bench: $(VENV)/installed  ## time a step, beside PyTorch where there is one (ARGS='--torch-python PATH --layers ...')
	$(BIN)/python -m benchmarks.step $(ARGS)

docs: $(VENV)/installed-for-docs  ## the guide and the reference of all modules, as web pages in build/docs
	$(BIN)/python -m sphinx -q -j auto -W --keep-going -d build/doctrees docs build/docs
	@echo build/docs/index.html

clean:  ## remove the environment and what tests leave
	rm -rf $(VENV) $(VENV)-oldest .pytest_cache .hypothesis .mypy_cache .ruff_cache .coverage build *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-for-tests: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-for-docs: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[docs]'
	@touch $@ $(VENV)/installed

$(VENV)-oldest/installed: pyproject.toml tools/oldest.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "The oldest packages need Python 3.11: make PYTHON=python3.11 test-oldest"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)-oldest
	$(VENV)-oldest/bin/python tools/oldest.py test >$(VENV)-oldest/constraints.txt
	$(VENV)-oldest/bin/python -m pip --disable-pip-version-check install --quiet \
	  --constraint $(VENV)-oldest/constraints.txt --editable '.[test]'
	@touch $@
