# make demo and make test are all that a newcomer needs; both make .venv first.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: demo test lint bench web gpu-proof clean

demo: .venv/ready
	$(BIN)/python tools/demo.py demo/out

# A process for each core, each with one thread: files of tests are independent of each other.
test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(TESTS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# make bench ARGS="--quick --plot bench.png"
bench: .venv/ready
	$(BIN)/python tools/bench_trt.py $(ARGS)

# The page that runs in a browser, in build/web and on this machine (docs/browser.md); ARGS="--port 9000" or "--build"
web:
	$(or $(PYTHON),python3) tools/web.py $(ARGS)

# On a machine with an NVIDIA card: PROOF is where its files go, TIME its minutes (3, 8, 30), ONLY some of its lines;
# RESUME=1 goes on where an earlier one was cut off.
PROOF ?= build/gpu-proof
TIME ?= 30
gpu-proof: .venv/ready
	@$(BIN)/python -c "import sys; from pnen_runtime.cuda.driver import first_gpu; first_gpu() or sys.exit('expected an NVIDIA GPU and its driver, found none: nothing can be proven here')"
	@if command -v nvidia-smi >/dev/null && ! $(BIN)/python -c "import tensorrt" 2>/dev/null; then \
		$(BIN)/pip install -q -c constraints.txt -e ".[tensorrt]" || echo "TensorRT was not installed; its lines will say so"; fi
	$(BIN)/python tools/gpu_proof.py prepare $(PROOF)
	$(BIN)/python tools/gpu_proof.py run $(PROOF) --out $(PROOF)/report --time $(TIME) --only "$(ONLY)" $(if $(RESUME),--resume)

# torch first and alone: the CPU build where the index has one, and nothing replaces it later.
.venv/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "expected Python 3.11 or newer, found none; install it, or name it: make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv demo/out
