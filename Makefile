# Every target creates the virtual environment if it is missing. Needs python3 (3.11 or newer) and make.
#
#   make demo                      train where the best leverage is known, keep a stated risk, evaluate, export and decide
#   make demo DATA=folder          the same, with risk and evaluation on your own data
#   make venv TORCH_BACKEND=cu126  a CUDA build of PyTorch instead of the small CPU build (see `uv pip install --help`)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# What the demo and the tests need; `make venv EXTRAS=all,dev` for everything.
EXTRAS ?= forecast,train,track,export,plots,search,serve,docs,dev
# The CPU build by default: a plain install on Linux brings CUDA, about 3 GB.
TORCH_BACKEND ?= cpu
JOBS ?= 2

# uv does not read pip's setting for wheels on disk.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Otherwise every first import in a new environment compiles the module.
export UV_COMPILE_BYTECODE ?= 1
export MLFLOW_DISABLE_TELEMETRY ?= true

TEST_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MLFLOW_DISABLE_TELEMETRY=true
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all check format bench docs docs-serve docs-tables notebooks dist clean

help:
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

venv: $(STAMP) ## create .venv with everything the demo and the tests need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"gearing needs Python 3.11 or newer, and $(PYTHON) is {v[0]}.{v[1]}. Name another: make venv PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }
	@VENV=$(VENV) EXTRAS=$(EXTRAS) TORCH_BACKEND=$(TORCH_BACKEND) sh .ci/install
	@touch $@

demo: $(STAMP) ## train, evaluate, track, export and decide in three acts; DATA=folder for real history
	$(BIN)/gearing study experiments/demo.yaml jobs=$(JOBS) $(if $(DATA),market.folder=$(DATA))

test: $(STAMP) ## the tests that take under five seconds each
	$(PYTEST) -m "not slow" -n $(JOBS)

test-all: $(STAMP) ## every test
	$(PYTEST) -n $(JOBS)

check: $(STAMP) ## format, lint, types, layer rules, the site, then `make test`: what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MKDOCS) build --strict --quiet
	$(MAKE) test

format: $(STAMP) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## speed compared with known environments and backtesters; JSON=folder for the numbers as files
	$(if $(JSON),mkdir -p $(JSON))
	$(foreach name,first run books backtest decision training,$(TEST_ENV) $(BIN)/python tests/benchmarks/$(name).py $(if $(JSON),--json $(JSON)/$(name).json) &&) true

docs: $(STAMP) ## build the documentation into site/; a broken link or anchor is an error
	$(MKDOCS) build --strict --quiet
	@echo "Open site/index.html, or run: make docs-serve"

docs-serve: $(STAMP) ## show the documentation on http://127.0.0.1:8000 and follow its changes
	$(MKDOCS) serve

docs-tables: $(STAMP) ## fill the tables of docs/; EXPERIMENTS="case_study methods" runs these first
	$(BIN)/python docs/fill_tables.py $(EXPERIMENTS)

notebooks: $(STAMP) ## execute every notebook
	$(PYTEST) --nbmake notebooks

dist: $(STAMP) ## build the wheel and the source distribution into dist/
	$(BIN)/uv build --out-dir dist

clean: ## remove caches and builds; keeps .venv, downloads and runs
	rm -rf build dist site .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
	find . -name .venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
