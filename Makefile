# Development targets.  Everything made here stays in .venv/ and .cache/;
# both can be removed at any time ("make clean").

PYTHON     ?= python3
# A Mercurial series to work against, such as 7.0; empty means the newest.
HG_VERSION ?=
JOBS       ?= 2
# For "make tests": only these, for instance TESTS="test-foo.t test_bar.py".
TESTS      ?=
# For "make tests": minutes for Mercurial's own tests, which come last; 0 for none.
CONFORMANCE ?= 8
# For "make conformance": options of tests/conformance/run.py, as --subset.
ARGS       ?=
# For "make bench": further histories, paths of Mercurial repositories.
HISTORIES  ?=
# And the releases to measure on: "requests", "django", or "none".
PACKAGES   ?=

PYVER := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV  := $(CURDIR)/.venv/py$(PYVER)-hg$(or $(HG_VERSION),latest)
BIN   := $(VENV)/bin
# Keep pip quiet about itself; everything else it says is wanted.
PIP   := $(BIN)/python -m pip --disable-pip-version-check install -q
# A line in a .pth file instead of an import finder: every hg the tests start
# is 30 ms faster.
EDIT  := --config-settings editable_mode=compat -e
PIN   := $(if $(HG_VERSION),"mercurial==$(HG_VERSION).*")

.PHONY: help demo tests tests-interactive coverage conformance lint format bench bench-quick dist clean

help:
	@echo "make demo               see all three extensions work on real content"
	@echo "make tests              run every test (TESTS=... for some)"
	@echo "make tests-interactive  run .t tests, offering to accept new output"
	@echo "make coverage           branches of the protocol code that no test takes"
	@echo "make conformance        run Mercurial's own tests with files in SQLite"
	@echo "make lint               check style, types, layers and spelling"
	@echo "make format             let ruff rewrite the code"
	@echo "make bench-quick        measure against Mercurial, under 3 minutes"
	@echo "make bench              the whole benchmark, under 20 minutes; rewrites"
	@echo "                        docs/benchmarks and the figures in README.rst"
	@echo "make dist               build sdist and wheel into dist/"
	@echo "make clean              remove all that was made"
	@echo "Variables: PYTHON=$(PYTHON) HG_VERSION=$(HG_VERSION) JOBS=$(JOBS)"

# Debian splits ensurepip from Python; virtualenv needs nothing of it.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; set PYTHON=")'
	@echo "creating $(VENV:$(CURDIR)/%=%)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	  rm -rf $(VENV) && \
	  $(PYTHON) -m pip install -q --target .cache/virtualenv virtualenv && \
	  PYTHONPATH=.cache/virtualenv $(PYTHON) -m virtualenv -q $(VENV); }
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml setup.py
	@echo "installing the project"
	@$(PIP) $(PIN) $(EDIT) '.[objectstore,redis,metrics]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "installing what the tests and checks need"
	@$(PIP) $(PIN) $(EDIT) '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.installed
	@$(PIP) $(PIN) $(EDIT) '.[bench]'
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/python scripts/demo.py

tests: $(VENV)/.dev
	@$(BIN)/python scripts/runtests.py --jobs $(JOBS) --conformance $(CONFORMANCE) $(TESTS)

tests-interactive: $(VENV)/.dev
	@$(BIN)/python scripts/runtests.py --interactive $(TESTS)

# The protocol package, which does no I/O, is tested in every branch.
coverage: $(VENV)/.dev
	@$(BIN)/coverage run -m pytest -q tests/test_wireprotov2_proto_*.py
	@$(BIN)/coverage report -m --fail-under=100 \
	  --include='hgext3rd/wireprotov2/proto/*'

conformance: $(VENV)/.dev
	@$(BIN)/python tests/conformance/run.py --jobs $(JOBS) $(ARGS)

# All of them, whatever the first says.
lint: $(VENV)/.dev
	@status=0; for check in "ruff check ." "ruff format --check ." mypy \
	    lint-imports codespell; do \
	  echo "$$check"; $(BIN)/$$check || status=1; \
	done; exit $$status

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Python keeps what it compiled, as in an installation.
BENCH := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m benchmarks

bench-quick: $(VENV)/.bench
	@$(BENCH) --quick $(PACKAGES:%=--package %) $(HISTORIES)

bench: $(VENV)/.bench
	@$(BENCH) --publish docs/benchmarks --readme README.rst \
	  $(PACKAGES:%=--package %) $(HISTORIES)

dist: $(VENV)/.dev
	$(BIN)/python -m build

clean:
	rm -rf .venv .cache build dist *.egg-info tests/*.err tests/.testtimes*
