# Everything goes into $(VENV); only `make deps` touches the system.  Each target is here because it works.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-from-lock
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --upgrade --no-python-downloads \
	--custom-compile-command "make lock"

# Modules on which promises rest have a floor of their own: branch coverage in percent, files
FLOOR := 80
CORE_FLOOR := 90
SCHEDULE := node/domain/schedule.py,node/almanac.py
CAPTURE := node/work/capture.py
JOBS := node/domain/job.py,node/store/jobs.py,node/jobs.py,node/work/worker.py,node/work/task.py
ARCHIVE := node/archive/*.py,node/domain/breaker.py,node/holdings.py,node/work/shipping.py,node/work/recall.py
RETENTION := node/domain/retention.py,node/domain/pressure.py,node/work/reclaim.py,node/work/remover.py
CONFIG := node/domain/config.py,node/settings.py,node/store/configs.py,node/work/reload.py

# one worker tries the fleet, the other meanwhile the lab itself and Debian's Python; each has hosts of its own
ON_HOSTS := $(BIN)/python -m pytest -n 2 --dist loadgroup -m lab tests/ansible

FAULTS ?= 1000
SEED ?=
SOAK := tests/faults/test_archive.py::test_in_hundreds_of_faults_no_frame_is_lost_and_nothing_is_done_twice

.DEFAULT_GOAL := help
.PHONY: help deps demo test test-lab soak test-fast check bench shots wheel lab lab-down lock clean needs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-10s %s\n", $$1, $$2}' Makefile

deps: ## install the Debian packages that are missing (root only)
	@.ci/deps install run test lab

demo: $(STAMP) ## five simulated nodes and their console; ARGS="--for 60s --faults" goes to heliograph demo
	@$(BIN)/heliograph demo $(ARGS)

test: $(STAMP) check ## every test but those on hosts that boot, with the floors of branch coverage
	@.ci/deps ensure test $$([ "$$(id -u)" -ne 0 ] || echo lab)
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not lab" --cov=node --cov=console --cov=roles --cov=playbooks --cov-report= $(ARGS)
	@$(BIN)/coverage report --skip-covered --skip-empty --fail-under=$(FLOOR)
	@for core in $(SCHEDULE) $(CAPTURE) $(JOBS) '$(ARCHIVE)' $(RETENTION) $(CONFIG); do \
		$(BIN)/coverage report --include="$$core" --fail-under=$(CORE_FLOOR) || exit 1; \
	done

test-lab: $(STAMP) ## the tests on hosts that boot (root only)
	@.ci/deps ensure test lab
	$(ON_HOSTS) $(ARGS)

soak: $(STAMP) ## a thousand random faults over capture and archive, 20 minutes; FAULTS=500 SEED=7 for others
	@.ci/deps ensure test
	SOAK_FAULTS=$(FAULTS) SOAK_SEED=$(SEED) $(BIN)/python -m pytest -q -s -p no:cacheprovider $(SOAK) $(ARGS)

test-fast: $(STAMP) ## the tests that take no processes and no time
	$(BIN)/python -m pytest -n 2 -q -m "not slow and not lab" $(ARGS)

check: $(STAMP) ## style, types, import contracts, dead code, playbooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/vulture
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline -q

bench: $(STAMP) ## figures beside the peers' way; prints one table, writes bench.json
	$(BIN)/python -m tests.bench $(ARGS)

shots: $(STAMP) ## PNGs of every screen at three sizes, dark, light, without colour, into shots/; ARGS="--only fleet"
	@.ci/deps ensure shots
	@TEXTUAL_COLOR_SYSTEM=truecolor $(BIN)/python -m tests.shots $(ARGS)

wheel: $(STAMP) ## the software of nodes and consoles in one file, into dist/; playbooks/site.yml brings it to the nodes
	@rm -f dist/heliograph-*.whl
	$(BIN)/python -m hatchling build -t wheel -d dist

lab: $(STAMP) ## three hosts that boot, on this machine, kept until `make lab-down` (root only); ARGS="alpha" for one
	@[ "$$(id -u)" -ne 0 ] || .ci/deps ensure run test lab
	@$(BIN)/python -m tests.lab up $(ARGS)

lab-down: $(STAMP) ## end the lab
	@$(BIN)/python -m tests.lab down

lock: $(STAMP) ## resolve the newest allowed versions into locks/
	$(LOCK) --extra dev --universal --python-version 3.11 -o locks/dev.txt
	$(LOCK) --extra node --only-binary :all: --python-version 3.11 --python-platform aarch64-manylinux_2_36 \
		-c locks/bookworm.in -o locks/bookworm.txt
	$(LOCK) --extra node --only-binary :all: --python-version 3.13 --python-platform aarch64-manylinux_2_40 \
		-c locks/trixie.in -o locks/trixie.txt

clean: ## remove all that make has made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* \
		bench.json build dist shots
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

needs:
	@.ci/deps ensure run

# the environment is made again when the lock has changed; a half-made one has no stamp
$(STAMP): locks/dev.txt pyproject.toml | needs
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r locks/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
