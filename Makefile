# The commands of this repository. A bare machine needs Python 3.11 or later with venv, and make; the tests
# also need Java 17 or later and Maven (or LLM_AUDIT_TEST_KAFKA). Everything is installed into .venv here.
# Paths are relative throughout, so that the clone may lie in a folder with spaces in its name.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup test lint format demo faults

# The first Python that is new enough; PYTHON=... overrides.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; done)
RUN := .venv/bin/python -m

# Each worker has a broker and a database of its own.
WORKERS ?= 2

# Tests run on a real Kafka or not at all; LLM_AUDIT_REQUIRE_REAL=0 allows the mock broker.
LLM_AUDIT_REQUIRE_REAL ?= 1

help: ## Show the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '%-12s %s\n' "$$name" "$$text"; done

setup: .venv/.installed ## Install into .venv, when pyproject.toml is newer than the last time

# pip 25.1 is the first that knows dependency groups.
.venv/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed and was not found: install it, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(RUN) pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(RUN) pip install --quiet --editable '.[all]' --group test
	@touch $@

lint: setup ## Check style, formatting, types and import arrows
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	.venv/bin/lint-imports

format: setup ## Rewrite the sources in the house style
	$(RUN) ruff check --fix
	$(RUN) ruff format

test: lint ## Check everything and run the tests on a real Kafka and a real PostgreSQL
	LLM_AUDIT_REQUIRE_REAL=$(LLM_AUDIT_REQUIRE_REAL) $(RUN) pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

demo: setup ## Show the whole trail on this machine; ARGS="--live" uses your own API key
	.venv/bin/llm-audit demo $(ARGS)

faults: setup ## Kill, freeze and cut off every part at random, 200 kills; SEED=... does it again, ROUNDS=... so often
	LLM_AUDIT_FAULTS=long LLM_AUDIT_FAULTS_SEED=$(SEED) LLM_AUDIT_FAULTS_ROUNDS=$(ROUNDS) \
		LLM_AUDIT_REQUIRE_REAL=$(LLM_AUDIT_REQUIRE_REAL) $(RUN) pytest tests/faults $(ARGS)
