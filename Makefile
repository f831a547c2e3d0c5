# The two commands to know are `make demo` and `make test`; each installs what it needs and can be called again.
# What they do stands in tests/setup/.

.DEFAULT_GOAL := help
.PHONY: help demo test lint e2e bench measure screenshots train install clean-cache

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## show the whole way of a frame on this machine; results in out/demo (DEMO_ARGS="..." for more)
	@tests/setup/demo $(DEMO_ARGS)

test: ## everything CI checks: fmt, clippy, docs, cargo-deny, all tests with real nats-server, ffmpeg, libtorch
	@tests/setup/check test

lint: ## the part of `make test` that runs no test
	@tests/setup/check lint

e2e: ## the chart on a kind cluster of two nodes, end to end, as a table (tests/kind/README.md)
	@tests/kind/e2e $(E2E_ARGS)

bench: ## print the measured figures as ratios, in one run
	@tests/setup/install demo
	@eval "$$(tests/setup/env)" && cargo run --locked --release --package autotiler -- bench $(BENCH_ARGS)

measure: ## print what adapting to the link reaches, beside what is wanted; root (MEASURE="--quick drop switches")
	@tests/setup/measure $(MEASURE)

screenshots: ## take pictures of the live page, of real cameras; six minutes
	@tests/setup/screenshots

train: ## build autotiler-train, which `autotiler train` hands over to (fetches libtorch)
	@tests/setup/install test
	@eval "$$(tests/setup/env)" && cargo build --locked --release --package autotiler-torch --bins

install: ## only install what `make test` needs (then: eval "$$(tests/setup/env)")
	@tests/setup/install test

clean-cache: ## remove what was installed outside the tree (AUTOTILER_CACHE, by default ~/.cache/autotiler)
	rm -rf "$${AUTOTILER_CACHE:-$$HOME/.cache/autotiler}"
