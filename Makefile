# Targets with a comment after ## are listed by `make help`.
PYTHON ?= python3
export PYTHON

.DEFAULT_GOAL := help

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: quickstart
quickstart: ## back this machine up with a server of its own, from nothing to a restored file
	@docs/examples/quickstart.sh run

.PHONY: quickstart-stop
quickstart-stop: ## stop what quickstart started, keep everything
	@docs/examples/quickstart.sh stop

.PHONY: clean
clean: ## stop what quickstart started and remove all that was made here
	@docs/examples/quickstart.sh clean
	@rm -rf .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache server/build tests/output

VENV := .venv
# Three at a time, since much is waiting; whole files: a file's tests share servers that are dear to start. In the
# order of tests/conftest.py, not by number of tests.
PYTEST ?= -n 3 --dist loadfile --no-loadscope-reorder
STAMP := $(VENV)/.test-requirements

# One virtual environment for the quickstart and for work on the project; the stamp tells what it holds.
$(STAMP): tests/requirements.txt server/pyproject.toml
	@[ -x $(VENV)/bin/python ] || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r tests/requirements.txt -e ./server
	@touch $@

# What reads, decides and writes. All of tests/server runs on both; migrations and copying always use both.
ON_POSTGRESQL := $(addprefix tests/server/test_, atomicity.py concurrency.py queue.py secret_rotation.py)

.PHONY: packages
packages: # the distribution's packages that tests run for real
	@tests/packages.sh

.PHONY: test
test: lint packages ## check and test everything; installs what it needs
	@tests/molecule/run.sh --prepare
	@$(VENV)/bin/python -m pytest $(PYTEST)
	@$(VENV)/bin/python -m pytest $(PYTEST) --database postgresql $(ON_POSTGRESQL)
	@tests/molecule/run.sh --if-root default

DOCS := .cache/docs/venv
$(DOCS)/.requirements: docs/site/requirements.txt
	@[ -x $(DOCS)/bin/python ] || $(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

.PHONY: docs
docs: $(DOCS)/.requirements ## build the site from docs/ and the plugins' own documentation
	@$(DOCS)/bin/python docs/site/build.py

.PHONY: captures
captures: # draw the terminals in docs/pictures anew, by running what they show
	@$(PYTHON) docs/site/captures.py

.PHONY: release-check
release-check: $(STAMP) packages ## check what Galaxy, ansible-test and users will see; RELEASE=sanity runs one step
	@tests/release/check.sh $(RELEASE)

.PHONY: changelog
changelog: $(STAMP) ## write docs/CHANGELOG.md from docs/changelogs
	@UPDATE=1 tests/release/check.sh changelog

.PHONY: bench
bench: $(STAMP) ## measure what is promised about speed; BENCH='--help' tells more
	@$(VENV)/bin/python tests/bench $(BENCH)

.PHONY: soak
soak: $(STAMP) ## kill and freeze real workers for three minutes; prints what was lost, doubled or late
	@$(VENV)/bin/python -m tests.server.soak

.PHONY: crash
crash: $(STAMP) packages ## kill the server 200 times at its work, on each database; CRASH='--help' tells more
	@$(VENV)/bin/python -m tests.integration.crash $(CRASH)

.PHONY: molecule
molecule: $(STAMP) packages ## test the roles on a fleet of disposable hosts, all scenarios; needs root
	@tests/molecule/run.sh

.PHONY: lint
lint: $(STAMP) ## check style, types and shell scripts
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@cd server && ../$(VENV)/bin/mypy -p bbs_server -p bbs_agent
	@tests/lint-collection.sh $(VENV)/bin
	@$(VENV)/bin/yamllint --strict $$(git ls-files '*.yml' '*.yaml')
	@$(VENV)/bin/shellcheck -x $$(git ls-files '*.sh') .ci/run

.PHONY: openapi
openapi: $(STAMP) ## write docs/openapi.json
	@$(VENV)/bin/python -m bbs_server.openapi > docs/openapi.json

.PHONY: lock
lock: $(STAMP) ## pin the server's requirements to what is newest now
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check 'pip-tools>=7.4'
	@(head -1 server/requirements.txt; cd server && ../$(VENV)/bin/pip-compile -q --upgrade --extra postgresql \
	  --generate-hashes --strip-extras --no-header --no-emit-index-url --no-emit-find-links -o - pyproject.toml) \
	  > server/requirements.new
	@mv server/requirements.new server/requirements.txt

.PHONY: audit
audit: $(STAMP) ## look for known vulnerabilities in the server's requirements (asks PyPI)
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check 'pip-audit>=2.7'
	@$(VENV)/bin/pip-audit --strict --disable-pip -r server/requirements.txt

.PHONY: format
format: $(STAMP) ## put the source into its standard form
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .
