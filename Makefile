# `make` lists what there is. Nothing is needed but python3, 3.11 or newer.

PYTHON ?= python3# the Python that .venv is made of: make setup PYTHON=python3.13
MATRIX ?=# of make chaos: make chaos MATRIX="--json", or --only "killed at ramp"
SEQUENCES ?= 4000# of make chaos, the same every time: make chaos SEQUENCES=10000
ARGS ?=# handed on: make test ARGS="-k judge"

VENV := .venv
RUN := $(VENV)/bin/python -m
STAMP := .boot/synced
THREE := --numprocesses 3 --dist loadfile --no-loadscope-reorder# most tests wait: three at a time

# The stamp holds this checkout's path once a set-up is complete. One that was cut short, a Python
# that went away and a checkout that moved are made anew; a .venv without a stamp is only synced.
BROKEN := $(shell [ -x $(VENV)/bin/python ] && { [ ! -e $(STAMP) ] || [ "$$(cat $(STAMP))" = "$(CURDIR)" ]; } || echo FORCE)

export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS ?= true# whom this machine trusts, a company's proxy included
unexport VIRTUAL_ENV
unexport PYTHONDONTWRITEBYTECODE# else each of some hundred processes compiles all that it imports

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: FORCE help setup demo play dev test journeys check lint types audit docs chaos clients browser alerts bench record compose

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s  %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## make .venv from uv.lock; quick when there is nothing to do

demo: $(STAMP) ## a rollout that goes wrong and is rolled back, before your eyes
	@$(VENV)/bin/rampart demo $(ARGS)

play: $(STAMP) ## a rollout to break yourself, by a button on a page, until Ctrl-C
	@$(VENV)/bin/rampart demo --play $(ARGS)

dev: $(STAMP) ## Temporal with its web UI, a database, a worker and a gateway, until Ctrl-C
	@$(VENV)/bin/rampart dev $(ARGS)

test: $(STAMP) ## the test suite; one test: make test ARGS="-k name"
	@$(RUN) pytest $(THREE) $(ARGS)

journeys: $(STAMP) ## the tests that play whole processes: a stack, a terminal, the guides
	@$(RUN) pytest -m 'journey and not clients' $(THREE) $(ARGS)

check: lint types audit docs journeys test ## what a change must pass

lint: $(STAMP) ## ruff: rules and format
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .

types: $(STAMP) ## mypy --strict
	@$(RUN) mypy

audit: $(STAMP) ## known vulnerabilities of what is locked; where nobody answers: AUDIT=--strict fails
	@$(RUN) tests.audit $(AUDIT)

docs: $(STAMP) ## the documentation as a site in site/, links checked
	@$(RUN) docs.site

chaos: $(STAMP) ## the tests that kill things, the matrix of faults, thousands of sequences
	@$(call marked,chaos)
	@$(RUN) tests.properties.run --seed 1 --sequences $(SEQUENCES)
	@$(RUN) tests.chaos.matrix $(MATRIX)

clients: $(STAMP) ## the official OpenFeature clients against a gateway; needs node 20 and npm
	@$(call marked,clients)

browser: $(STAMP) ## the tests that look at real pages; needs chromium, node 20 and npm
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update --quiet=2 && \
	  apt-get install --yes --quiet=2 chromium >/dev/null; } || { \
	  echo "chromium is not here: as root, apt-get install chromium" >&2; exit 1; }
	@$(call marked,browser)

alerts: ## the alert rules, played by Prometheus' promtool; needs Debian's `prometheus`
	@command -v promtool >/dev/null || { \
	  echo "promtool is not here; it comes with Debian's package prometheus" >&2; exit 1; }
	@promtool check rules compose/prometheus/alerts.yml
	@promtool test rules tests/alerts.yml

bench: $(STAMP) ## every benchmark, small
	@set -- benchmarks/*.py; [ -e "$$1" ] || { echo "no benchmarks yet" >&2; exit 1; }; \
	for file do echo "# $$file"; $(VENV)/bin/python "$$file" --quick $(ARGS) || exit; done

record: $(STAMP) ## record the workflow histories that the replay tests replay
	@[ -e tests/replay/record.py ] || { echo "no recorder yet (tests/replay/record.py)" >&2; exit 1; }
	@$(RUN) tests.replay.record $(ARGS)

compose: ## the production shape in Docker: Temporal, PostgreSQL, a worker
	@docker info >/dev/null 2>&1 || { \
	  echo "no Docker engine answers; without one there is: make demo" >&2; exit 1; }
	@docker compose version >/dev/null 2>&1 || { \
	  echo "docker has no 'compose' command; install Docker Compose v2" >&2; exit 1; }
	docker compose up --build $(ARGS)

# pytest's exit code 5 says that no test was collected.
define marked
$(RUN) pytest -m $(1) $(ARGS) || { \
  code=$$?; [ $$code -eq 5 ] || exit $$code; echo "no $(1) tests yet: pytest collected none"; }
endef

$(STAMP): uv.lock pyproject.toml $(BROKEN)
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "rampart needs Python 3.11 or newer, and $(PYTHON) is: $$("$(PYTHON)" --version 2>&1);" \
	    "name another with: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@command -v uv >/dev/null || .boot/bin/uv --version >/dev/null 2>&1 || { \
	  "$(PYTHON)" -m venv --clear .boot && \
	  .boot/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.13,<0.14"; }
	@[ -z "$(BROKEN)" ] || rm -rf $(VENV)
	@mkdir -p .boot && echo incomplete > $@
	@UV_PYTHON="$$("$(PYTHON)" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')" \
	  "$$(command -v uv || echo .boot/bin/uv)" sync --frozen --extra embedded
	@printf %s "$(CURDIR)" > $@
