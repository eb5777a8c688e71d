# The two commands of a newcomer are `make run` and `make test`. Each makes .venv when it is missing or stale.
# PYTHON=/path/to/python chooses the interpreter (3.11 or newer), ARGS="…" is passed on to what is run.

VENV := .venv
BENCH_VENV := .venv-bench
BIN := $(VENV)/bin
UV ?= $(firstword $(wildcard $(BIN)/uv) uv)
# A file of tests stays in one process; in the files' own order, for the longest waits are not in its last ones.
EVERY_CORE := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
COMPILE := $(UV) pip compile --no-config --universal --python-version 3.11 --generate-hashes --quiet \
	--no-header --no-emit-index-url --no-emit-find-links $(ARGS) pyproject.toml

.PHONY: run demo test lint docs screenshots simulate planted crash fuzz bench bench-scale bench-face bench-held bench-alerts soak hostile hostile-clients torture lock clean
.DEFAULT_GOAL := run

run: $(VENV)/.runs  ## start the daemon with the shipped config
	@echo "Starting the monitor; its page is at the address that follows 'ready:'. Ctrl-C stops it."
	@exec $(BIN)/monitor run $(ARGS)

demo: $(VENV)/.runs  ## a tour on loopback
	@exec $(BIN)/monitor demo $(ARGS)

test: $(VENV)/.tests  ## the whole test suite on every core, or ARGS; needs no network beyond loopback
	$(BIN)/python -m pytest $(or $(ARGS),$(EVERY_CORE))

lint: $(VENV)/.tests  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/plugins/example_check
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/basedpyright
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/basedpyright --verifytypes monitor.api --ignoreexternal

bench: $(BENCH_VENV)/.benches  ## what it costs, beside its peers; some ten minutes. Linux, nginx; writes benchmarks/RESULTS.md
	$(BENCH_VENV)/bin/python -m benchmarks.run $(ARGS)

bench-scale: $(BENCH_VENV)/.benches  ## ten minutes at 1,000 probes a second, 50,000 and 100,000 endpoints
	$(BENCH_VENV)/bin/python -m benchmarks.run endurance scale $(ARGS)

bench-face: $(BENCH_VENV)/.benches  ## 1,000 endpoints, 20 live pages: how long a page takes, and how late probes are then
	$(BENCH_VENV)/bin/python -m benchmarks.face $(ARGS)

bench-alerts: $(BENCH_VENV)/.benches  ## 1,000 endpoints every 10 s that fail and recover: from a decided alert to its POST
	$(BENCH_VENV)/bin/python -m benchmarks.alerts $(ARGS)

bench-held: $(BENCH_VENV)/.benches  ## 1,000 connections that are held: what they cost, and what comes of it when all are dropped
	$(BENCH_VENV)/bin/python -m benchmarks.held $(ARGS)

soak: $(BENCH_VENV)/.benches  ## 200,000 probes, good and hostile mixed: nothing grows
	$(BENCH_VENV)/bin/python -m benchmarks.run soak $(ARGS)

hostile: $(VENV)/.tests  ## every hostile server at once beside healthy endpoints: verdicts, overruns, lateness, memory
	PYTHONPATH=tests $(BIN)/python -m hostile $(ARGS)

torture: $(VENV)/.tests  ## plugins that do what none should, in both isolations: verdicts, time to dead, lateness of the healthy
	PYTHONPATH=tests $(BIN)/python -m torture $(ARGS)

hostile-clients: $(VENV)/.tests  ## clients that trickle, read nothing or send rubbish, against the real daemon; two minutes
	PYTHONPATH=tests $(BIN)/python -m hostile.clients $(ARGS)

screenshots: $(VENV)/.tests  ## the pictures of docs/images; needs Chromium
	PYTHONPATH=tests $(BIN)/python -m browser.screenshots $(ARGS)

simulate: $(VENV)/.tests  ## simulated days under faults, SEEDS=1-200 DAYS=1; every invariant of issue 4 is checked
	PYTHONPATH=tests $(BIN)/python -m simulation --seeds $(or $(SEEDS),1-20) --days $(or $(DAYS),1) $(ARGS)

planted: $(VENV)/.tests  ## known bugs, planted one at a time in a copy of the tree: the simulation must find each
	PYTHONPATH=tests $(BIN)/python -m simulation.planted $(ARGS)

crash: $(VENV)/.tests  ## the real process killed at random, KILLS=200: what sinks were told against what was decided
	PYTHONPATH=tests $(BIN)/python -m crashes --kills $(or $(KILLS),200) $(ARGS)

fuzz: $(VENV)/.tests  ## CASES=10000 configs full of mistakes: accepted or told; the slowest of them, and the memory
	FUZZ=$(or $(CASES),10000) $(BIN)/python -m pytest -q -s tests/config/test_fuzz.py $(ARGS)

docs: $(VENV)/.tests  ## the tables of keys and the schema in docs/, from the code
	$(BIN)/python docs/generate.py

lock:  ## pin again after a change of dependencies; ARGS=--upgrade takes newer ones (needs uv)
	env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL -u PIP_CONSTRAINT \
		$(COMPILE) --group build --output-file requirements.lock
	env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL -u PIP_CONSTRAINT \
		$(COMPILE) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL -u PIP_CONSTRAINT \
		$(COMPILE) --group bench --constraint requirements.lock --output-file requirements-bench.lock

clean:  ## remove whatever was built; not the data
	rm -rf $(VENV) $(BENCH_VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What it takes to run, and to test: installed from the locks, then the project itself, which brings nothing along.
$(VENV)/.runs: requirements.lock pyproject.toml .ci/venv
	@PYTHON="$(PYTHON)" sh .ci/venv $(VENV) requirements.lock
	@touch $@

$(VENV)/.tests: requirements-dev.lock $(VENV)/.runs
	@PYTHON="$(PYTHON)" sh .ci/venv $(VENV) requirements-dev.lock
	@touch $@

$(BENCH_VENV)/.benches: requirements-bench.lock pyproject.toml .ci/venv
	@PYTHON="$(PYTHON)" sh .ci/venv $(BENCH_VENV) requirements-bench.lock
	@touch $@
