# Names the commands; what they do is in Python. Variables are set like this: make retrain DATA=new.csv
.DEFAULT_GOAL := help
.PHONY: help serve train retrain evaluate sweep describe versions promote rollback foundations test test-fast format lint types check check-slow bench bench-peers bench-training soak clean
export HOST PORT WORKERS

PYTHON ?= python3
SCHEMA ?= schemas/cleveland.toml
DATA ?= data/cleveland.csv
STORE ?= artifacts/$(basename $(notdir $(SCHEMA)))
RUN := .venv/bin/python
PEERS := fastapi mlserver bentoml mlflow granian uvloop
WHERE = --schema "$(SCHEMA)" --store "$(STORE)"
CHOICES = $(if $(RECIPE),--recipe "$(RECIPE)") $(if $(CONFIG),--config "$(CONFIG)") $(if $(SEED),--seed "$(SEED)")
TRAINING = $(WHERE) --data "$(DATA)" $(if $(DEVICE),--device "$(DEVICE)") $(CHOICES)
# Examples in docstrings that are run without Keras; make test runs those of every module.
QUICK_EXAMPLES = app model/schema model/records model/features model/artifacts model/inference model/evaluation \
  model/calibration model/training/initializers.py model/training/shuffling.py pipelines/tuning/search_space.py \
  pipelines/report/disclosure_control.py
NEW = $(TRAINING) $(if $(COST_RATIO),--cost-ratio "$(COST_RATIO)")

help: ## Show the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Variables: HOST PORT WORKERS; DATA SCHEMA STORE RECIPE CONFIG SEED DEVICE; COST_RATIO (of serve, train,"
	@echo "             retrain); VERSION (of promote); OPTIONS (of evaluate, sweep, bench, bench-peers, bench-training,"
	@echo "             soak: OPTIONS=--help shows them)"

serve: .venv/.installed ## Install, train if there is no model yet, and serve it on HOST:PORT
	@$(RUN) -m app.server.port_check
	@$(RUN) -m pipelines train --if-needed $(NEW)
	@MODEL_STORE="$(STORE)" LOG_FORMAT="$${LOG_FORMAT:-text}" exec $(RUN) -m gunicorn -c app/gunicorn.conf.py app.wsgi:app

train: .venv/.installed ## Train a first version if there is none
	@$(RUN) -m pipelines train $(NEW)

retrain: .venv/.installed ## Train a new version, and make it current if it is not worse
	@$(RUN) -m pipelines retrain $(NEW)

evaluate: .venv/.installed ## Ten times ten folds on two seeds, beside other kinds of model
	@$(RUN) -m pipelines evaluate $(TRAINING) $(OPTIONS)

sweep: .venv/.installed ## Try settings in folds within folds; without OPTIONS: how many hidden units?
	@$(RUN) -m pipelines sweep --schema "$(SCHEMA)" --data "$(DATA)" $(if $(DEVICE),--device "$(DEVICE)") $(CHOICES) $(OPTIONS)

describe: .venv/.installed ## Print the features, the layers and the number of parameters
	@$(RUN) -m pipelines describe --schema "$(SCHEMA)" $(CHOICES)

versions: .venv/.installed ## List the versions; the current one has a star
	@$(RUN) -m pipelines versions $(WHERE)

promote: .venv/.installed ## Make VERSION the current one
	@$(RUN) -m pipelines promote "$(VERSION)" $(WHERE)

rollback: .venv/.installed ## Make the version current again that was so before
	@$(RUN) -m pipelines rollback $(WHERE)

foundations: .venv/.installed ## Write docs/foundations.html: what a course teaches, from runs of our own parts
	@$(RUN) -m course $(if $(DEVICE),--device "$(DEVICE)")

test-fast: .venv/.installed-dev ## Run the unit tests, which train nothing (under a minute)
	@$(RUN) -m pytest tests/unit $(QUICK_EXAMPLES) -n 2 --dist loadfile --hypothesis-profile fast

test: .venv/.installed-dev ## Run the tests, a file in one of two processes
	@$(RUN) -m pytest -n 2 --dist loadfile

format: .venv/.installed-dev ## Format the code
	@$(RUN) -m ruff format .

lint: .venv/.installed-dev ## Look for mistakes in the code
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@.venv/bin/lint-imports --no-logo

types: .venv/.installed-dev ## Check the types
	@$(RUN) -m mypy

check: lint types test ## Everything that a change must pass: format, lint, types, tests

check-slow: check ## And the slow, thorough checks
	@$(RUN) -m pytest -m slow

bench: .venv/.installed-dev ## Measure the service beside the least that Flask can do, and tutorial style
	@$(RUN) -m pipelines train --if-needed $(TRAINING)
	@$(RUN) -m bench.serving --store "$(STORE)" $(OPTIONS)

bench-peers: .venv/.installed-dev $(PEERS:%=.venv-peers/%/.installed) ## Measure it beside FastAPI, MLServer, BentoML, MLflow, and on granian
	@$(RUN) -m pipelines train --if-needed $(TRAINING)
	@$(RUN) -m bench.serving --peers --store "$(STORE)" $(OPTIONS)

bench-training: .venv/.installed-dev ## Measure a thousand networks in one program beside a thousand calls of fit
	@$(RUN) -m bench.training $(OPTIONS)

soak: .venv/.installed-dev ## A million requests in a row: memory and errors
	@$(RUN) -m pipelines train --if-needed $(TRAINING)
	@$(RUN) -m bench.soak --store "$(STORE)" $(OPTIONS)

clean: ## Remove the environments and the caches; the trained versions stay
	rm -rf .venv .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Install $(2) into the environment $(1). The output of pip goes to a log there; if pip fails, its last
# lines are shown.
define pip_install
{ $(1)/bin/python -m pip install --disable-pip-version-check --progress-bar off -r $(2) > $(1)/pip.log 2>&1 \
  || { tail -n 20 $(1)/pip.log; echo "error: pip could not install $(2); its whole output is in $(1)/pip.log"; exit 1; } >&2; }
endef

.venv/.installed: requirements.txt requirements-serve.txt constraints.txt
	@if $(RUN) -m pip --version > /dev/null 2>&1; then echo "Installing requirements.txt into .venv."; else \
	  $(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"error: Python 3.11 to 3.13 is needed, and $(PYTHON) is {v[0]}.{v[1]}; choose another: make PYTHON=python3.12 ...")' \
	  && echo "Creating .venv and installing the requirements; this takes a minute or two, once." \
	  && $(PYTHON) -m venv .venv; fi
	@$(call pip_install,.venv,requirements.txt)
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@echo "Installing the requirements of the checks; this takes about a minute, once."
	@$(call pip_install,.venv,requirements-dev.txt)
	@touch $@

# A peer that does not install here is left out: the measurement goes on, and says so.
.venv-peers/%/.installed: bench/peers/%/requirements.txt $(wildcard bench/peers/*/constraints.txt) requirements-serve.txt constraints.txt
	@echo "Creating .venv-peers/$* and installing its requirements; this takes about a minute, once."
	-@$(PYTHON) -m venv .venv-peers/$* && $(call pip_install,.venv-peers/$*,$<) && touch $@
