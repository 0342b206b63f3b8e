# make demo, make test: each makes its own environment in .venv on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A worker that imports TensorFlow takes 2 GB.
PARALLEL := -n auto --maxprocesses 4

.PHONY: demo test lint prove emulators browser bench bench-channels bench-quantization calibrate format clean

demo: $(READY)
	$(BIN)/secateur demo --out out/demo

test: $(READY)
	$(BIN)/pytest $(PARALLEL) --dist loadfile -m "not tensorflow and not prove"
	$(BIN)/pytest $(PARALLEL) --dist worksteal -m "tensorflow and not prove"

prove: $(READY)
	$(BIN)/pytest $(PARALLEL) --dist worksteal -m prove

# What pip does not bring: QEMU from Debian (as root), Arm's firmware and an arm64 system into the user's cache.
emulators: $(READY)
	command -v qemu-system-arm qemu-aarch64 || (apt-get update -q && apt-get install -q -y --no-install-recommends qemu-system-arm qemu-user)
	$(BIN)/secateur targets --install corstone
	$(BIN)/secateur targets --install aarch64

# The tests of the report page drive Debian's Chromium.
browser:
	command -v chromium || (apt-get update -q && apt-get install -q -y --no-install-recommends chromium)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python benchmarks/overhead.py

bench-channels: $(READY)
	$(BIN)/python -m benchmarks.structural

bench-quantization: $(READY)
	$(BIN)/python -m benchmarks.quantization

calibrate: $(READY)
	$(BIN)/python -m benchmarks.latency_model

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; assert (3, 11) <= sys.version_info < (3, 14), 'secateur needs Python 3.11 to 3.13; run: make PYTHON=python3.12'"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) out
