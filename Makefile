# Everything runs in a virtual environment of its own; only Python 3.11+ and make are needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed
# What the benchmarks compare with. PyTensor pins an older numba, so it cannot share graphc's.
PEERS_VENV := .venv-peers
PEERS      := torch==2.13.0 numpy jax pytensor onnxruntime onnx

# Both ends of the range of numba in pyproject.toml, each with its llvmlite.
NUMBAS := numba==0.66.0/llvmlite==0.48.0 numba==0.68.1/llvmlite==0.50.0
# What tells that numba is understood: every op, golden texts, machine code, a training.
NUMBA_TESTS ?= tests/ops tests/compiler/texts/test_golden.py tests/compiler/texts/test_machine_code.py \
	tests/train/test_training.py

.PHONY: demo test test-fast test-long test-widths test-estimators test-numba lint types bench peers clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'setuptools>=77'
	$(BIN)/python -m pip install --quiet --editable '.[examples,dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/python examples/digits.py

test: lint types
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not long"

# The cases that `make test` leaves out where tests compile much, and more random programs and
# examples.
test-long: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long

# What is compiled, with narrower vectors than the machine may have, and on two threads.
test-widths: $(STAMP)
	for bits in 128 256; do \
		GRAPHC_VECTOR_BITS=$$bits GRAPHC_THREADS=2 $(BIN)/python -m pytest -n 2 \
			--dist worksteal tests/ops tests/compiler tests/kernels || exit 1; \
	done

# Each end in an environment of its own, .venv-numba-0.66.0 for one.
test-numba:
	for versions in $(NUMBAS); do \
		numba=$${versions%/*} llvmlite=$${versions#*/}; \
		folder=$(VENV)-numba-$${numba#numba==}; \
		$(PYTHON) -m venv $$folder && \
		$$folder/bin/python -m pip install --quiet 'setuptools>=77' && \
		$$folder/bin/python -m pip install --quiet --editable '.[examples,dev]' \
			$$numba $$llvmlite && \
		$$folder/bin/python -m pytest -n 2 --dist worksteal $(NUMBA_TESTS) || exit 1; \
	done

# scikit-learn's checks of the estimators with all defaults; `make test` has those of small ones.
test-estimators: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/sklearn/full_checks.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy reads a regular install: the editable one maps ir and kernels in a way that it cannot follow.
types: $(STAMP)
	rm -rf build $(VENV)/types
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target $(VENV)/types .
	rm -rf build
	cd $(VENV)/types && ../bin/mypy --config-file ../../pyproject.toml -p graphc

# Pages that are read without a server.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo site/index.html

bench: $(STAMP)
	$(BIN)/python -m benchmarks

peers: $(PEERS_VENV)/installed

$(PEERS_VENV)/installed:
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install --quiet $(PEERS)
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-numba-* $(PEERS_VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
