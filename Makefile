# make demo | check | test | test-windows | lockout | lockout-model | cover | bench | binary | docs | pictures | clean; see CONTRIBUTING.md
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -n)

# Otherwise each Px that the tests start compiles all modules again, which doubles its CPU time.
unexport PYTHONDONTWRITEBYTECODE

# Each run of pytest ends with its slowest tests.
export PYTEST_ADDOPTS ?= --durations=15 --durations-min=2

.PHONY: help demo check test corpnet unit test-windows lint types imports system-packages lockout lockout-model cover bench binary \
  docs pictures clean

help:
	@sed -n '1s/^# //p' Makefile

demo: $(VENV)/px-installed
	$(BIN)/px --demo

check: lint types imports

# Prepare and check, then run the stages side by side, the longest ones first.
test: $(VENV)/dev-installed
	@$(MAKE) --no-print-directory -j2 --output-sync=target system-packages check
	$(BIN)/python -m scripts.run_stages corpnet test-windows unit unit-3.13 unit-3.12 unit-3.14

# The tests at real upstreams.
corpnet: $(VENV)/dev-installed
	$(BIN)/python -m pytest -m corpnet

# The tests that need no system packages.
unit: $(VENV)/dev-installed
	$(BIN)/python -m pytest -m 'not corpnet'

lint: $(VENV)/dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev-installed
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform win32 src
	$(BIN)/mypy --platform darwin src

imports: $(VENV)/dev-installed
	$(BIN)/python -m pytest -q tests/test_import_rules.py

# The same tests, on that Python if it is newer than the one of .venv.
unit-3.%: $(VENV)/dev-installed
	scripts/test_newer_python.sh $(BIN)/python $*

# The same tests, on a Windows Python under Wine.
test-windows: $(VENV)/dev-installed
	scripts/test_under_wine.sh $(BIN)/python .venv-wine

# The packages of the corporate network in a box (Squid, Samba, a KDC), and Wine.
system-packages:
	@scripts/install_system_packages.sh

# The model of the lock-out record, in 100,000 orders of events: an hour, so without the limit for hanging tests.
lockout-model: $(VENV)/dev-installed
	LOCKOUT_EXAMPLES=100000 $(BIN)/python -m pytest -q -o faulthandler_timeout=0 tests/core/login/test_token_budget.py

# The attacks that could lock an account, each ten times on a busy computer; prints the domain's counts.
lockout: system-packages $(VENV)/dev-installed
	LOCKOUT_RUNS=10 $(BIN)/python -m pytest -q -m lockout tests/e2e

cover: $(VENV)/dev-installed
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine
	$(BIN)/coverage report

# Px beside other proxies; the results go to docs/performance.md. Some 15 minutes, best on a quiet machine.
bench: system-packages $(VENV)/bench-installed
	bench/install_peers.sh $(BIN)/python
	$(BIN)/python -m bench --write

# One directory that needs no Python, for the system that it is made on: dist/px.
binary: $(VENV)/dev-installed
	$(BIN)/pyinstaller -y --log-level WARN packaging/px.spec

# The documents that are made from the code and its tests: docs/options.md, the man page and the picture of the demo.
docs: $(VENV)/dev-installed
	$(BIN)/python -m scripts.write_options_md
	$(BIN)/python -m scripts.write_man_page
	$(BIN)/python -m scripts.write_demo_svg

# The pictures of docs/first-steps.md, from runs of Px in the corporate network in a box.
pictures: system-packages $(VENV)/dev-installed
	$(BIN)/python -m scripts.write_first_steps_svgs

clean:
	rm -rf $(VENV) .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*

$(VENV)/bench-installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@ $(VENV)/px-installed

# Debian's python3 lacks the package that `python3 -m venv` needs.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Px needs Python 3.11 or newer; say which: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || ! command -v apt-get >/dev/null || \
	  { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy python3-venv; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; } # otherwise the next run finds an incomplete .venv

$(VENV)/px-installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/dev-installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/px-installed
