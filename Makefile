# `make demo` and `make test` work on a bare clone; run again, they install and fetch nothing.
# Another Python than python3: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := results/demo

.PHONY: demo test check clean pulled browser
.DELETE_ON_ERROR:

demo: $(VENV)/.installed pulled
	@$(BIN)/wellheard score data/calls/manifest.csv --results $(DEMO)
	@$(BIN)/wellheard call en_wedding --results $(DEMO)
	@echo "Parquet: $(DEMO)/ with calls, turns, acts, marks, agents, failures"

test: $(VENV)/.installed-dev pulled browser
	$(BIN)/pytest

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p $(VENV)/typing && ln -sfn ../.. $(VENV)/typing/wellheard
	cd $(VENV)/typing && MYPYPATH=. ../bin/mypy --config-file wellheard/pyproject.toml \
		-m wellheard.cli -p wellheard.pipeline -p wellheard.rubrics -p wellheard.models -p wellheard.training -p wellheard.views

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache

# Looks whether the models are there and whole; fetches those that are not.
pulled: $(VENV)/.installed
	@$(BIN)/wellheard models pull

# The review page is tested in Chromium; where it is missing and cannot be installed, these tests skip and say so.
browser:
	@if ! command -v chromium >/dev/null && command -v apt-get >/dev/null; then \
		if [ "$$(id -u)" = 0 ]; then as_root=; elif sudo -n true 2>/dev/null; then as_root=sudo; else exit 0; fi; \
		echo "Installing chromium from Debian's packages, for the tests of the review page."; \
		{ $$as_root apt-get -qq update && $$as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get -qq install --yes --no-install-recommends chromium; } >/dev/null || \
		echo "chromium could not be installed" >&2; \
	fi

$(VENV)/.installed: $(VENV)/pyvenv.cfg pyproject.toml
	@echo "Installing wellheard and what it needs into $(VENV); the first time takes some minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: $(PYTHON) is missing, or older than 3.11. Install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: $(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV)
