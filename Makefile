# Everything that is built ends in dist/, a tree that runs in place:
# dist/bin/* and dist/lib/patchbay/plugins/*.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
REVISION := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS  := -s -w \
	-X patchbay.dev/patchbay/internal/version.version=$(VERSION) \
	-X patchbay.dev/patchbay/internal/version.revision=$(REVISION)

# One set of flags for all steps, so that what one has compiled serves the next.
export CGO_ENABLED := 0
export GOFLAGS     := -trimpath $(GOFLAGS)

DIST    := dist
PLUGINS := $(DIST)/lib/patchbay/plugins

# A binary with a plugin.toml beside its main is a plugin, any other a program.
# patchbay-network-bridge becomes the plugin folder "bridge".
commands        := $(notdir $(patsubst %/main.go,%,$(wildcard cmd/*/main.go)))
plugin_commands := $(notdir $(patsubst %/plugin.toml,%,$(wildcard cmd/*/plugin.toml)))
# The agent of virtual machines is beside the runtime that boots them.
agent           := patchbay-guest
programs        := $(filter-out $(plugin_commands) $(agent),$(commands))
plugin_name      = $(patsubst patchbay-network-%,%,$(patsubst patchbay-runtime-%,%,$(1)))

golangci := $(GO) tool -modfile=tools/lint/go.mod golangci-lint
buf      := $(GO) tool -modfile=tools/buf/go.mod buf
deadcode := $(GO) tool -modfile=tools/deadcode/go.mod deadcode

# Root file systems, namespaces and cgroups are made for real: they need root.
TEST_PACKAGES ?= ./...
# Ends what hangs; a busy machine may take long.
TEST_TIMEOUT  ?= 40m

.DEFAULT_GOAL := help
.PHONY: help deps build generate check check-lint check-generated check-modules check-dead \
	test test-unit test-integration test-race test-slow soak demo bench bench-quick build-bench bench-micro timeline bench-ports bench-scale bench-vm bench-vm-start install uninstall clean

help: ## Show the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install the Debian packages that are missing (as root; else it says which), fetch a guest's kernel.
	@scripts/deps.sh
	@scripts/kernel.sh >/dev/null

build: ## Build everything below dist/, ready to run in place.
	@mkdir -p $(DIST)/build $(DIST)/bin
	@$(GO) build -ldflags '$(LDFLAGS)' -o $(DIST)/build/ ./cmd/...
	@for p in $(programs); do install -C -m 755 $(DIST)/build/$$p $(DIST)/bin/$$p || exit 1; done
	@$(foreach c,$(plugin_commands),\
		install -d -m 755 $(PLUGINS)/$(call plugin_name,$(c))/bin && \
		install -C -m 644 cmd/$(c)/plugin.toml $(PLUGINS)/$(call plugin_name,$(c))/plugin.toml && \
		install -C -m 755 $(DIST)/build/$(c) $(PLUGINS)/$(call plugin_name,$(c))/bin/$(call plugin_name,$(c)) && ) true
	@install -C -m 755 $(DIST)/build/$(agent) $(PLUGINS)/vm/bin/$(agent)

generate: ## Generate code from api/**/*.proto, and the reference pages.
	$(buf) lint
	scripts/generated.sh generate
	scripts/reference.sh generate

check: check-modules check-generated check-dead check-lint ## Lint, generated files, modules, dead code.

check-lint:
	$(golangci) run --allow-parallel-runners ./...

check-generated:
	scripts/generated.sh verify
	scripts/reference.sh verify

check-modules:
	$(GO) mod tidy -diff
	$(GO) mod verify >/dev/null

check-dead:
	scripts/deadcode.sh

test: ## Everything: deps, build, check, unit and integration tests (needs root).
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory build
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory test-race
	@$(MAKE) --no-print-directory test-integration

test-unit: ## The tests that need no root.
	$(GO) test $(TEST_PACKAGES)

# The unit tests are in the same run, so that all is built for tests once. Most
# tests wait for processes and the kernel: more of them than processors may run.
test-integration: build ## All tests, with real namespaces and binaries (needs root).
	$(GO) test -tags integration -parallel 4 -timeout $(TEST_TIMEOUT) $(TEST_PACKAGES)

# What shares state between goroutines; compiling all else once more for the race
# detector would take longer than all tests.
RACE_PACKAGES ?= $(addprefix ./,networkplugin $(addprefix internal/,apiserver/containers apiserver/containers/errand \
	apiserver/containers/leases apiserver/containers/runtimehelper apiserver/images apiserver/images/catalog apiserver/metrics apiserver/networks \
	containerlog footprint frameswitch helper ipam keyed lease resolver rpc runtime/oci/reaper runtime/vm/template sandbox sandbox/hold sandbox/names \
	stdio store tapstream trace trace/collect apiserver/traces treecopy))

test-race: ## The packages that share state, with the race detector (needs gcc).
	CGO_ENABLED=1 $(GO) test -race -parallel 4 -timeout $(TEST_TIMEOUT) $(RACE_PACKAGES)

test-slow: ## The same packages with a quarter of a processor each, PERCENT=25: what goes by the clock fails (needs gcc and root).
	RACE=1 scripts/test-slow.sh $(RACE_PACKAGES)

soak: build ## The long runs: 1,000 lives of a container, 60 s of changing networks, 200 deaths of any process, all of networking on machines (needs root).
	PATCHBAY_SOAK_CYCLES=$${PATCHBAY_SOAK_CYCLES:-1000} PATCHBAY_SOAK_SECONDS=$${PATCHBAY_SOAK_SECONDS:-60} \
		PATCHBAY_SOAK_DEATHS=$${PATCHBAY_SOAK_DEATHS:-200} \
		$(GO) test -tags integration -count 1 -timeout 1h -run Cycles -v ./test/integration
	PATCHBAY_SOAK_MACHINES=1 $(GO) test -tags integration -count 1 -timeout 1h ./test/integration

demo: ## A tour in a host namespace of its own; leaves nothing (needs root).
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory build
	@scripts/demo.sh

bench: ## Everything beside other engines, into docs/performance.md: 20 minutes (needs root).
	@scripts/deps.sh
	@scripts/bench-deps.sh
	@$(MAKE) --no-print-directory build-bench
	@DOCUMENT=docs/performance.md scripts/bench.sh

bench-quick: ## The same with few rounds, written to dist/bench-quick: 5 minutes (needs root).
	@scripts/deps.sh
	@scripts/bench-deps.sh
	@$(MAKE) --no-print-directory build-bench
	@QUICK=1 RESULTS=$(CURDIR)/$(DIST)/bench-quick scripts/bench.sh

build-bench: build
	@$(GO) build -o $(DIST)/build/bench-targets ./test/bench/targets
	@$(GO) build -ldflags '-s -w' -o $(DIST)/build/bench-traffic ./test/bench/traffic

bench-micro: ## The benchmarks of hot paths, a second each (needs root).
	@$(GO) test -tags integration -run '^$$' -bench . -benchtime 1s \
		$$(grep -rl --include='*_test.go' '^func Benchmark' internal networkplugin | xargs dirname | sort -u | sed 's|^|./|')

timeline: build ## A picture of one start, as "patchbay system trace" tells of it (needs root).
	@PICTURE=docs/images/start.svg scripts/timeline.sh

bench-ports: build ## Start of 200 containers with 64 published ports each (needs root).
	@DOCUMENT=docs/performance.md scripts/bench-ports.sh

bench-vm: build ## Boot, memory and throughput of virtual machines (needs root).
	@DOCUMENT=docs/performance.md scripts/bench-vm.sh

bench-vm-start: build ## Start of virtual machines, with and without a boot (needs root).
	@DOCUMENT=docs/performance.md scripts/bench-vm-start.sh

bench-scale: build ## Cost of everything beside CONTAINERS=1000 others (needs root).
	@$(GO) build -o $(DIST)/build/bench-scale ./test/bench/scale
	@DOCUMENT=docs/performance.md PICTURE=docs/images/scale.svg RESULTS=$(CURDIR)/$(DIST)/bench scripts/bench-scale.sh

install: build ## Install below $(DESTDIR)$(PREFIX).
	install -d -m 755 $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/patchbay/plugins
	for p in $(programs); do install -m 755 $(DIST)/bin/$$p $(DESTDIR)$(PREFIX)/bin/ || exit 1; done
	$(foreach c,$(plugin_commands),\
		install -d -m 755 $(DESTDIR)$(PREFIX)/lib/patchbay/plugins/$(call plugin_name,$(c))/bin && \
		install -m 644 $(PLUGINS)/$(call plugin_name,$(c))/plugin.toml $(DESTDIR)$(PREFIX)/lib/patchbay/plugins/$(call plugin_name,$(c))/ && \
		install -m 755 $(PLUGINS)/$(call plugin_name,$(c))/bin/* $(DESTDIR)$(PREFIX)/lib/patchbay/plugins/$(call plugin_name,$(c))/bin/ && ) true
	install -d -m 755 $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|' packaging/patchbayd.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/patchbayd.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/patchbayd.service
	install -d -m 755 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(DIST)/bin/patchbay completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/patchbay
	$(DIST)/bin/patchbay completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_patchbay
	$(DIST)/bin/patchbay completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/patchbay.fish

uninstall: ## Remove what install installed; configuration and data stay.
	rm -f $(foreach p,$(programs),$(DESTDIR)$(PREFIX)/bin/$(p))
	rm -rf $(foreach c,$(plugin_commands),$(DESTDIR)$(PREFIX)/lib/patchbay/plugins/$(call plugin_name,$(c)))
	-rmdir $(DESTDIR)$(PREFIX)/lib/patchbay/plugins $(DESTDIR)$(PREFIX)/lib/patchbay
	rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/patchbayd.service \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/patchbay \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_patchbay \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/patchbay.fish

clean: ## Remove dist/.
	rm -rf $(DIST)
