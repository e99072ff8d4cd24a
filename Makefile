# Skerry's commands. `make build`, `make demo` and `make test` work on a fresh Debian machine with rustup's Rust, Python 3
# and npm; what else they need, .ci/setup installs from the package registries.

CARGO ?= cargo
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
SEED ?= 1
# cargo-nextest runs each test in a process of its own; plain cargo test serves where it is not installed.
RUN_TESTS := $(if $(shell command -v cargo-nextest),nextest run --no-fail-fast,test --no-fail-fast)
# Tests of clusters mostly wait for elections and heartbeats: half as many more than there are cores.
export NEXTEST_TEST_THREADS ?= $(shell expr $$(nproc) \* 3 / 2)

.PHONY: build demo test bench chaos lint lint-install verify fix setup

setup:
	@.ci/setup

build: setup
	$(CARGO) build --release -p skerry-node -p skerry

demo: build
	SKERRY_BIN_DIR=$(TARGET)/release deploy/demo.sh

# One selection of crates for everything: another one would unify features differently and build wasmtime twice.
test: setup
	node/tests/components/build.sh $(TARGET)/components
	$(CARGO) $(RUN_TESTS) --workspace $$(.ci/faults $(firstword $(RUN_TESTS)))

bench: build
	@.ci/setup bench
	$(CARGO) build --release -p skerry-chaos-tests --features peers --bins
	deploy/examples/component/build.sh
	$(TARGET)/release/bench --bin-dir $(TARGET)/release --tools .tools --component deploy/examples/component/dist/worker.wasm \
	    --json $(TARGET)/bench.json

# A cluster in a simulation, one node under kill -9, and clusters under every fault; the same seed makes the same choices.
chaos: build
	$(CARGO) build --release -p skerry-chaos-tests --bins
	$(TARGET)/release/sim --seed $(SEED)
	$(TARGET)/release/soak --bin-dir $(TARGET)/release --seed $(SEED)
	$(TARGET)/release/chaos --bin-dir $(TARGET)/release --seed $(SEED)

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --document-private-items

# What installs nodes: the unit, the container file and the compose file. Not part of `lint`: its tools come from npm.
lint-install:
	@.ci/lint-install

# Only reads.
verify: lint test

# Only writes.
fix:
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	$(CARGO) fmt --all
