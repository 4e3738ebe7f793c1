# Two commands for a new user: `make demo` and `make test`. Both begin with `make setup`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

.PHONY: help setup demo test lock bench

help:
	@echo "make demo   read two real exams through a node of your own, and show what comes back"
	@echo "make test   check the style and the types, and run the tests"
	@echo "make setup  create $(VENV) from the pinned, hashed requirements (the others do it too)"
	@echo "make bench  measure receiving and latency"
	@echo "make lock   pin the newest requirements that pyproject.toml allows"

setup: $(READY)

demo: setup
	$(BIN)/mammo-node demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

bench: setup
	$(BIN)/python benchmarks/receive.py
	$(BIN)/python benchmarks/latency.py

lock: $(BIN)/uv
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) --group dev --constraint requirements.txt pyproject.toml -o requirements-dev.txt

# Everything is installed by hash, setuptools included, which then installs the node itself without fetching anything.
$(READY): requirements-dev.txt pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/uv: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "mammo-node needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
		echo "Install one and name it: make setup PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-uv.txt
	@touch $@
