# What a developer and the CI machine run. `make test` is all of it; `make soak` is longer.

TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := .venv
PAHO_C := $(TARGET)/clients/paho_c
JS := tests/clients/js
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
HAVE = $(shell command -v $(1) 2>/dev/null)
# Seeds that the simulator runs in `make soak`.
DUNLIN_SEEDS ?= 100000
# How often `dunlin torture` kills the broker in `make soak`.
DUNLIN_KILLS ?= 200
# Seconds for each fuzz target in `make soak`.
FUZZ_SECONDS ?= 60

.PHONY: run build test soak setup-tests lint fmt checks cargo-test manual deb

run:
	cargo run --release -p dunlin -- serve --data dunlin-data

# Anybody may do anything, from this machine only.
.PHONY: dev
dev:
	cargo run --release -p dunlin -- serve --dev

build:
	cargo build --release -p dunlin

# Manual pages and completions, made by the program itself, where the package takes them from.
manual:
	cargo build --profile dist -p dunlin
	$(TARGET)/dist/dunlin man target/manual
	$(TARGET)/dist/dunlin completion bash > target/manual/dunlin.bash
	$(TARGET)/dist/dunlin completion zsh > target/manual/_dunlin
	$(TARGET)/dist/dunlin completion fish > target/manual/dunlin.fish

# The broker alone, in 5.4 MiB: docs/running.md says what it lacks.
.PHONY: edge
edge:
	cargo build --profile edge -p dunlin --no-default-features --features edge

# Dunlin beside every other broker that is installed; some 25 minutes on a quiet machine.
.PHONY: bench counts
bench:
	cargo build --release -p dunlin -p dunlin-suite
	target/release/dunlin-suite bench/suite.toml --page docs/benchmarks.md

# What a message costs, in instructions: fails where one became more than a twentieth dearer.
counts:
	cargo xtask counts --check

deb: manual
	cargo deb -p dunlin --profile dist --no-build

test: setup-tests lint checks cargo-test counts

# The tests start the broker that lies beside them, so it is built first.
cargo-test:
	cargo build -p dunlin
ifneq ($(call HAVE,cargo-nextest),)
	cargo nextest run --workspace --no-fail-fast
	cargo nextest run -p dunlin-security --features ldap --lib --test ldap
	# The rules hold with a log as well as without.
	DUNLIN_TEST_JOURNAL=1 cargo nextest run -p dunlin-engine --test engine --no-fail-fast
	DUNLIN_TEST_DATA=1 cargo nextest run -p dunlin-tests --test conversations --no-fail-fast
	cargo test --workspace --doc
else
	@echo "cargo-nextest is not installed (cargo install cargo-nextest --locked); cargo test does as well"
	cargo test --workspace --no-fail-fast
	cargo test -p dunlin-security --features ldap --lib --test ldap
	DUNLIN_TEST_JOURNAL=1 cargo test -p dunlin-engine --test engine --no-fail-fast
	DUNLIN_TEST_DATA=1 cargo test -p dunlin-tests --test conversations --no-fail-fast
endif

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p dunlin-security --all-targets --features ldap -- -D warnings
	cargo clippy -p dunlin --no-default-features --features edge -- -D warnings

fmt:
	cargo fmt --all

checks:
	cargo xtask tidy
	cargo xtask deps
	cargo xtask spec --check
	PATH="$(CURDIR)/.tools/bin:$$PATH" cargo deny check bans licenses sources

soak: setup-tests
	cargo build -p dunlin
	DUNLIN_SOAK=1 DUNLIN_SEEDS=$(DUNLIN_SEEDS) DUNLIN_KILLS=$(DUNLIN_KILLS) cargo test --workspace --no-fail-fast
	fuzz/run.sh $(FUZZ_SECONDS)

# What the tests and checks need. Each step does nothing where its result is there.
setup-tests: $(VENV)/ready $(JS)/node_modules/.package-lock.json $(PAHO_C) .tools/ready

APT = DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y --no-install-recommends

.PHONY: apt
apt:
	@missing=""; \
	command -v mosquitto_pub >/dev/null || missing="$$missing mosquitto-clients"; \
	[ -x /usr/sbin/mosquitto ] || missing="$$missing mosquitto"; \
	[ -x /usr/sbin/slapd ] || missing="$$missing slapd"; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v tshark >/dev/null || missing="$$missing tshark"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	[ -x /usr/sbin/haproxy ] || command -v haproxy >/dev/null || missing="$$missing haproxy"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	command -v valgrind >/dev/null || missing="$$missing valgrind"; \
	[ -f /usr/include/MQTTClient.h ] || missing="$$missing libpaho-mqtt-dev"; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	[ -z "$$missing" ] || { $(SUDO) apt-get update && $(APT) $$missing; }

$(VENV)/ready: tests/clients/python/requirements.txt | apt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(JS)/node_modules/.package-lock.json: $(JS)/package.json $(JS)/package-lock.json | apt
	cd $(JS) && npm ci --silent --no-audit --no-fund
	touch $@

$(PAHO_C): tests/clients/c/driver.c | apt
	mkdir -p $(@D)
	cc -std=gnu11 -O1 -Wall -Wextra -Werror -o $@ $< -lpaho-mqtt3c

# The check of licences and sources; advisories need a database from the network: `cargo deny check advisories`.
.tools/ready:
	command -v cargo-deny >/dev/null || [ -x .tools/bin/cargo-deny ] || cargo install cargo-deny --version 0.20.2 --locked --quiet --root .tools
	mkdir -p .tools
	touch $@
