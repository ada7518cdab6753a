# Everything runs in an environment of its own, made from the lock: nothing to install by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help env lint format test test-slow test-torch quickstart data-demo configs goldens lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

env: $(INSTALLED)  ## the environment alone

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lint: env  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: env  ## mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: env  ## the tests, without the slow ones
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-slow: env  ## the slow tests
	$(BIN)/pytest -n 2 --dist worksteal -m slow

test-torch: env  ## the live comparisons with transformers (installs the torch extra)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[torch]'
	$(BIN)/pytest -n 2 --dist worksteal

quickstart: env  ## the main job, end to end, into quickstart/
	$(BIN)/biomatrix quickstart --out quickstart --overwrite

data-demo: env  ## a mixture from real downloads through the data pipeline, into build/data-demo/
	$(BIN)/python benchmarks/data_demo.py --json benchmarks/results/data_demo.json

configs: env  ## rewrite the resolved text of configurations and recipes
	$(BIN)/python configs/resolve.py

goldens:  ## remake the golden logits; needs an environment with the torch extra active
	python -m tests.model.make_golden

lock:  ## pin what a fresh environment resolves to today
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check '.[dev]'
	{ echo "# Made by make lock: what the tests use."; \
	  build/lock/bin/python -m pip freeze --exclude biomatrix-jax; } > requirements.lock
	rm -rf build/lock

clean:  ## remove the environment and everything built
	rm -rf $(VENV) build quickstart
