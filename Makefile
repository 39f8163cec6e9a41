# Everything runs in a virtual environment that `make` creates; only make and Python >= 3.10 must be there.
#   make test TESTS=tests/unit/test_model.py     a part of the tests
#   make test PYTEST_ARGS="-x -k upsert"         more arguments for pytest
#   make bench SIZE=full REPEAT=1                the sizes that benchmarks/README.md names: hours
#   make venv PYTHON=python3.12                  another interpreter (after `make distclean`)

PYTHON ?= python3
VENV   ?= .venv
TESTS  ?= tests
JOBS   ?= 2
PYTEST_ARGS ?=
BENCH  ?= $(sort $(wildcard benchmarks/bench_*.py))
SIZE   ?= laptop
REPEAT ?= 3
BENCH_ARGS ?=
ENGINES ?= athena bigquery databricks parsers postgres_old presto snowflake spark spark_iceberg stand_in trino tsql
ALL_ENGINES := $(ENGINES) tables
empty :=
space := $(empty) $(empty)

BIN   := $(VENV)/bin
PY    := $(BIN)/python
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help venv check format test engines test-engines test-engines-full demo bench plots docs dist clean distclean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Create .venv with the package (editable) and the development tools

# pip is upgraded first: the one that a Python release bundles may not know dependency groups.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or later is needed; name one with: make venv PYTHON=python3.12" >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --editable . --group dev
	@touch $@

check: $(STAMP) ## Check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP) ## Format the code and apply the safe lint fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(STAMP) ## Run the tests (TESTS=path, PYTEST_ARGS=..., JOBS=2)
	$(PY) -m pytest -n $(JOBS) --dist loadgroup $(PYTEST_ARGS) $(TESTS)

engines: $(STAMP) ## Assemble the servers that test-engines starts, in ~/.cache (ENGINES="trino spark ...")
	$(PY) -m tests.engines $(ENGINES)

test-engines: $(STAMP) ## Run the tests that need servers, stand-ins or slow parsers (ENGINES="trino spark ...")
	$(PY) -m pytest -n $(JOBS) --dist loadgroup -m "$(subst $(space), or ,$(strip $(ENGINES)))" $(PYTEST_ARGS) $(TESTS)

test-engines-full: export WCDC_TEST_FAULTS := all
test-engines-full: export WCDC_TEST_HISTORY := all
test-engines-full: export WCDC_TEST_ATHENA := all
test-engines-full: export WCDC_TEST_PRESTO := all
test-engines-full: export WCDC_TEST_SPARK := all
test-engines-full: export WCDC_TEST_BIGQUERY := all
test-engines-full: export WCDC_TEST_TRINO := all
test-engines-full: export WCDC_TEST_SPARK_ICEBERG := all
test-engines-full: export WCDC_TEST_DATABRICKS := all
test-engines-full: ## Run them on every engine, with every fault and whole histories: more than an hour
	$(MAKE) test-engines ENGINES="$(ALL_ENGINES)"

demo: $(STAMP) ## Replay a public data set into DuckDB and sync it to PostgreSQL and to files
	$(PY) -m benchmarks.demo

$(BENCH_STAMP): $(STAMP)
	$(PY) -m pip install --quiet --group bench
	@touch $@

bench: $(BENCH_STAMP) ## Run the benchmarks (SIZE=small|laptop|full, REPEAT=3, BENCH=..., BENCH_ARGS=...)
	@test -n "$(strip $(BENCH))" || { echo "no benchmarks/bench_*.py" >&2; exit 1; }
	$(PY) -m benchmarks.bench_peers --install
	@set -e; for file in $(BENCH); do \
		echo "== $$file"; \
		$(PY) -m benchmarks.$$(basename $$file .py) --size $(SIZE) --repeat $(REPEAT) $(BENCH_ARGS); \
	done
	$(PY) -m benchmarks.plots

plots: $(BENCH_STAMP) ## Draw the documentation's plots from benchmarks/results
	$(PY) -m benchmarks.plots

docs: $(STAMP) ## Build the documentation into site/; a warning is an error
	$(BIN)/mkdocs build --strict --quiet --site-dir site

dist: $(STAMP) ## Build the source archive, and the wheel from it, into dist/
	$(PY) -m build --no-isolation

clean: ## Remove what the tools wrote, but not .venv
	rm -rf build dist site .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -path ./.git -prune -o -type d -name __pycache__ -print | xargs rm -rf

distclean: clean ## Remove .venv too
	rm -rf $(VENV)
