# `make` alone lists the targets. Each sets up what it needs: a fresh clone can start with any of them.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
SCAN := $(VENV)/scan/.done
BENCH := $(VENV)/.bench
export PRODUCT UNITS ID CLAIM SEEDS FIRST PARTS QUICK ALL # commands read them from the environment: no value can run as shell code
export PYTHONUTF8 := 1
export PIP_USER := 0
# These would make Python or pip read or write elsewhere, or behave differently.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PYTHONINSPECT PYTHONOPTIMIZE PYTHONWARNINGS PYTHONIOENCODING PIP_TARGET PIP_PREFIX

.DEFAULT_GOAL := help
.PHONY: help venv doctor env infra-up infra-down infra-reset infra-status restock run-all demo run-order run-inventory run-payment \
  run-notification run-audit e2e check-order replay dlq verify package prove-aws test test-full sim mutants crash-matrix bench \
  screenshots check lint contracts terraform-check clean

help: ##+ the commands; ALL=1 lists those for ShopFlow's developers too
	@awk -F ':.*##[+]? ' '/^##@ / { title = substr($$0, 5) } \
	  /^[a-z0-9-]+:.*##[+]? / && (ENVIRON["ALL"] != "" || !/##[+] /) { \
	    if (title != "") print title; title = ""; printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@test -n "$$ALL" || echo "All commands: make help ALL=1"

# install REQUIREMENTS,FOLDER: pip installs the file into the virtual environment in the folder
install = echo "Installing $(1) into $(2) (up to a minute) …"; \
  $(2)/bin/python -m pip install --quiet --disable-pip-version-check -r $(1) || { \
  echo "pip could not install $(1), see above. It needs PyPI, or an index that PIP_INDEX_URL names." >&2; exit 1; }

##@ Local AWS
venv: $(RUN) ##+ a virtual environment in .venv with what ShopFlow runs on

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is not Python 3.11 or later: install one and name it, as in 'make PYTHON=python3.12 $(MAKECMDGOALS)'" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu 'apt install python3-venv' adds that" >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) …"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUN): requirements.txt requirements/services.txt requirements/jwt.txt | $(PY)
	@$(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(VENV) is half made, or of an old Python: making it again"; rm -rf $(VENV); $(MAKE) --no-print-directory $(PY); }
	@$(call install,requirements.txt,$(VENV))
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	@$(call install,requirements/dev.txt,$(VENV))
	@touch $@

$(SCAN): requirements/scan.txt | $(PY)
	@$(PY) -m venv $(VENV)/scan
	@$(call install,requirements/scan.txt,$(VENV)/scan)
	@touch $@

$(BENCH): requirements/bench.txt $(RUN)
	@$(call install,requirements/bench.txt,$(VENV))
	@touch $@

doctor: $(RUN) ## what this machine lacks, and which of its settings are ignored
	@$(PY) -m scripts.doctor

infra-up infra-down infra-reset infra-status: infra-%: $(RUN)
	@$(PY) -m scripts.infra $*

infra-up: ## start a local AWS (CLOUD=localstack, SHOPFLOW_PORT=4570)
infra-down: ## stop it and keep what it holds
infra-reset: ## stop it and remove everything, orders too
infra-status: ## endpoint, resources, queue depths, dead letters, stock

restock: $(RUN) ## fill the stock up, or add to one: PRODUCT=PROD-002 UNITS=50
	@$(PY) -m scripts.restock $${PRODUCT:+"--product=$$PRODUCT"} $${UNITS:+"--units=$$UNITS"}

##@ Services
run-all: infra-up ## all services in this terminal (SCALE=inventory=3, PORT=3001)
	@$(PY) -m scripts.run_all

demo: infra-up ## seven claims, each tried on the running shop (CLAIM=3)
	@$(PY) -m scripts.demo $$CLAIM

run-order: $(RUN) ## one service alone; also run-inventory, run-payment, …
	@$(PY) -m api

run-inventory run-payment run-notification run-audit: run-%: $(RUN)
	@$(PY) -m workers $*

run-inventory: ##+ the Inventory Service alone
run-payment: ##+ the Payment Service alone
run-notification: ##+ the Notification Service alone
run-audit: ##+ the Audit Service alone

##@ Orders
e2e: infra-up ## place orders over HTTP and check each (COMPUTE=lambda)
	@$(PY) -m scripts.e2e

check-order: $(RUN) ## one order's record and audit trail: ID=ORD-…
	@test -n "$$ID" || { echo "Which order? make check-order ID=ORD-A1B2C3D4" >&2; exit 2; }
	@$(PY) -m scripts.check_order "$$ID"

replay: $(RUN) ## one order rebuilt from its events: ID=ORD-…
	@test -n "$$ID" || { echo "Which order? make replay ID=ORD-A1B2C3D4" >&2; exit 2; }
	@$(PY) -m scripts.replay "$$ID"

dlq: $(RUN) ## dead letters by reason (more: python -m scripts.dlq --help)
	@$(PY) -m scripts.dlq list

verify: $(RUN) ## check that nothing was lost and nothing done twice
	@$(PY) -m scripts.verify

##@ Deployment
package: $(RUN) ##+ the zip that AWS Lambda runs all services from (ARCHITECTURE=arm64 LAMBDA_PYTHON=3.12)
	@$(PY) -m scripts.package $${ARCHITECTURE:+"--architecture=$$ARCHITECTURE"} $${LAMBDA_PYTHON:+"--python=$$LAMBDA_PYTHON"}

env: $(RUN) ##+ the services' settings in .env.local, from the outputs of `terraform apply` on AWS
	@$(PY) -m scripts.infra env

prove-aws: $(RUN) ##+ prove a throw-away stack on your AWS account, and remove it (CLOUD=embedded YES=1 ORDERS=500)
	@$(PY) -m scripts.prove_aws

##@ Quality
test: $(DEV) $(SCAN) ## tests of every kind, on a local AWS of their own (4 minutes)
	@$(PY) -m pytest -q -n auto --durations=15

test-full: $(DEV) $(SCAN) ##+ every test, with every seed, crash, mutant and attack (up to an hour)
	@$(PY) -m pytest -q -n auto --durations=15 -m "not alone"
	@$(PY) -m pytest -q --durations=15 -m alone

sim: $(DEV) ##+ all services through storms of faults over in-memory twins: make sim SEEDS=100000 (FIRST=1000)
	@$(PY) -m tests.faults.simulation $${SEEDS:+"--seeds=$$SEEDS"} $${FIRST:+"--first=$$FIRST"}

mutants: $(DEV) ##+ put deliberate faults into the code, one at a time, and show which test catches each
	@$(PY) -m tests.faults.catch_mutants

crash-matrix: $(DEV) ##+ kill a real process before and after every call that it makes (about 20 minutes)
	@$(PY) -m tests.faults.crash_matrix_live

screenshots: $(DEV) ##+ take the README's pictures again, of real orders in Chromium
	@$(PY) -m pytest -q tests/browser/screenshots.py

bench: $(BENCH) ##+ speed beside a bare reference, into docs/bench (ten minutes; PARTS=one-a-second, QUICK=1)
	@$(PY) -m bench $${QUICK:+--quick} $$PARTS

check: lint contracts terraform-check ## lint, types, contracts, Terraform: what needs no local AWS

lint: $(DEV)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/hadolint Dockerfile

contracts: $(DEV) ##+ events and requests are valid, and compatible with every released version
	@$(PY) -m pytest -q tests/contracts
	@$(PY) -m scripts.contracts

terraform-check: $(RUN) $(SCAN)
	@$(PY) -m scripts.terraform_check

clean: ## remove all that can be made again, local AWS included
	-@test ! -f $(RUN) || $(PY) -m scripts.infra reset
	-@test ! -f $(DEV) || $(PY) -m tests.stack
	@rm -rf $(VENV) .local .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
