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
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## From nothing to a VM with a shell, with a server of its own in var/demo; IMAGE=NAME uses an image of the catalogue
	@scripts/setup demo
	@$(PY) scripts/demo $(IMAGE)

demo-remove: ## Stop and remove what `make demo` has created, except the image in the cache
	@scripts/setup
	@$(PY) scripts/demo --remove

setup: ## Install what the server needs (packages of the distribution, a virtual environment)
	@scripts/setup

run: setup ## Start the server on port 8090, with its data under var/
	@exec env VELOCITY_DATA_DIR="$${VELOCITY_DATA_DIR:-$(CURDIR)/var}" .venv/bin/velocity serve

test: ## Run every test: unit, port, API, and journeys with real guests
	@scripts/setup dev
	@$(PY) -m pytest $(SHARED)

unit: ## Run the tests without guests, browsers and thousands of steps
	@scripts/setup dev
	@$(PY) -m pytest $(SHARED) -m "not guest and not long" --ignore tests/web

flood: ## Run the long form of the console test, with 4 MB of numbered lines; takes some minutes
	@scripts/setup dev
	@$(PY) -m pytest $(LONG) --whole tests/journeys/test_flood.py

# Two workers, each with a guest at a time.
hosts: ## Run the tests with several hosts, with real processes and guests in namespaces; as root, some minutes
	@scripts/setup dev
	@$(PY) -m pytest $(LONG) --hosts -n 2 --dist loadgroup -k "shows or rbd" \
		tests/hosts/shows tests/storage/test_rbd.py tests/ports/test_storage.py tests/ports/test_storage_growing.py

CRASH_SECONDS ?= 600
crash: ## Kill the server at every point of every operation for ten minutes (CRASH_SECONDS), and record it in docs/reliability.md
	@scripts/setup dev
	@$(PY) -m tests.crash --seconds $(CRASH_SECONDS) --report docs/reliability.md

whole: ## Run the long forms of tests with a short form: access, pages, requests, consoles, USB, imports, VMs and media under faults
	@scripts/setup dev
	@$(PY) -m pytest $(SHARED) $(LONG) --whole -m whole

failures: ## Record which errors the tests receive, for docs/reference/failures.md; takes some minutes
	@scripts/setup dev
	@$(PY) scripts/failures
	@$(PY) scripts/docs

coverage: ## Measure the coverage of the tests without guests and browsers, for docs/reference/coverage.md
	@scripts/setup dev
	@$(PY) scripts/coverage

check: ## Lint, types, imports, generated docs up to date
	@scripts/setup dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@$(PY) scripts/docs --check
	@scripts/node npm run --silent check
	@scripts/node node scripts/budget.mjs

bench: ## Run all benchmarks beside their baselines and peers, some 40 minutes; bench-NAME runs one (bench/NAME.py)
	@scripts/setup dev
	@$(PY) -m bench

bench-report: ## Write the latest results into docs/performance.md, as tables and plots
	@scripts/setup dev
	@$(PY) -m bench.report

bench-neighbours: ## Measure how hostile connections and one user's storms affect others, for docs/performance.md; seven minutes
	@scripts/setup dev
	@$(PY) -m bench.hostile
	@$(PY) -m bench.storms
	@$(PY) -m bench.report

bench-%:
	@scripts/setup dev
	@$(PY) -m bench.$*

profile: ## Profile the server: flame graphs of a state read and of a start, in profile/
	@scripts/setup dev
	@$(PY) -m bench.profile

web: ## Build the web page from web/ (setup does so when it has changed)
	@scripts/setup web

catalogue-check: ## Check that each image of the catalogue is available; needs a network
	@scripts/setup
	@$(PY) scripts/catalogue

docs: ## Generate docs/reference and the client's methods from the code
	@scripts/setup dev
	@$(PY) scripts/docs

screenshots: ## Create the pictures in docs/pictures again, with real guests
	@scripts/setup dev
	@rm -rf docs/pictures
	@$(PY) -m pytest --pictures docs/pictures tests/web/test_screenshots.py
	@$(PY) -m tests.web.sheet docs/pictures

fix: ## Format, and fix what the linter can fix
	@scripts/setup dev
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .
	@scripts/node npm run --silent fix

dist: ## Build the wheel and the Debian package in dist/, both with the web page
	@scripts/setup web
	@.venv/bin/python -m hatchling build -t wheel -d dist
	@scripts/deb dist

clean: ## Remove caches and the virtual environment (not var/, where the machines are)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist profile web/node_modules src/velocity/api/static
	@find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +

.PHONY: help demo demo-remove setup run test unit flood hosts crash whole failures coverage check bench bench-report bench-neighbours profile web docs screenshots fix dist clean
