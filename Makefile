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
	@rm -rf .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache server/build server/*.egg-info tests/output

