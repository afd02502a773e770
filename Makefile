# Everything runs in .venv, which the first target that needs it creates. `make help` lists the targets.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
BENCH := .venv-bench

.PHONY: help setup demo test test-fast check lint types layers fix schemas lock bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | sort | awk -F'\t' '{printf "  %-10s %s\n", $$1, $$2}'

setup: $(STAMP)  ## create .venv with everything in it

$(STAMP): pyproject.toml requirements.lock
	@py=$$(sh .ci/find-python) || exit 1; echo "Creating $(VENV) with $$py (once; a few minutes on a slow network)"; "$$py" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## three agents plan, write and criticise a brief on the embedded model
	$(BIN)/antiphon run brief

test: check  ## everything: lint, types, layers, shape, all tests
	$(BIN)/python -m pytest -n auto

test-fast: check  ## the everyday run, under three minutes
	$(BIN)/python -m pytest -n auto -m "not slow and not embedded"

check: lint types layers

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

fix: setup  ## format and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup $(BENCH)/.ready  ## the figures of docs/benchmarks.md, side by side
	$(BIN)/python -m tests.bench

$(BENCH)/.ready: tests/bench/requirements.lock | $(STAMP)
	@echo "Creating $(BENCH) for what the benchmarks compare with"; $(BIN)/python -m venv --clear $(BENCH) && echo '*' > $(BENCH)/.gitignore
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/bench/requirements.lock
	@touch $@

lock:  ## renew the locks: ours from pyproject.toml, and that of the benchmarks (needs uv)
	uv pip compile --generate-hashes --universal --no-emit-index-url --no-annotate --extra dev --python-version 3.11 --custom-compile-command "make lock" -o requirements.lock pyproject.toml
	uv pip compile --generate-hashes --universal --no-emit-index-url --no-annotate --python-version 3.11 --custom-compile-command "make lock" -o tests/bench/requirements.lock tests/bench/requirements.in

clean:  ## remove .venv and caches
	rm -rf $(VENV) $(BENCH) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
