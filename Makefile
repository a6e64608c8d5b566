# Fugata: `make help` lists the commands. Each does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help run test test-all lint format bench soak kube-assets lock clean

help: ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-11s %s\n", $$1, $$2}'

run: $(VENV)/.ready ## Serve on http://localhost:8080 (set PORT for another port)
	@exec $(BIN)/python manage.py serve

test: $(VENV)/.ready-dev ## Test the product on SQLite and PostgreSQL (5 minutes); ARGS="-k name" narrows it
	@$(BIN)/python -m tests $(ARGS)

test-all: $(VENV)/.ready-dev ## The same, then processes, browser, clients, deploy, Kubernetes, faults (20 minutes)
	@$(BIN)/python -m tests --all $(ARGS)

lint: $(VENV)/.ready-dev ## Check style (ruff) and types (mypy)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: $(VENV)/.ready-dev ## Put the code into shape
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(VENV)/.ready-dev ## Measure against the limit of this stack and against a peer
	@$(BIN)/python -m benchmarks $(ARGS)
	@$(BIN)/python -m benchmarks.purge
	@$(BIN)/python -m benchmarks.scale
	@$(BIN)/python -m benchmarks.load
	@$(BIN)/python -m benchmarks.kubernetes
	@$(BIN)/python -m benchmarks.start

soak: $(VENV)/.ready-dev ## Races and kills over ROUNDS=500 rounds (25 minutes), or faults for MINUTES=… (SEED=…)
	@$(if $(MINUTES),FUGATA_FAULT_MINUTES=$(MINUTES) FUGATA_FAULT_SEED=$(SEED) $(BIN)/python -m tests --soak tests/faults $(ARGS),\
		FUGATA_TEST_ROUNDS=$(or $(ROUNDS),500) $(BIN)/python -m tests --soak $(ARGS))

kube-assets: ## Build the Kubernetes API server that tests need (Go 1.26; once a machine, 4 minutes)
	@tests/kubernetes/build_assets.sh

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml -o requirements.lock
	uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -c requirements.lock pyproject.toml --group dev -o requirements-dev.lock

clean: ## Remove the virtual environment and caches; var/ (your data and keys) stays
	rm -rf $(VENV) benchmarks/.venv-peer .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Fugata needs Python 3.11 or newer: run make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making a virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing; on Debian: apt install python3-venv"; exit 1; }

$(VENV)/.ready: requirements.lock | $(BIN)/python
	@echo "Installing what Fugata needs (once) …"
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock | $(BIN)/python
	@echo "Installing what Fugata and its tests need (once) …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.ready
