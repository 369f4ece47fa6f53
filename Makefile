# Every target does its own set-up. A machine needs Python 3.11 or newer, git and make.
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
SYNC := .venv/.synced
WORKERS ?= 3
PYTEST = .venv/bin/python -m pytest -n $(WORKERS) --dist loadgroup
export UV_PYTHON_DOWNLOADS := never
# Compiled once, modules load in half the time, in each of the processes that one command starts.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE
export PYTHONWARNINGS := ignore:The package "pdpyras" is deprecated

.PHONY: up demo test acceptance lint bench chaos search format clean

up: $(SYNC)            ## The whole product on this machine: Temporal, worker, gateway
	.venv/bin/tocsin up

demo: $(SYNC)          ## Four incidents, live, in under 90 seconds
	.venv/bin/python -m tests.demo

test: $(SYNC)          ## Every test that needs no long-running processes
	$(PYTEST) -m "not acceptance" $(ARGS)

acceptance: $(SYNC)    ## Real processes: the main job, crashes, outages, the fault matrix, an upgrade, a short chaos run
	$(PYTEST) -m acceptance $(ARGS)

lint: $(SYNC)          ## Format, lint, words, arrows, types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.ci/check-words
	.venv/bin/lint-imports --no-cache
	.venv/bin/pyright --pythonpath .venv/bin/python
	.venv/bin/pyright --pythonpath .venv/bin/python -p tests

bench: $(SYNC)         ## Figures, as ratios in one run; exits non-zero if a bound does not hold
	.venv/bin/python -m benchmarks

chaos: $(SYNC)         ## 20 minutes of faults in every process; exits non-zero on a violation
	.venv/bin/python -m tests.chaos $(ARGS)

search: $(SYNC)        ## Thousands of random streams of alerts against the invariant; exits non-zero on a violation
	HYPOTHESIS_PROFILE=search .venv/bin/python -m pytest -n 2 -m "" tests/invariant $(ARGS)

format: $(SYNC)
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean:
	rm -rf .venv .tools .tocsin .pytest_cache .ruff_cache .hypothesis

$(SYNC): pyproject.toml uv.lock $(filter .tools/%,$(UV))
	$(UV) sync --frozen --all-extras --python $(PYTHON)
	@touch $@

.tools/bin/uv:         # uv, by pip, into a folder of this checkout; the system stays unchanged
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
