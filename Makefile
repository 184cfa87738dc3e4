# Every command does its own set-up; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Images often set it. Without compiled files, every process the tests start compiles the application and its tests anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test tools check lint types audit bench scale format translations pictures trial documents sbom pins clean
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/production ## start the application and a pretend Bitrix24; prints one address to open
	@$(BIN)/python -m tests.demo

test: .venv/development tools ## run every test; what it lacks fails alone, and is named at the end
	$(BIN)/pytest

tools: .venv/development ## find or install the programs the tests start
	@sh tests/find_tools.sh

# Three at once: type checking calculates while the audit and the installation of programs wait for the network.
check: .venv/development ## formatting, lint, types, imports, translations, documents, then the tests
	@$(MAKE) --no-print-directory --jobs=3 $(KEEP_APART) lint types audit tools
	@$(MAKE) --no-print-directory test

# An old make, as on macOS, mixes the lines of what runs at once.
KEEP_APART := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

lint: .venv/development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m tests.tools.catalogs check
	$(BIN)/python -m tests.tools.module_table check
	$(BIN)/pytest -n0 tests/tools
	@# While types are checked: three workers that start at once would each compile all tests.
	@output=$$($(BIN)/pytest -n0 --collect-only) || { echo "$$output"; exit 1; }

types: .venv/development
	$(BIN)/mypy

audit: .venv/development
	$(BIN)/python -m tests.tools.audit

bench: .venv/development ## measure speed and size; BENCH="latency memory" for some of it
	$(BIN)/python -m bench $(BENCH)

scale: .venv/development ## two machines under load, one killed, both given a new version; takes root and ten minutes
	@sh tests/find_tools.sh pgbouncer
	BENCH_NETWORK=10.91 $(BIN)/python -m bench.scale $(SCALE)

format: .venv/development ## put the code in order
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

translations: .venv/development ## collect the strings to translate
	$(BIN)/python -m tests.tools.catalogs extract

pictures: .venv/development ## take the pictures in docs/pictures anew
	@sh tests/find_tools.sh chromium
	$(BIN)/python -m tests.pictures

# The application wants its configuration even for a command that uses none of it.
trial: .venv/production ## what My settings would say of you, by an incoming webhook of your portal
	@TOKEN_KEYS=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(32))') \
	SECRET_KEY=a-trial-signs-nothing BITRIX24_CLIENT_ID=none BITRIX24_CLIENT_SECRET=none \
	PUBLIC_URL=https://localhost DATABASE_URL=sqlite:// $(BIN)/flask --app app settings show

documents: .venv/production ## write the tables of variables and modules into the documents
	@$(BIN)/python -m dashboard.commands.config docs/operate.md
	@$(BIN)/python -m tests.tools.module_table

sbom: .venv/production ## print what production installs, as a CycloneDX bill of materials
	@$(BIN)/python .ci/sbom.py

# Any kind of machine may install, so the hashes are those of every file of each pinned version.
pins: var/pins/bin/pip-compile ## look up anew what production installs: dependencies and hashes of the versions pinned
	@sed -n '/^#/p' requirements.txt > var/pins/pinned.txt
	@sed -n 's/^\([A-Za-z0-9_.-]*==[^ ;]*\).*/\1/p' requirements.txt > var/pins/versions.in
	@var/pins/bin/pip-compile --quiet --generate-hashes --no-annotate --no-header --allow-unsafe --strip-extras \
		--no-emit-find-links --no-emit-index-url --output-file - var/pins/versions.in >> var/pins/pinned.txt
	@mv var/pins/pinned.txt requirements.txt

var/pins/bin/pip-compile:
	@$(PYTHON) -m venv var/pins
	@var/pins/bin/pip install --quiet pip-tools==7.6.2

clean: ## remove what the other commands made, the development database too
	rm -rf .venv var .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/production: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=…")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.txt
	@touch $@

.venv/development: requirements-dev.txt .venv/production
	$(BIN)/pip install --quiet --no-deps --requirement requirements-dev.txt
	@touch $@
