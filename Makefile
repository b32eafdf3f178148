# `make` alone prints this help. A newcomer needs only `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Every process would compile all of its modules anew, which is most of the start of a service or command.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
SOURCES := schemas services tests examples benchmarks deploy
STAMP := $(VENV)/.installed

.PHONY: help
help: ## Print this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "%-12s %s\n", $$1, $$2 }'

.PHONY: setup
setup: $(STAMP) ## Create .venv with all extras, from the lock file

$(STAMP): pyproject.toml uv.lock
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: install Python 3.11 or later"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed, found $$($(PYTHON) --version)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv sync --quiet --frozen --all-extras --inexact || { \
		echo "the extra 'durable' cannot be built here (it needs a C compiler): continuing without it"; \
		$(BIN)/uv sync --quiet --frozen --all-extras --no-extra durable --inexact; }
	@touch $(STAMP)

.PHONY: demo
demo: setup ## Run everything on a real sales pipeline of 8 800 deals, with an embedded broker
	@$(BIN)/territory demo

.PHONY: test
test: setup ## Every test this machine can run; a skipped test says what it needs
	$(BIN)/pytest -n 2 tests/unit tests/contracts tests/docs
	$(BIN)/pytest -n 2 --dist worksteal tests/chaos tests/e2e tests/integration # longest first: both workers end together

.PHONY: unit
unit: setup ## Unit tests and contract suites: no network, no servers
	$(BIN)/pytest -q tests/unit tests/contracts

.PHONY: integration
integration: setup ## One adapter with one real server
	$(BIN)/pytest tests/integration

.PHONY: e2e
e2e: setup ## Everything together: embedded broker, and Apache Kafka where available
	$(BIN)/pytest tests/e2e

SEED ?= 1
SEEDS ?= 20
SECONDS ?= 90
SUMMARY ?= .cache/chaos.json

.PHONY: chaos
chaos: setup ## Faults on real servers under load: SEEDS runs of SECONDS from SEED; WITHOUT=guard expects a difference
	$(BIN)/python -m tests.chaos --seed $(SEED) --seeds $(SEEDS) --seconds $(SECONDS) --summary $(SUMMARY) \
		$(if $(ONLY),--only $(ONLY)) $(if $(WITHOUT),--without $(WITHOUT))

.PHONY: lint
lint: setup ## Format, lint, types, import contracts
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports

.PHONY: check
check: lint ## Lint and a quick run of the unit tests, contract suites, pages
	HYPOTHESIS_PROFILE=quick $(BIN)/pytest -q -n 2 tests/unit tests/contracts
	$(BIN)/pytest -q tests/docs

.PHONY: mutants
mutants: setup ## Break guarantees one at a time; the nearest unit tests must fail for each; NAME='text' picks some
	$(BIN)/python -m tests.mutants $(if $(NAME),"$(NAME)")

.PHONY: audit
audit: setup ## Known vulnerabilities of the locked libraries, and a bill of materials; works without a network
	@$(BIN)/python -m deploy.audit

.PHONY: format
format: setup ## Format, and fix what can be fixed automatically
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: schemas
schemas: setup ## Regenerate schemas/json: JSON Schema per event, AsyncAPI document
	$(BIN)/python -m territory_contracts schemas/json

.PHONY: kafka
kafka: ## Fetch Apache Kafka's jars into a cache, with Maven
	@deploy/kafka/fetch.sh

.PHONY: bench
bench: bench-peers ## Run all benchmarks beside their baselines; writes benchmarks/results
	$(BIN)/python -m benchmarks.run

.PHONY: bench-match
bench-match: bench-peers ## Benchmark matching alone, our engines and others in turns
	$(BIN)/python -m benchmarks.run p1

.PHONY: bench-peers
bench-peers: setup
	@$(BIN)/uv sync --quiet --frozen --inexact --group bench || echo "continuing without other engines: they cannot be installed"
