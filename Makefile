# Every target makes the environment it needs: Python 3.11 or later and make are enough.
# It lives in .venv and holds exactly what requirements.lock says; delete the folder to begin anew.

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
JOBS ?= 2
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)

# Dependencies report home unless they are told not to; "1" is not enough for MLflow.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# As on most machines: what Python leaves beside a module must not count as a change of anything.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv demo demo-monitor test check format unit functional slow test-image nbval bench bench-scoring bench-serving dist lock clean
.DEFAULT_GOAL := help

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

# uv, checked by its hash in the lock, installs the rest in seconds. Where it cannot (a package mirror that only pip was told
# of), pip installs the same files.
$(VENV)/.locked: requirements.lock
	@test -n "$(PYTHON)" || { echo "nbprod needs Python 3.11 or later with its venv module (Debian and Ubuntu:" \
		"apt-get install python3-venv), and there is none on the PATH. Or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	awk '/^uv==/ { found = 1 } found { print } found && !/\\$$/ { exit }' requirements.lock > $(VENV)/uv.lock
	$(RUN) pip install --quiet --require-hashes --no-deps -r $(VENV)/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps --compile-bytecode -r requirements.lock \
		|| $(RUN) pip install --quiet --require-hashes --no-deps -r requirements.lock
	touch $@

$(VENV)/.ready: $(VENV)/.locked pyproject.toml
	$(RUN) pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

venv: $(VENV)/.ready ## Make the environment in .venv

demo: $(VENV)/.ready ## Run the example pipeline on real data and print the registry entry
	$(BIN)/nbprod run pipelines/employment.yaml
	$(BIN)/nbprod show employment

demo-monitor: $(VENV)/.ready ## Play three years of monitoring, retraining and serving (about six minutes)
	$(BIN)/python demos/monitor/play.py runs/demo-monitor

test: check unit nbval functional ## Run all checks and all tests

check: $(VENV)/.ready ## Check format, lint, types and the import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: $(VENV)/.ready ## Run the unit tests
	$(RUN) pytest -q -n $(JOBS) --ignore tests/functional --ignore tests/image

functional: $(VENV)/.ready ## Run the tests with real kernels and a real registry
	$(RUN) pytest -q -n $(JOBS) --dist loadfile -m "not slow" tests/functional

slow: $(VENV)/.ready ## Run the end-to-end tests that take minutes
	$(RUN) pytest -q -n $(JOBS) --dist loadfile -m slow tests

test-image: $(VENV)/.ready ## Build a real image of a bundle, run it and ask it (root, Debian's buildah, podman, umoci, runc, debootstrap)
	.ci/image

nbval: $(VENV)/.ready ## Check that the example notebooks still give their saved outputs
	$(BIN)/nbprod run pipelines/employment.yaml
	$(RUN) pytest -q --nbval notebooks

bench: $(VENV)/.ready ## Measure nbprod against other tools
	$(RUN) benchmarks

bench-scoring: $(VENV)/.ready ## Measure nbprod score on 10 million rows beside pandas and MLflow
	$(RUN) benchmarks.scoring $(ARGS)

bench-serving: $(VENV)/.ready ## Measure the service beside mlflow models serve (ARGS="--with mlserver": and MLServer)
	$(RUN) benchmarks.serving $(ARGS)

dist: $(VENV)/.ready ## Build the wheel and prove it alone in a clean environment
	.ci/dist

lock: $(VENV)/.ready ## Resolve requirements.lock anew (make lock UPGRADE=1: the newest of everything)
	$(BIN)/uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean: ## Remove the environment, caches and built files; runs and the registry stay
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find nbprod tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
