# The two commands: `make demo` shows a picture, `make test` runs the tests. Both set up what they need in .venv.

PYTHON ?= python3
BIN := .venv/bin
CONSTRAINTS := constraints/airflow-3.3.txt
SOURCES := airflow_provider_apimart example_dags tests benchmarks demo docs

.PHONY: help demo quick test test-rest test-matrix browser access chaos check coverage docs faults crash-table sweep bench wheel clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'

# Tests start hundreds of processes, each of which would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

# uv takes seconds where pip takes minutes. It doesn't read pip's configuration, which may name the only registry within
# reach. Versions are pinned, so that the next machine installs what was tested.
PINNED = --quiet --constraint $(CONSTRAINTS)
install = $(BIN)/python -m uv pip install --compile-bytecode --python $(or $(2),$(BIN))/python $(PINNED) --editable '.[$(1)]' 2> /dev/null \
	|| $(or $(2),$(BIN))/python -m pip install --disable-pip-version-check $(PINNED) --editable '.[$(1)]'

.venv/runtime: pyproject.toml $(CONSTRAINTS)
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check $(PINNED) uv
	@echo "Installing Airflow, the provider and its sandbox into .venv (once, about half a minute) ..."
	@$(call install,sandbox)
	@touch $@

.venv/development: .venv/runtime
	@echo "Installing what tests, checks and benchmarks need into .venv (once) ..."
	@$(call install,dev)
	@touch $@

demo: .venv/runtime ## make a picture from a reference in a real Airflow, at no cost
	@$(BIN)/python -m demo

# More workers than processors: many tests wait. What is in the two parts is decided in tests/selection.py.
PYTEST := $(BIN)/python -m pytest -n 6 --dist worksteal --ignore tests/browser

test: .venv/development ## run the tests, a few of them in a real Airflow (five minutes on two processors)
	@$(PYTEST) --part short

test-rest: .venv/development ## run what make test leaves out: the other tests in a real Airflow, and those that take long
	@$(PYTEST) --part rest

quick: .venv/development ## run the tests that start neither Airflow nor a server and aren't slow, while you edit
	@$(PYTEST) -q -m "not starts_airflow and not long and not slow"

.venv/browser: .venv/development
	@echo "Installing what drives a browser into .venv (once) ..."
	@$(call install,browser)
	@touch $@

# Chromium comes from Debian's packages; where it can't be had, the tests are skipped and say so.
SCREENSHOTS ?= .browser
browser: .venv/browser .venv/matrix ## look at Airflow's pages in a real Chromium (VERSION=3.1); screenshots land in .browser (SCREENSHOTS=docs/images)
	@command -v chromium > /dev/null || command -v google-chrome > /dev/null \
		|| { echo "Installing Chromium (apt-get) ..." && apt-get install --yes --quiet chromium > /dev/null; } \
		|| echo "Chromium can't be installed here."
	@SCREENSHOTS=$(SCREENSHOTS) $(BIN)/python -m $(if $(VERSION),tests.browser $(VERSION),pytest tests/browser)

.venvs/fab/installed: .venv/matrix
	@echo "Installing Airflow with its FAB auth manager into .venvs/fab (once) ..."
	@$(BIN)/python -m venv .venvs/fab
	@$(call install,fab,.venvs/fab/bin)
	@touch $@

access: .venvs/fab/installed ## who may see which DAG's results on the pages, with the simple and the FAB auth manager
	@.venvs/fab/bin/python -m pytest tests/page/test_access.py

.venv/chaos: .venv/development
	@echo "Installing what runs Airflow on Celery and PostgreSQL into .venv (once) ..."
	@$(call install,chaos)
	@touch $@

# PostgreSQL and Redis come from Debian's packages; where they can't be had, the run is skipped and says so.
chaos: .venv/chaos .venv/matrix ## kill workers, triggerers and scheduler at random, count what is paid and saved (SHORT=--short: minutes; VERSION=3.1)
	@{ command -v redis-server && { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; }; } > /dev/null 2>&1 \
		|| { echo "Installing PostgreSQL and Redis (apt-get) ..." && apt-get update --quiet > /dev/null \
			&& apt-get install --yes --quiet postgresql redis-server > /dev/null; } \
		|| echo "PostgreSQL and Redis can't be installed here."
	@$(BIN)/python -m tests.chaos $(SHORT) $(if $(VERSION),--version $(VERSION))

.venv/matrix: .venv/development
	@echo "Installing what builds other environments into .venv (once) ..."
	@$(call install,matrix)
	@touch $@

VERSIONS ?=
MATRIX ?=
test-matrix: .venv/matrix ## run all tests on every version of Airflow (VERSIONS="2.11 3.1" for some)
	@$(BIN)/python -m tests.matrix $(MATRIX) $(VERSIONS)

check: .venv/development ## lint, formatting and types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

coverage: .venv/development ## measure the branch coverage of the package over all tests (TESTS=tests/api for some)
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest -n 6 --dist worksteal --ignore tests/browser $(TESTS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

.venv/docs: .venv/runtime
	@echo "Installing what builds the pages into .venv (once) ..."
	@$(call install,docs)
	@touch $@

docs: .venv/docs ## build the pages into docs/_build/html; a warning is an error
	@$(BIN)/python -m sphinx --quiet --fresh-env --nitpicky --fail-on-warning --keep-going docs docs/_build/html
	@echo "$$(find docs/_build/html -name '*.html' | wc -l) pages lie in docs/_build/html, built without a warning"

faults: .venv/development ## what one logical submit is billed under every fault, over real sockets
	@$(BIN)/python -m tests.durable.fault_table

crash-table: .venv/matrix ## kill between every two steps on every version of Airflow, and print the table of the documentation
	@$(BIN)/python -m tests.durable.crash_table $(VERSIONS)

sweep: .venv/development ## the long forms: SIGKILL between every two steps and at random, thousands of steps of the model
	@$(BIN)/python -m tests.durable.crash_sweep
	@$(BIN)/python -m tests.results.kill_sweep
	@$(BIN)/python -m tests.batch.crash_sweep
	@$(BIN)/python -m tests.batch.rivals
	@$(BIN)/python -m tests.batch.limit_sweep
	@$(BIN)/python -m tests.library.kill_sweep
	@$(BIN)/python -m tests.library.week
	@APIMART_SWEEP=1 $(BIN)/python -m pytest tests/durable/test_model.py tests/durable/test_fact_files.py tests/quotes

bench: .venv/development ## measure, side by side with named alternatives (half an hour; SHORT=--short takes a few minutes)
	@$(BIN)/python -m benchmarks.import_cost $(SHORT)
	@$(BIN)/python -m benchmarks.poll_schedule
	@$(BIN)/python -m benchmarks.pages
	@$(BIN)/python -m benchmarks.waits $(SHORT)
	@$(BIN)/python -m benchmarks.downloads $(SHORT)
	@$(BIN)/python -m benchmarks.rate_limit $(SHORT)
	@$(BIN)/python -m benchmarks.batches $(SHORT)
	@$(BIN)/python -m benchmarks.resumption $(SHORT)
	@$(BIN)/python -m benchmarks.library $(SHORT)

wheel: .venv/matrix ## build the wheel, and install it into an empty environment for every version of Airflow
	@rm -rf dist
	@$(BIN)/python -m build --wheel
	@$(BIN)/python -m twine check --strict dist/*
	@$(BIN)/python -m tests.packaging.clean_install dist/*.whl $(VERSIONS)

clean: ## remove everything that the other targets made
	rm -rf .venv .venvs .demo .browser .chaos .coverage* dist build docs/_build
