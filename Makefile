# `make help` lists the targets. Everything is installed into .venv; nothing else on the machine changes, but that on Debian
# python3-venv is installed where it is missing (as root).
.DEFAULT_GOAL := help
.PHONY: help demo setup test check lowest e2e soak long kills bench bench-quick lock clean
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest --numprocesses 2 --dist worksteal
# Holds for all of Python 3.11 to 3.13, on x86_64 and arm64; no path and no index of the machine that wrote it is kept.
COMPILE := $(BIN)/uv --quiet pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name does; do printf 'make %-11s %s\n' "$$name" "$$does"; done

demo: $(VENV)/.run  ## sets up, plays Jobs on a temporary tree, collects them, shows the result
	@$(BIN)/joblog demo

setup: $(VENV)/.dev  ## makes .venv, with joblog and all that its tests need
	@echo "setup: $(VENV) is ready"

test: $(VENV)/.dev  ## sets up and runs all tests but e2e and soak
	$(PYTEST) -m "not e2e and not soak"

check: $(VENV)/.dev  ## what CI runs: format, lint, types, import rules, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

lowest: $(VENV)/.dev  ## the tests with the oldest versions that pyproject.toml allows, in .venv-lowest
	$(BIN)/uv --quiet venv --clear --python $(BIN)/python .venv-lowest
	$(BIN)/uv --quiet pip compile --resolution lowest-direct --python $(BIN)/python --no-header pyproject.toml --output-file .venv-lowest/run.txt
	$(BIN)/uv --quiet pip install --python .venv-lowest/bin/python --constraint .venv-lowest/run.txt --group dev --editable .
	PATH="$(CURDIR)/.venv-lowest/bin:$$PATH" .venv-lowest/bin/pytest --numprocesses 2 -m "not e2e and not soak"

e2e: $(VENV)/.dev  ## the tests against real servers, file systems and images; see CONTRIBUTING.md
	$(BIN)/pytest -m e2e

SECONDS := $(or $(JOBLOG_SOAK_SECONDS),1200)
soak: $(VENV)/.dev  ## everything at random for SECONDS (1200): chaos with both destinations, the model, fuzzing
	JOBLOG_SOAK_SECONDS=$(SECONDS) $(BIN)/pytest -m soak tests/soak tests/model tests/fuzz

long: $(VENV)/.dev  ## the other tests that take minutes
	$(BIN)/pytest -m soak --ignore tests/soak --ignore tests/model --ignore tests/fuzz

KILLS := 1000
kills: $(VENV)/.dev  ## KILLS (1000) times kill -9 in a row, on file: and on s3:
	JOBLOG_TEST_KILLS=$(KILLS) $(BIN)/pytest -s -m soak tests/collect/test_kill.py

bench: $(VENV)/.dev  ## measures everything in a quarter of an hour; writes docs/benchmarks.md
	$(BIN)/python -m bench.run

bench-quick: $(VENV)/.dev  ## that nothing became slower: ratios and instructions against bench/baseline.json
	$(BIN)/python -m bench.run --quick

lock: $(VENV)/.dev  ## renews requirements/*.txt with the newest versions
	$(COMPILE) --upgrade --output-file requirements/run.txt pyproject.toml
	$(COMPILE) --upgrade --constraint requirements/run.txt --group dev --output-file requirements/dev.txt pyproject.toml

clean:  ## removes the environments and what the tools left behind
	rm -rf .venv .venv-lowest .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	find collector tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.run: requirements/run.txt pyproject.toml .ci/setup
	@VENV=$(VENV) .ci/setup run
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml .ci/setup
	@VENV=$(VENV) .ci/setup dev
	@touch $(VENV)/.run $@
