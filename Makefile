# On a bare machine: `make demo` and `make test` do all their own set-up in .venv. Needed: Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint slow clean
.DEFAULT_GOAL := demo

demo: .venv/ready
	$(BIN)/anlage demo --out runs/demo --overwrite

# Two tests run at once: one thread each.
test: export OMP_NUM_THREADS = 1
test: lint
	$(BIN)/pytest -q -n 2 -m "not slow"

slow: .venv/ready
	$(BIN)/pytest -q -m slow

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# torch first and exactly: a looser request may prefer a build with gigabytes of CUDA where a CPU build is configured.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'anlage needs Python 3.11 or newer: make PYTHON=/path/to/python3.11'; exit 1; }
	@$(PYTHON) -m venv .venv || { echo 'python3 cannot make virtual environments: on Debian and Ubuntu, apt install python3-venv'; exit 1; }
	$(BIN)/python -m pip install -q "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[all,dev]'
	touch $@

clean:
	rm -rf .venv runs dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
