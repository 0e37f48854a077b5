# Every target sets up what it needs; `make` alone lists them.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
SOURCES := replay evidence broker producer workers dashboard stack cli

LOCK := $(BIN)/uv pip compile pyproject.toml --extra embedded --extra hybrid --extra export --extra study --extra otel --extra build --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-annotate --no-header --quiet

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test bench chaos lint format types contracts check docs lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Create .venv from the hash-pinned lock

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Replay needs Python 3.11 or newer; none was found. Install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked dependencies into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

quickstart: setup ## Audit a real code base with the embedded broker and models, start to end
	@$(BIN)/replay quickstart

test: setup ## Run the whole suite (fetches the two models, 1.6 GB, where they are missing)
	@$(BIN)/python -m pytest -n auto --dist loadfile

bench: setup ## Measure, and write benchmarks/results/latest.json
	@$(BIN)/python -m benchmarks

chaos: setup ## Kill, freeze, wipe and fill everything while 5,000 tasks run; then count what is lost or doubled
	@$(BIN)/python -m chaos

lint: setup ## Check style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: setup ## Apply the style
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

types: setup ## Check types, strictly
	@$(BIN)/mypy && $(BIN)/mypy --explicit-package-bases tests benchmarks chaos

contracts: setup ## Check who may import whom
	@$(BIN)/lint-imports

check: lint types contracts test ## All of the above

docs: setup ## Write docs/cli.md and docs/configuration.md anew
	@$(BIN)/python docs/generate.py

lock: ## Resolve pyproject.toml into the two locks anew: what runs, and what develops
	@test -x $(BIN)/uv || { echo "Run make setup first."; exit 2; }
	@$(LOCK) -o requirements.lock
	@$(LOCK) --group dev -c requirements.lock -o requirements-dev.lock

clean: ## Remove the environment and the tools' caches; never data
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
