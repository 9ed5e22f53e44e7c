# Every command a developer types. `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Of the time of a test a third is waiting, so half as many again as there are cores.
WORKERS ?= $(shell cores=$$(nproc); echo $$((cores + (cores + 1) / 2)))
.PHONY: docs help setup setup-dev demo test check bench migration lock clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.venv/.installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, `$(PYTHON) --version` was found; say make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

setup: .venv/.installed ## create .venv with .venv/bin/ostiary from the lock file

setup-dev: .venv/.installed-dev ## the same with the tools of `make test` and `make check`

demo: setup ## the main job, performed: an outside user's password becomes an API call
	@$(BIN)/ostiary demo

test: setup-dev ## the whole test suite, on the real process tree too
	$(BIN)/python -m pytest -q -n $(WORKERS) --ignore=tests/system
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m "not alone" tests/system
	$(BIN)/python -m pytest -q -m alone tests/system

check: setup-dev ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv-bench/.installed: requirements-bench.lock benchmarks/oidc-provider/package-lock.json
	@command -v wrk >/dev/null || { echo "wrk is needed for the load: apt-get install wrk"; exit 1; }
	@command -v nginx >/dev/null || test -x /usr/sbin/nginx || { echo "nginx is needed as the backend: apt-get install nginx-light"; exit 1; }
	@command -v npm >/dev/null || { echo "npm is needed for the peer of the token endpoint: apt-get install nodejs npm"; exit 1; }
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-bench.lock
	npm ci --prefix benchmarks/oidc-provider --no-audit --no-fund --silent
	@touch $@

bench: setup-dev .venv-bench/.installed ## what it costs, beside its peers, against what it promises: make bench [q="gateway miss"]
	$(BIN)/python -m benchmarks $(q)

migration: setup-dev ## write a migration from changed tables: make migration m="what it does"
	$(BIN)/python -m ostiary.migrations "$(m)"

docs: setup-dev ## write the generated pages of docs/reference again
	$(BIN)/python docs/reference/generate.py

lock: setup-dev ## resolve the lock files again from pyproject.toml
	$(BIN)/uv pip compile --upgrade --universal --generate-hashes --no-emit-index-url --quiet pyproject.toml --extra otel --group build -o requirements.lock
	$(BIN)/uv pip compile --upgrade --universal --generate-hashes --no-emit-index-url --quiet pyproject.toml --extra otel --group build --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile --upgrade --universal --generate-hashes --no-emit-index-url --quiet --group bench -o requirements-bench.lock

clean: ## remove .venv and caches
	rm -rf .venv .venv-bench benchmarks/oidc-provider/node_modules .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
