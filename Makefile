# `make run` starts the runtime on a machine that has only Python 3.11+, git and make;
# `make test` checks everything, and is what the continuous integration runs.

VENV := .venv
BIN := $(VENV)/bin
CONF ?= conf/hostsensor.conf

# The first of these that is recent enough, and that can make a virtual environment, is used.
PYTHONS := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

# Debian installs mosquitto in /usr/sbin, which is not in an ordinary user's PATH.
export PATH := $(PATH):/usr/sbin:/usr/local/sbin
# Before version 4.4, make does not give an exported variable to $(shell).
MOSQUITTO := $(shell PATH='$(PATH)'; command -v mosquitto)

# Only errors are shown: no progress, no warnings about the index.
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check

# Each stamp is one set of dependencies; a change of the metadata makes it stale.
METADATA := setup.py pyproject.toml
BASE := $(VENV)/.installed-base
BROKER := $(VENV)/.installed-broker
DEV := $(VENV)/.installed-dev

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(DEV) ## Make the virtual environment, with the development tools

.PHONY: run
# exec: Ctrl+C and SIGTERM reach janitoo itself, with no shell in between.
run: $(if $(MOSQUITTO),$(BASE),$(BROKER)) ## Run the runtime with CONF (conf/hostsensor.conf)
	@exec $(BIN)/janitoo run $(CONF)

.PHONY: test
test: system-tools check test-pykka ## Check everything, then run the tests
	# Side by side, a test on each core: most of them wait for brokers and deadlines.
	$(BIN)/python -m pytest -n auto -m 'not chaos and not soak and not kernel'

.PHONY: chaos
chaos: system-tools $(DEV) ## Hit 50 buses for a minute: the others must not notice
	$(BIN)/python -m pytest -m chaos

MINUTES ?= 5

.PHONY: soak
soak: system-tools $(DEV) ## Live in a house for MINUTES (5): nothing may grow or stay broken
	MINUTES=$(MINUTES) $(BIN)/python -m pytest -s -o faulthandler_timeout=0 -m soak tests/soak

.PHONY: resolve
resolve: $(DEV) ## Check that all that a Pi needs can be installed on each Python
	@for python in 3.11 3.12 3.13; do \
		$(BIN)/uv pip compile -q --extra pi --python-version $$python --python-platform aarch64-unknown-linux-gnu \
			-o /dev/null setup.py && echo "janitoo-actors[pi] resolves on Python $$python" || exit 1; \
	done

KERNEL := $(BIN)/python tests/bench/kernel/run.py

.PHONY: test-kernel
test-kernel: kernel-tools $(DEV) ## Test drivers on the interfaces of a real kernel
	$(KERNEL) tests/kernel

.PHONY: test-pykka
test-pykka: $(DEV) ## Run Pykka's own tests with our actors
	$(BIN)/python tests/pykka_suite/run.py

.PHONY: check
check: lint types ## Run lint and types

.PHONY: lint
lint: $(DEV) ## Check the style and the format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: types
types: $(DEV) ## Check the types
	$(BIN)/mypy

.PHONY: reference
reference: $(DEV) ## Write docs/reference.md from the schema
	$(BIN)/python -m janitoo_actors.configuration.reference docs/reference.md

.PHONY: bench
bench: system-tools $(DEV) ## Run the benchmarks
	$(BIN)/python -m benchmarks

.PHONY: clean
clean: ## Remove the virtual environment, the builds and the caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@for python in $(PYTHONS); do \
		if "$$python" -c '$(USABLE)' 2>/dev/null; then \
			echo "Making $(VENV) with $$python"; \
			"$$python" -m venv $(VENV) && touch $@; \
			exit; \
		fi; \
	done; \
	echo "Janitoo needs Python 3.11 or newer, with its venv module (on Debian: apt install python3-venv)." >&2; \
	exit 1

$(BASE): $(VENV)/.created $(METADATA)
	@echo "Installing Janitoo in $(VENV)"
	@$(PIP_INSTALL) --editable '.[console]'
	@touch $@

$(BROKER): $(VENV)/.created $(METADATA)
	@echo "Installing Janitoo and a broker in $(VENV): there is no mosquitto here"
	@$(PIP_INSTALL) --editable '.[console,broker]'
	@touch $(BASE) $@

$(DEV): $(VENV)/.created $(METADATA)
	@echo "Installing Janitoo and its development tools in $(VENV)"
	@$(PIP_INSTALL) --editable '.[dev,broker]'
	@touch $(BASE) $(BROKER) $@

# The tests use a real broker, openssl for its certificates, gcc for the library that stands in for I2C and SPI, umockdev
# and libsensors for the sensors of main boards, and a NUT server, whose service does not start without a configuration.
.PHONY: system-tools
system-tools:
	@missing=; \
	for tool in mosquitto openssl gcc; do \
		command -v $$tool >/dev/null || missing="$$missing $$tool"; \
	done; \
	command -v umockdev-run >/dev/null || missing="$$missing umockdev"; \
	ldconfig -p 2>/dev/null | grep -q libsensors.so.5 || missing="$$missing libsensors5"; \
	[ -x /lib/nut/upsd ] || missing="$$missing nut-server"; \
	tests/bench/install $$missing

# What builds the kernel of `make test-kernel`; nothing of it is needed when that has been done.
.PHONY: kernel-tools
kernel-tools: system-tools $(DEV)
	@$(KERNEL) --is-built || { \
		missing=; \
		for tool in make gcc flex bison bc; do \
			command -v $$tool >/dev/null || missing="$$missing $$tool"; \
		done; \
		command -v xz >/dev/null || missing="$$missing xz-utils"; \
		[ -e /usr/include/stdio.h ] || missing="$$missing libc6-dev"; \
		ls /usr/src/linux-source-*.tar.xz >/dev/null 2>&1 || missing="$$missing linux-source"; \
		tests/bench/install $$missing; \
	}
