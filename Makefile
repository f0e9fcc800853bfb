# make demo       the main job, from a clean clone: installs into .venv, then runs `staghorn demo`
# make test       what every change must pass (linter, types, import order, docstrings, tests)
# make test-full  what `make test` leaves out: the long oracle tables, and the examples
# make interop    a table of models that go through files to two versions of keras and back
# make reliability  kills, full disks, bit rot: what becomes of files, as a table (long)
# make bench      speed, memory and accuracy against keras (three backends), PyTorch and a JAX loop, as
#                 ratios from one run; about 20 minutes; BENCH=--full for hours, BENCH="lstm gru" for some
# make counts     compilations, calls, copies and waits of a fit, and their limits, as a table
# make clean      removes everything these commands made
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What a user has after a plain install: no keras, no TensorFlow, no Graphviz.
PLAIN := .venv-plain
# The oldest keras that opens what is written here.
INTEROP := .venv-interop
# keras on all of its backends, for `make bench` only. PIP_EXTRA_INDEX_URL may name PyTorch's own index
# of builds for CPUs, which are far smaller.
BENCH_VENV := .venv-bench
BENCH ?= --quick
EPOCHS ?= 1
# Each test process takes one core and up to 3 GB.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile
# Compared to a tolerance, row by row: these tests compile far more than they run, so XLA's
# optimizers are off, which halves their time. The others compile as users do.
FAMILIES := $(addprefix tests/,layers losses metrics ops optimizers)
ORACLE := $(FAMILIES) $(addprefix tests/,common examples models saving training)
FAST := XLA_FLAGS="--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export STAGHORN_DATA ?= $(abspath ../shared/data)

.DEFAULT_GOAL := help
.PHONY: help demo test test-full reliability bench counts clean
.PHONY: lint types floors doctest oracle pytest strict tutorials slow examples interop

help:
	@sed -n -e 's/^# make/make/p' -e 's/^#    /    /p' Makefile

# One stamp per set of packages: a second run installs nothing unless pyproject.toml changed.
$(VENV)/pyvenv.cfg:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Staghorn needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

demo: $(VENV)/.installed-demo
	$(BIN)/staghorn demo

test: lint types floors doctest oracle pytest strict tutorials

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

floors: $(VENV)/.installed-test
	$(BIN)/lint-imports --no-cache

doctest: $(VENV)/.installed-test
	$(FAST) $(PYTEST) -p tests.conftest --doctest-modules staghorn

oracle: $(VENV)/.installed-test
	$(FAST) $(PYTEST) -m "not slow" --ignore-glob="*/test_strict_*.py" $(ORACLE)

pytest: $(VENV)/.installed-test
	$(PYTEST) -m "not slow" --ignore-glob="*/test_strict_*.py" tests $(ORACLE:%=--ignore=%) \
		--ignore=tests/tutorials

# Processes of their own: keras's layers fail under these modes, so it is never imported here.
strict: $(VENV)/.installed-test
	STAGHORN_STRICT=1 $(FAST) $(PYTEST) -m "not slow" $(FAMILIES)
	STAGHORN_STRICT=1 $(PYTEST) -m "not slow" tests $(FAMILIES:%=--ignore=%)

$(PLAIN)/.installed: pyproject.toml | $(VENV)/pyvenv.cfg
	$(PYTHON) -m venv $(PLAIN)
	$(PLAIN)/bin/python -m pip install --quiet --editable '.[demo]'
	@touch $@

# Scripts in the manner of tutorials, each run by `staghorn run` in the plain environment.
tutorials: $(VENV)/.installed-test $(PLAIN)/.installed
	STAGHORN_PLAIN_PYTHON=$(abspath $(PLAIN)/bin/python) $(PYTEST) --dist load -m "not slow" tests/tutorials

test-full: slow examples interop

slow: $(VENV)/.installed-test $(PLAIN)/.installed
	$(FAST) $(PYTEST) -m slow --ignore-glob="*/test_strict_*.py" $(ORACLE)
	STAGHORN_PLAIN_PYTHON=$(abspath $(PLAIN)/bin/python) \
		$(PYTEST) -m slow --ignore-glob="*/test_strict_*.py" tests $(ORACLE:%=--ignore=%); \
	status=$$?; test $$status -eq 0 -o $$status -eq 5
	STAGHORN_STRICT=1 $(PYTEST) -m slow tests

$(INTEROP)/.installed: | $(VENV)/pyvenv.cfg
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python -m pip install --quiet 'keras==3.9.2' 'jax>=0.10.2,<0.11' h5py
	@touch $@

# Models in files between Staghorn, the keras of the test environment, and keras 3.9.2: a table.
interop: $(VENV)/.installed-test $(INTEROP)/.installed
	$(FAST) $(BIN)/python -m tests.interop.run $(BIN)/python $(INTEROP)/bin/python

# Each script as a reader would run it, on few epochs; exit status 3 means that its data is absent.
examples: $(VENV)/.installed-test
	@for script in examples/*.py; do \
		echo "== $$script --epochs $(EPOCHS)"; \
		$(BIN)/python $$script --epochs $(EPOCHS); status=$$?; \
		if [ $$status -ne 0 ] && [ $$status -ne 3 ]; then exit $$status; fi; \
	done

reliability: $(VENV)/.installed-test
	$(BIN)/python -m tests.reliability.run

# The peers are large (TensorFlow and PyTorch), so they have an environment of their own.
$(BENCH_VENV)/.installed: pyproject.toml | $(VENV)/pyvenv.cfg
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --editable '.[bench]'
	@touch $@

bench: $(BENCH_VENV)/.installed
	$(BENCH_VENV)/bin/python -m benchmarks.compare $(BENCH)

counts: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.counts

clean:
	rm -rf $(VENV) $(PLAIN) $(INTEROP) $(BENCH_VENV) bench-output build dist demo-output examples-output .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
