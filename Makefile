# The commands of the project; the code is in Python. Set variables as in: make retrain DATA=new.csv
.DEFAULT_GOAL := help
.PHONY: help serve train retrain evaluate sweep describe versions promote rollback foundations test test-fast format lint types check check-slow bench bench-peers bench-training soak clean
export HOST PORT WORKERS

PYTHON ?= python3
SCHEMA ?= schemas/cleveland.toml
DATA ?= data/cleveland.csv
STORE ?= artifacts/$(basename $(notdir $(SCHEMA)))
RUN := .venv/bin/python
PEERS := fastapi mlserver bentoml mlflow granian
WHERE = --schema "$(SCHEMA)" --store "$(STORE)"
CHOICES = $(if $(RECIPE),--recipe "$(RECIPE)") $(if $(CONFIG),--config "$(CONFIG)") $(if $(SEED),--seed "$(SEED)")
TRAINING = $(WHERE) --data "$(DATA)" $(if $(DEVICE),--device "$(DEVICE)") $(CHOICES)
# Modules whose docstring examples run without Keras; make test runs the examples of every module.
QUICK_EXAMPLES = app model/schema model/records model/features model/artifacts model/inference model/evaluation \
  model/calibration model/training/initializers.py model/training/shuffling.py pipelines/tuning/search_space.py \
  pipelines/report/disclosure_control.py
NEW = $(TRAINING) $(if $(COST_RATIO),--cost-ratio "$(COST_RATIO)")

help: ## Show the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Variables: HOST PORT WORKERS; DATA SCHEMA STORE RECIPE CONFIG SEED DEVICE; COST_RATIO (for serve, train,"
	@echo "             retrain); VERSION (for promote); OPTIONS (for evaluate, sweep, bench, bench-peers, bench-training,"
	@echo "             soak; OPTIONS=--help lists them)"

serve: .venv/.installed ## Install, train a model if there is none, and serve it on HOST:PORT
	@$(RUN) -m app.server.port_check
	@$(RUN) -m pipelines train --if-needed $(NEW)
	@MODEL_STORE="$(STORE)" LOG_FORMAT="$${LOG_FORMAT:-text}" exec $(RUN) -m gunicorn -c app/gunicorn.conf.py app.wsgi:app

train: .venv/.installed ## Train a first version if there is none
	@$(RUN) -m pipelines train $(NEW)

retrain: .venv/.installed ## Train a new version and promote it unless it is worse
	@$(RUN) -m pipelines retrain $(NEW)

evaluate: .venv/.installed ## Cross-validate the recipe on two seeds and compare it with baselines
	@$(RUN) -m pipelines evaluate $(TRAINING) $(OPTIONS)

sweep: .venv/.installed ## Search hyperparameters by nested cross-validation; by default, hidden units and epochs
	@$(RUN) -m pipelines sweep --schema "$(SCHEMA)" --data "$(DATA)" $(if $(DEVICE),--device "$(DEVICE)") $(CHOICES) $(OPTIONS)

describe: .venv/.installed ## Print the features, the layers and the number of parameters
	@$(RUN) -m pipelines describe --schema "$(SCHEMA)" $(CHOICES)

versions: .venv/.installed ## List the versions; a star marks the current one
	@$(RUN) -m pipelines versions $(WHERE)

promote: .venv/.installed ## Make VERSION the current version
	@$(RUN) -m pipelines promote "$(VERSION)" $(WHERE)

rollback: .venv/.installed ## Roll back to the previous version
	@$(RUN) -m pipelines rollback $(WHERE)

foundations: .venv/.installed ## Write docs/foundations.html, a course on neural networks from runs of this code
	@$(RUN) -m course $(if $(DEVICE),--device "$(DEVICE)")

test-fast: .venv/.installed-dev ## Run the unit tests, which train no network (under a minute)
	@$(RUN) -m pytest tests/unit $(QUICK_EXAMPLES) -n 2 --dist loadfile --hypothesis-profile fast -p no:schemathesis

test: .venv/.installed-dev ## Run all tests in two processes
	@$(RUN) -m pytest -n 2 --dist loadfile

format: .venv/.installed-dev ## Format the code
	@$(RUN) -m ruff format .

lint: .venv/.installed-dev ## Check the formatting, the lint rules, the import contracts and dead code
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@.venv/bin/lint-imports --no-logo
	@$(RUN) -m vulture

types: .venv/.installed-dev ## Check the types with mypy
	@$(RUN) -m mypy

check: lint types test ## Run every check that a change must pass: lint, types, tests

check-slow: check ## Run every check and the slow tests
	@$(RUN) -m pytest -m slow

bench: .venv/.installed-dev ## Compare the service with a minimal Flask app and with the usual tutorial style
	@$(RUN) -m pipelines train --if-needed $(TRAINING)
	@$(RUN) -m bench.serving --store "$(STORE)" $(OPTIONS)

bench-peers: .venv/.installed-dev $(PEERS:%=.venv-peers/%/.installed) ## Compare the service with FastAPI, MLServer, BentoML, MLflow and granian
	@$(RUN) -m pipelines train --if-needed $(TRAINING)
	@$(RUN) -m bench.serving --peers --store "$(STORE)" $(OPTIONS)

bench-training: .venv/.installed-dev ## Compare training a thousand networks in one program with a thousand calls of fit
	@$(RUN) -m bench.training $(OPTIONS)

soak: .venv/.installed-dev ## Send a million requests and watch memory and errors
	@$(RUN) -m pipelines train --if-needed $(TRAINING)
	@$(RUN) -m bench.soak --store "$(STORE)" $(OPTIONS)

clean: ## Remove the environments and the caches; keep the trained versions
	rm -rf .venv .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Install $(2) into the environment $(1). The output of pip goes to pip.log there; if pip fails, its
# last lines are printed.
define pip_install
{ $(1)/bin/python -m pip install --disable-pip-version-check --progress-bar off -r $(2) > $(1)/pip.log 2>&1 \
  || { tail -n 20 $(1)/pip.log; echo "error: pip could not install $(2); the full output is in $(1)/pip.log"; exit 1; } >&2; }
endef

.venv/.installed: requirements.txt requirements-serve.txt constraints.txt
	@if $(RUN) -m pip --version > /dev/null 2>&1; then echo "Installing requirements.txt into .venv."; else \
	  $(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"error: Python 3.11 to 3.13 is required, but $(PYTHON) is {v[0]}.{v[1]}; choose another, as in: make PYTHON=python3.12 ...")' \
	  && echo "Creating .venv and installing the requirements. This happens once and takes a minute or two." \
	  && $(PYTHON) -m venv .venv; fi
	@$(call pip_install,.venv,requirements.txt)
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@echo "Installing the development requirements. This happens once and takes about a minute."
	@$(call pip_install,.venv,requirements-dev.txt)
	@touch $@

# If a peer cannot be installed, the measurement reports it as missing and continues.
.venv-peers/%/.installed: bench/peers/%/requirements.txt $(wildcard bench/peers/*/constraints.txt) requirements-serve.txt constraints.txt
	@echo "Creating .venv-peers/$* and installing its requirements. This happens once and takes about a minute."
	-@$(PYTHON) -m venv .venv-peers/$* && $(call pip_install,.venv-peers/$*,$<) && touch $@
