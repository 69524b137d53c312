# make demo and make test are all that a newcomer needs; both make .venv first.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: demo test lint docs web bench gpu-proof wheels lock clean

demo: .venv/ready
	$(BIN)/python tools/demo.py demo/out

# A process for each core, each with one thread: files of tests are independent of each other.
test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(TESTS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, from docs/ and the docstrings, into build/docs; to read it with its search: python -m http.server -d build/docs
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/docs/index.html"

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
.venv/ready: pyproject.toml constraints.txt constraints/export.txt
	@test -n "$(PYTHON)" || { echo "expected Python 3.11 or newer, found none; install it, or name it: make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q "pip>=25.1"
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints/export.txt -e ".[export,deep,video,serve]" --group dev
	$(BIN)/pip install -q -c constraints/triton.txt -e ".[triton]"  # which takes an older protobuf
	touch $@

# dist/: the package, its source, and the checkpoints for who trains and exports
wheels: .venv/ready
	rm -rf build/lib build/bdist.* dist
	$(BIN)/python -m build -q --no-isolation -o dist .
	$(BIN)/python -m build -q --no-isolation -o dist --wheel pnen_train/bundled
	rm -rf build/lib build/bdist.* pnen_train/bundled/build

# What each extra was last resolved to, for every system and Python: pip install -c constraints/ort.txt ...
EXTRAS := $(shell sed -n '/^\[project.optional-dependencies\]/,/^$$/s/^\([a-z-]*\) = .*/\1/p' pyproject.toml)
lock: .venv/ready
	$(BIN)/pip install -q uv
	@mkdir -p constraints
	for extra in $(EXTRAS); do $(BIN)/uv pip compile -q --universal --python-version 3.10 --no-header --no-annotate --upgrade -c constraints.txt \
		--extra $$extra pyproject.toml -o constraints/$$extra.txt || exit 1; done

clean:
	rm -rf .venv demo/out
