# Everything runs in a virtual environment of its own; only Python 3.11+ and make are needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed

.PHONY: demo test test-fast lint types bench clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'setuptools>=77'
	$(BIN)/python -m pip install --quiet --editable '.[examples,dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/python examples/digits.py

test: lint types
	$(BIN)/python -m pytest -n 2

test-fast: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy reads a regular install: the editable one maps ir and kernels in a way that it cannot follow.
types: $(STAMP)
	rm -rf build $(VENV)/types
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target $(VENV)/types .
	rm -rf build
	cd $(VENV)/types && ../bin/mypy --config-file ../../pyproject.toml -p graphc

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
