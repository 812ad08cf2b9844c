# Every command a person needs. `make` alone lists them.
SHELL := /bin/bash
PY := .venv/bin/python
# Else each of the many processes that tests start would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
# Three workers, as many tests wait; tests/conftest.py gives two of them all the guests.
SHARED := -n 3 --dist loadgroup --no-loadscope-reorder --max-worker-restart 0
# Long forms of tests may take longer than pyproject.toml allows.
LONG := --timeout 3600 -o faulthandler_timeout=4000

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## From nothing to a shell in a VM; IMAGE=NAME: that image
	@scripts/setup demo
	@$(PY) scripts/demo $(IMAGE)

demo-remove: ## Remove what `make demo` has created, but not the image
	@scripts/setup
	@$(PY) scripts/demo --remove

setup: ## Install what the server needs: packages, a Python venv
	@scripts/setup

run: setup ## Start the server on port 8090, with its data in var/
	@exec env VELOCITY_DATA_DIR="$${VELOCITY_DATA_DIR:-$(CURDIR)/var}" .venv/bin/velocity serve

test: ## Run all tests, with real guests and browsers
	@scripts/setup dev
	@$(PY) -m pytest $(SHARED)

unit: ## Run the tests without guests, browsers and long loops
	@scripts/setup dev
	@$(PY) -m pytest $(SHARED) -m "not guest and not long" --ignore tests/web

flood: ## Run the long form of the console test: some minutes
	@scripts/setup dev
	@$(PY) -m pytest $(LONG) --whole tests/journeys/test_flood.py

# Two workers, each with a guest at a time.
hosts: ## Run the tests with several hosts in namespaces, as root
	@scripts/setup dev
	@$(PY) -m pytest $(LONG) --hosts -n 2 --dist loadgroup -k "shows or rbd" \
		tests/hosts/shows tests/storage/test_rbd.py tests/ports/test_storage.py tests/ports/test_storage_growing.py

CRASH_SECONDS ?= 600
crash: ## Kill the server at each point of each operation: 10 min
	@scripts/setup dev
	@$(PY) -m tests.crash --seconds $(CRASH_SECONDS) --report docs/reliability.md

whole: ## Run the long forms of tests that also have a short one
	@scripts/setup dev
	@$(PY) -m pytest $(SHARED) $(LONG) --whole -m whole

failures: ## Record the errors that tests receive: some minutes
	@scripts/setup dev
	@$(PY) scripts/failures
	@$(PY) scripts/docs

coverage: ## Measure the coverage of the tests: some minutes
	@scripts/setup dev
	@$(PY) scripts/coverage

check: ## Lint, types, import rules, generated files, the page
	@scripts/setup dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@$(PY) scripts/docs --check
	@scripts/node npm run --silent check
	@scripts/node node scripts/budget.mjs

bench: ## Run all benchmarks: 40 minutes; bench-NAME runs one
	@scripts/setup dev
	@$(PY) -m bench

bench-report: ## Write the latest results into docs/performance.md
	@scripts/setup dev
	@$(PY) -m bench.report

bench-neighbours: ## Run the benchmarks of hostile and greedy clients
	@scripts/setup dev
	@$(PY) -m bench.hostile
	@$(PY) -m bench.storms
	@$(PY) -m bench.report

bench-%:
	@scripts/setup dev
	@$(PY) -m bench.$*

profile: ## Make flame graphs of the server, in profile/
	@scripts/setup dev
	@$(PY) -m bench.profile

web: ## Build the web page (setup does so if it has changed)
	@scripts/setup web

catalogue-check: ## Check that the catalogue's images can be downloaded
	@scripts/setup
	@$(PY) scripts/catalogue

docs: ## Generate docs/reference and the methods of the clients
	@scripts/setup dev
	@$(PY) scripts/docs

screenshots: ## Create docs/pictures again, with real guests
	@scripts/setup dev
	@rm -rf docs/pictures
	@$(PY) -m pytest --pictures docs/pictures tests/web/test_screenshots.py
	@$(PY) -m tests.web.sheet docs/pictures

fix: ## Format, and fix what the linter can fix
	@scripts/setup dev
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .
	@scripts/node npm run --silent fix

dist: ## Build the wheel and the Debian package in dist/
	@scripts/setup web
	@.venv/bin/python -m hatchling build -t wheel -d dist
	@scripts/deb dist

clean: ## Remove caches and the venv, but not var/ with its VMs
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist profile web/node_modules src/velocity/api/static
	@find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +

.PHONY: help demo demo-remove setup run test unit flood hosts crash whole failures coverage check bench bench-report bench-neighbours profile web catalogue-check docs screenshots fix dist clean
