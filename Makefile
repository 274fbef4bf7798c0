# Development targets; "make help" lists them.  They create files in .venv/,
# .cache/, build/ and dist/; "make clean" removes these.

PYTHON     ?= python3
# The series of Mercurial to install, such as 7.0; empty means the newest.
HG_VERSION ?=
JOBS       ?= 2
# For "make tests": the tests to run, such as TESTS="test-foo.t test_bar.py";
# empty means all.
TESTS      ?=
# For "make tests": how many minutes Mercurial's own tests may take; 0 skips
# them.
CONFORMANCE ?= 5
# For "make conformance": options of tests/conformance/run.py, such as --subset.
# For "make bench-scale": options of benchmarks/scale.py, such as --factors 1 4.
ARGS       ?=
# For benchmarks: paths of Mercurial repositories to measure on.
HISTORIES  ?=
# For benchmarks: packages whose releases become a history to measure on:
# "requests", "django", or "none".
PACKAGES   ?=

PYVER := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV  := $(CURDIR)/.venv/py$(PYVER)-hg$(or $(HG_VERSION),latest)
BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt
# An editable installation by a line in a .pth file.  The default, an import
# finder, makes each hg that the tests start 30 ms slower.
EDIT  := --config-settings editable_mode=compat -e
PIN   := $(if $(HG_VERSION),"mercurial==$(HG_VERSION).*")

.PHONY: help demo tests tests-interactive coverage conformance fleet lint docs format bench bench-quick bench-path bench-scale dist \
	clean

help:
	@echo "make demo               show all three extensions at work on real content"
	@echo "make tests              run every test (TESTS=... for some)"
	@echo "make tests-interactive  run .t tests and offer to accept new output"
	@echo "make coverage           fail if the tests miss a branch of the protocol code"
	@echo "make fleet              break servers, caches and networks for 10 minutes"
	@echo "                        (MINUTES=...) while clients use them"
	@echo "make conformance        run Mercurial's own tests with files in SQLite"
	@echo "make lint               check style, types, layers, spelling and docs"
	@echo "make docs               build the documentation into build/docs"
	@echo "make format             let ruff rewrite the code"
	@echo "make bench-quick        compare with Mercurial in about 3 minutes"
	@echo "                        (HISTORIES=... for repositories of your own)"
	@echo "make bench              run the whole benchmark in about 20 minutes and"
	@echo "                        rewrite docs/benchmarks and the table in README.rst"
	@echo "make bench-path         measure what each step from stock hgweb saves a server,"
	@echo "                        on HISTORIES"
	@echo "make bench-scale        measure how costs grow with history, in an hour"
	@echo "                        or more, and rewrite the curves in docs/benchmarks"
	@echo "make dist               build sdist and wheel into dist/"
	@echo "make clean              remove everything that make has created"
	@echo "Variables: PYTHON=$(PYTHON) HG_VERSION=$(HG_VERSION) JOBS=$(JOBS)"

# Debian packages ensurepip apart from Python, and without it venv fails.
# virtualenv does not need it.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; set PYTHON=")'
	@echo "creating $(VENV:$(CURDIR)/%=%)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	  rm -rf $(VENV) && \
	  $(PYTHON) -m pip install -q --target .cache/virtualenv virtualenv && \
	  PYTHONPATH=.cache/virtualenv $(PYTHON) -m virtualenv -q $(VENV); }
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml setup.py constraints.txt
	@echo "installing the project"
	@$(PIP) $(PIN) $(EDIT) '.[objectstore,redis,metrics]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "installing what the tests and checks need"
	@$(PIP) $(PIN) $(EDIT) '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	@$(PIP) $(PIN) $(EDIT) '.[docs]'
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

# The code of the protocol does no I/O, so tests can take every branch of it.
coverage: $(VENV)/.dev
	@$(BIN)/coverage run -m pytest -q tests/test_wireprotov2_*proto*.py
	@$(BIN)/coverage report -m --fail-under=100 \
	  --include='hgext3rd/wireprotov2/proto/*'

# How many minutes clients use the fleet while it is broken again and again.
MINUTES ?= 10
fleet: $(VENV)/.dev
	@$(BIN)/python tests/fleet/fleet.py --minutes $(MINUTES) $(ARGS)

conformance: $(VENV)/.dev
	@$(BIN)/python tests/conformance/run.py --jobs $(JOBS) $(ARGS)

# Every check runs, even after one has failed.
lint: $(VENV)/.dev
	@status=0; for check in "ruff check ." "ruff format --check ." mypy \
	    lint-imports codespell; do \
	  echo "$$check"; $(BIN)/$$check || status=1; \
	done; $(MAKE) --no-print-directory docs || status=1; exit $$status

# -E reads every page again, so that no warning is missed.
docs: $(VENV)/.docs
	@$(BIN)/python scripts/generate_docs.py
	@$(BIN)/python -m sphinx -q -E -W --keep-going -d .cache/doctrees docs build/docs
	@echo "the documentation is in build/docs/index.html"

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Let Python write .pyc files, as it does in an installation.
BENCH := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m benchmarks

bench-quick: $(VENV)/.bench
	@$(BENCH) --quick $(PACKAGES:%=--package %) $(HISTORIES)

# Another LFS server to compare with. Its package does not name what it needs,
# and newer versions of pyjwt refuse its tokens.
GIFTLESS := giftless==0.6.2 cryptography figcan flask flask-classful \
  flask-marshmallow "pyjwt<2.10" python-dateutil python-dotenv pyyaml webargs
.cache/giftless/.installed:
	@$(PYTHON) -m venv .cache/giftless
	@.cache/giftless/bin/pip install -q $(GIFTLESS) gunicorn
	@touch $@

bench: $(VENV)/.bench
	@$(MAKE) --no-print-directory .cache/giftless/.installed || \
	  echo "giftless cannot be installed; rows have no variant of it"
	@$(BENCH) --publish docs/benchmarks --readme README.rst \
	  $(PACKAGES:%=--package %) $(HISTORIES)

bench-path: $(VENV)/.bench
	@$(BENCH).path $(HISTORIES)

bench-scale: $(VENV)/.bench
	@$(BENCH).scale --publish docs/benchmarks $(ARGS)

dist: $(VENV)/.dev
	$(BIN)/python -m build

clean:
	rm -rf .venv .cache build dist *.egg-info tests/*.err tests/.testtimes*
