# Everything a developer or a newcomer does, each by one word. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start a hundred processes, which need not compile the same modules each time.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
BUILT := $(VENV)/.built
DEMO_DIR ?= starcross-demo
SEED ?= 1
KILLS ?= 100
# One more than there are cores, as many tests wait: for Kafka, for a browser, for a service to start.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
FUZZ_S ?= 60
# The newest Python from 3.11 on that really runs (a shim of a version manager may not).
FIND_PYTHON = for p in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; exit 0; fi; done; exit 1

.PHONY: help setup demo test check format lint types floors doctests docs torture fuzz lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

setup: $(BUILT)  ## make .venv with the command .venv/bin/starcross

$(STAMP): pyproject.toml constraints.txt setup.py
	@python=$$($(FIND_PYTHON)) || { echo "Starcross needs Python 3.11 or newer with venv; none was found (set PYTHON=...)" >&2; exit 1; }; \
	echo "making $(VENV) with $$($$python --version)"; \
	rm -rf $(VENV) && $$python -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt pip setuptools Cython
	@echo "installing what pyproject.toml names, in the versions of constraints.txt"
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

# Where there is no C compiler this builds nothing, and the walker runs as plain Python.
$(BUILT): $(STAMP) schemas/walker.py schemas/walker.pxd
	@rm -f schemas/walker.*.so schemas/walker.*.pyd
	@$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

demo: $(BUILT)  ## simulate a week of nights, search it, and show what was found
	$(BIN)/starcross demo --out $(DEMO_DIR)

test: $(BUILT)  ## all tests, with coverage (WORKERS=2)
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal --durations=40 --cov --cov-report=term:skip-covered --cov-report=json:.coverage.json
	$(BIN)/python -m tests.coverage_floor .coverage.json

check: format lint types floors doctests test  ## what CI runs: all that guards the quality, and the tests

format: $(STAMP)
	$(BIN)/ruff format --check .

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

floors: $(STAMP)
	$(BIN)/lint-imports

doctests: $(BUILT)
	$(BIN)/python -m pytest -q --doctest-modules schemas matchers

docs: doctests
	$(BIN)/python -m pytest -q tests/test_docs.py tests/test_pages.py

torture: $(BUILT)  ## kill the service a hundred times under load, Kafka too, and compare what is left (SEED=2 KILLS=500)
	$(BIN)/python -m tests.e2e.torture --seed $(SEED) --kills $(KILLS)

# A virtual environment of its own: the fuzzer is no dependency, and has no wheels for the newest Python.
build/fuzz/.complete: pyproject.toml constraints.txt setup.py schemas/walker.py schemas/walker.pxd
	@python=$$($(FIND_PYTHON)) && rm -rf build/fuzz/venv && $$python -m venv build/fuzz/venv
	build/fuzz/venv/bin/python -m pip install --quiet --constraint constraints.txt pip setuptools Cython
	build/fuzz/venv/bin/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable . atheris==3.0.0
	@touch $@

fuzz: build/fuzz/.complete  ## give the readers mutated bytes, each for a minute (FUZZ_S=600)
	@status=0; for kind in alerts notices maps; do \
		build/fuzz/venv/bin/python -m tests.fuzz.fuzz_$$kind -max_total_time=$(FUZZ_S) || status=1; \
	done; exit $$status

lock:  ## resolve constraints.txt anew, for every Python from 3.11 on
	@python=$$($(FIND_PYTHON)) && rm -rf build/lock && $$python -m venv build/lock && build/lock/bin/python -m pip install --quiet uv
	sed 's/^.*"voevent-parse.*$$/    "orderedmultidict", "iso8601", "pytz",/' pyproject.toml > build/lock/pyproject.toml
	build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra bench --no-annotate --no-header \
		build/lock/pyproject.toml --output-file build/lock/constraints.txt
	{ echo '# Made by `make lock`: the versions that Starcross is built and tested with.'; \
	  cat build/lock/constraints.txt; \
	  echo 'pip==26.3'; echo 'setuptools==84.2.1'; echo 'cython==3.3.1'; echo "voevent-parse==1.0.3 ; python_full_version < '3.12'"; } > constraints.txt

clean:
	rm -rf $(VENV) build dist *.egg-info schemas/*.so schemas/*.pyd .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
