# make demo: set everything up, then the whole job. make test: set everything up, then who imports whom and the tests,
# as many at a time as there are cores. make test-slow: those that take minutes. make lint: style and types. make docs:
# the site of docs/, into build/site, without a network. make setup-light: an install that enhances without PyTorch.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
LIGHT := .venv-light

.PHONY: demo test test-slow lint docs setup setup-light clean

demo: setup
	$(VENV)/bin/ofa-avse quickstart

test: setup
	$(VENV)/bin/lint-imports --no-cache --no-logo
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n auto --dist loadfile

test-slow: setup
	$(VENV)/bin/pytest -m slow

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache --no-logo

docs: setup
	$(VENV)/bin/mkdocs build --strict --quiet

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@command -v cc >/dev/null || { echo "a C compiler is needed to build pesq: install gcc or clang" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $(READY)

# The wheel in an environment of its own, without PyTorch and all that comes with it.
setup-light: $(LIGHT)/.ready

$(LIGHT)/.ready: requirements-light.txt pyproject.toml constraints.txt
	$(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/pip install --quiet --constraint constraints.txt --requirement requirements-light.txt
	$(LIGHT)/bin/pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(LIGHT)/bin/pip install --quiet --no-deps --force-reinstall build/wheel/ofa_avse-*.whl
	touch $@

clean:
	rm -rf $(VENV) $(LIGHT) build *.egg-info
