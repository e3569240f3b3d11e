# What people and CI do here. Every target works on a fresh machine with Rust and Python: what else it needs it puts
# under .tools/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

TOOLS := $(CURDIR)/.tools
NEXTEST := $(shell command -v cargo-nextest || echo $(TOOLS)/bin/cargo-nextest)
CARGO_FUZZ := $(shell command -v cargo-fuzz || echo $(TOOLS)/bin/cargo-fuzz)

.PHONY: help demo demo-docker verdicts bench bench-reports test test-docker test-envoy fmt lint fuzz

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: ## a canary on three Envoys under load (DEMO_SECONDS=40: by itself)
	@cargo build --bin serin --example demo
	@ENVOY=$$(tools/envoy.sh) && export ENVOY && exec target/debug/examples/demo

COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

demo-docker: ## six Envoys, Prometheus and Grafana in containers; edit a file of demo/config/docker/rollouts
	@$(COMPOSE) -f demo/docker-compose.yml up --build

verdicts: ## versions that fail, slow down, die or are fine, judged on real Envoys (RUNS=20: each twenty times)
	@cargo build --bin serin --example verdicts
	@ENVOY=$$(tools/envoy.sh) && export ENVOY && exec target/debug/examples/verdicts

bench: ## a change on thousands of streams, and the pure layers by themselves (CELLS, CHURN, STALLED, PEER: README)
	cargo bench --quiet --bench fleet
	cargo bench --quiet --bench layers

bench-reports: ## what it costs to be told by 1,000 proxies what they measure (REPORTS="--case 1000x1000")
	cargo bench --quiet --bench reports -- $(REPORTS)

test: lint $(NEXTEST) ## all that CI runs but test-docker
	ENVOY=$$(tools/envoy.sh) && export ENVOY && $(NEXTEST) nextest run --no-fail-fast
	cargo test --doc --quiet

test-docker: ## drives the docker fleet: pauses, kills and cuts off parts of it, and checks what comes of it
	@python3 tests/docker/run.py

test-envoy: $(NEXTEST) ## only the tests on real Envoys (SERIN_TEST_EDITS=20: a quick look)
	ENVOY=$$(tools/envoy.sh) && export ENVOY && $(NEXTEST) nextest run --no-fail-fast -E 'binary(it) & !test(/^sessions::/)'

fmt: ## formats the code
	cargo fmt

lint: ## fails on unformatted code and on any warning
	cargo fmt --check
	cargo clippy --all-targets --quiet -- --deny warnings

FUZZ_SECONDS := 600

# No sanitizer: there is no unsafe code in the crate for it to watch.
fuzz: $(CARGO_FUZZ) ## ten minutes of fuzzing per target (FUZZ_SECONDS), with the nightly toolchain
	for target in $$(cargo +nightly fuzz list); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo +nightly fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target \
			-- -max_total_time=$(FUZZ_SECONDS); \
	done

$(TOOLS)/bin/cargo-nextest:
	cargo install --locked --root $(TOOLS) cargo-nextest@0.9.143

$(TOOLS)/bin/cargo-fuzz:
	cargo install --locked --root $(TOOLS) cargo-fuzz@0.13.2
