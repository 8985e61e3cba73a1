# `make` alone lists the targets. Each sets up what it needs: a fresh clone can start with any of them.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
SCAN := $(VENV)/scan/.done
BENCH := $(VENV)/.bench
export PRODUCT UNITS ID SEEDS FIRST PARTS QUICK # as variables of the environment no value can be mistaken for shell code

.DEFAULT_GOAL := help
.PHONY: help venv env infra-up infra-down infra-reset infra-status run-all run-order run-inventory run-payment \
  run-notification run-audit e2e check-order replay dlq restock verify package test test-full sim mutants crash-matrix bench \
  screenshots check lint contracts terraform-check clean

help: ## list the targets
	@awk -F ':.*## |^##@ ' '/^##@ / { printf "\n%s\n", $$2 } /^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Set-up
venv: $(RUN) ## a virtual environment in .venv with what ShopFlow runs on

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is not Python 3.11 or later: install one and name it, as in 'make PYTHON=python3.12 $(MAKECMDGOALS)'" >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(RUN): requirements.txt requirements/services.txt | $(PY)
	@echo "Installing requirements.txt into $(VENV) (up to a minute) …"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	@echo "Installing requirements/dev.txt into $(VENV) (up to a minute) …"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	@touch $@

$(SCAN): requirements/scan.txt | $(PY)
	@echo "Installing requirements/scan.txt into $(VENV)/scan (up to a minute) …"
	@$(PY) -m venv $(VENV)/scan
	@$(VENV)/scan/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/scan.txt
	@touch $@

$(BENCH): requirements/bench.txt $(RUN)
	@echo "Installing requirements/bench.txt into $(VENV) (up to a minute) …"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements/bench.txt
	@touch $@

##@ Local AWS
infra-up: $(RUN) ## start a local AWS with topic, queues, tables and products (also: CLOUD=localstack, SHOPFLOW_PORT=4570)
	@$(PY) -m scripts.infra up

infra-down: $(RUN) ## stop the local AWS and keep what it holds
	@$(PY) -m scripts.infra down

infra-reset: $(RUN) ## stop the local AWS and remove everything, orders too
	@$(PY) -m scripts.infra reset

infra-status: $(RUN) ## endpoint, resources, queue depths, dead letters, stock
	@$(PY) -m scripts.infra status

restock: $(RUN) ## fill the stock up to what it was at first, or PRODUCT=PROD-002 UNITS=50 to add to one
	@$(PY) -m scripts.restock $${PRODUCT:+"--product=$$PRODUCT"} $${UNITS:+"--units=$$UNITS"}

##@ Services
run-all: infra-up ## all five services in this terminal (SCALE=inventory=3 starts more of one, PORT=3001 moves the API)
	@$(PY) -m scripts.run_all

run-order: $(RUN) ## the Order Service alone, on http://127.0.0.1:3000
	@$(PY) -m api

run-inventory run-payment run-notification run-audit: run-%: $(RUN)
	@$(PY) -m workers $*

run-inventory: ## the Inventory Service alone
run-payment: ## the Payment Service alone
run-notification: ## the Notification Service alone
run-audit: ## the Audit Service alone

##@ Orders
e2e: infra-up ## place orders over HTTP and check each, with real processes (COMPUTE=lambda: with Lambda functions)
	@$(PY) -m scripts.e2e

check-order: $(RUN) ## one order's record and audit trail: make check-order ID=ORD-…
	@test -n "$$ID" || { echo "Which order? make check-order ID=ORD-A1B2C3D4" >&2; exit 2; }
	@$(PY) -m scripts.check_order "$$ID"

replay: $(RUN) ## one order rebuilt from its events, beside its record: make replay ID=ORD-…
	@test -n "$$ID" || { echo "Which order? make replay ID=ORD-A1B2C3D4" >&2; exit 2; }
	@$(PY) -m scripts.replay "$$ID"

dlq: $(RUN) ## dead letters by service and reason (peek, redrive, purge: python -m scripts.dlq --help)
	@$(PY) -m scripts.dlq list

verify: $(RUN) ## check on the live stack that nothing was lost and nothing done twice
	@$(PY) -m scripts.verify

##@ Deployment
package: $(RUN) ## the zip that AWS Lambda runs all services from (ARCHITECTURE=arm64 LAMBDA_PYTHON=3.12)
	@$(PY) -m scripts.package $${ARCHITECTURE:+"--architecture=$$ARCHITECTURE"} $${LAMBDA_PYTHON:+"--python=$$LAMBDA_PYTHON"}

env: $(RUN) ## the services' settings in .env.local, from the outputs of `terraform apply` on AWS
	@$(PY) -m scripts.env

##@ Quality
test: $(DEV) $(SCAN) ## tests of every kind, on a local AWS of their own (under 4 minutes; the first run applies Terraform)
	@$(PY) -m pytest -q -n auto --durations=15

test-full: $(DEV) $(SCAN) ## every test, with every seed, crash, mutant and attack (up to an hour)
	@$(PY) -m pytest -q -n auto --durations=15 -m "not alone"
	@$(PY) -m pytest -q --durations=15 -m alone

sim: $(DEV) ## all services through storms of faults over in-memory twins: make sim SEEDS=100000 (FIRST=1000)
	@$(PY) -m tests.faults.simulation $${SEEDS:+"--seeds=$$SEEDS"} $${FIRST:+"--first=$$FIRST"}

mutants: $(DEV) ## put deliberate faults into the code, one at a time: which test catches each
	@$(PY) -m tests.faults.catch_mutants

crash-matrix: $(DEV) ## kill a real process before and after every call that it makes (about 20 minutes)
	@$(PY) -m tests.faults.crash_matrix_live

screenshots: $(DEV) ## the pictures of the README, taken anew of real orders in Chromium
	@$(PY) -m pytest -q tests/browser/screenshots.py

bench: $(BENCH) ## speed beside a bare reference, into docs/bench (half an hour; PARTS="run-all start-up", QUICK=1)
	@$(PY) -m bench $${QUICK:+--quick} $$PARTS

check: lint contracts terraform-check ## everything that needs no local AWS: lint, types, contracts, Terraform

lint: $(DEV)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/hadolint Dockerfile

contracts: $(DEV) ## events and requests are valid, and compatible with every released version
	@$(PY) -m pytest -q tests/contracts
	@$(PY) -m scripts.contracts

terraform-check: $(RUN) $(SCAN)
	@$(PY) -m scripts.terraform_check

clean: ## remove all that can be made again, local AWS included
	-@test ! -f $(RUN) || $(PY) -m scripts.infra reset
	-@test ! -f $(DEV) || $(PY) -m tests.stack
	@rm -rf $(VENV) .local .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
