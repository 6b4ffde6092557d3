# HeliosProxy: `make help` lists what can be made.

SHELL      := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN     := bin
LINT    := go tool -modfile=$(CURDIR)/scripts/tools/lint/go.mod
BUF     := go tool -modfile=scripts/tools/buf/go.mod buf
# Go source that people write and that is under version control or about to be.
SOURCES := $(shell git ls-files --cached --others --exclude-standard '*.go' ':!proto/gen')

FUZZTIME ?= 60s
COUNT    ?= 10000
ARGS     ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/heliosproxy and bin/helioctl (the first time a C compiler has half a minute's work)
	go build -o $(BIN)/heliosproxy ./deploy/standalone
	go build -o $(BIN)/helioctl ./controlplane/cmd/helioctl

.PHONY: quickstart
quickstart: build ## Run a small fleet in front of a new PostgreSQL and show it at work (ARGS=--once: end by itself)
	scripts/quickstart.sh $(ARGS)

.PHONY: test
test: build ## Run all tests, with the race detector and real PostgreSQL servers (less than 15 minutes)
	go test -race -timeout 14m ./...
	go test -tags planted -timeout 5m -run TestTaken ./deploy/leaks
	go test -tags planted -timeout 8m -run 'TestPlanted|TestMoved' ./deploy/exact
	go test -tags planted -timeout 5m -run TestDeaf ./dataplane/assembly/...
	cd deploy/e2e && HELIOSPROXY=$(CURDIR)/$(BIN)/heliosproxy HELIOCTL=$(CURDIR)/$(BIN)/helioctl go test -short -timeout 10m ./...
	cd deploy/compat && go test -timeout 5m ./...

.PHONY: e2e
e2e: build ## Run the scenarios against the built program in full length
	cd deploy/e2e && HELIOSPROXY=$(CURDIR)/$(BIN)/heliosproxy HELIOCTL=$(CURDIR)/$(BIN)/helioctl go test -v -count=1 -timeout 60m ./... $(ARGS)

.PHONY: exact
exact: ## Compare with PostgreSQL, message by message, 100,000 generated sequences in each pool mode (ARGS: see CONTRIBUTING.md)
	go test -count=1 -timeout 24h -v -run TestExact ./deploy/exact -exact.all -exact.count=100000 -exact.matrix $(ARGS)

.PHONY: leaks
leaks: ## Play sessions against twins that have PostgreSQL for themselves, COUNT (10000) interleavings by leak guard
	go test -count=1 -timeout 2h -v ./deploy/leaks -interleavings $(COUNT) $(ARGS)

.PHONY: compat
compat: build ## Run the test suites of drivers directly and through the proxy (ARGS: see CONTRIBUTING.md)
	cd deploy/compat && HELIOSPROXY=$(CURDIR)/$(BIN)/heliosproxy go run . $(ARGS)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (60s)
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: build ## Measure against PgBouncer (ARGS: see deploy/bench/bench.py run --help; BEFORE=program compares two of ours)
	python3 deploy/bench/bench.py run $(if $(BEFORE),--before $(BEFORE)) $(ARGS)

.PHONY: storm
storm: build ## Measure others' queries beside log-ins, 200 and 1,000 a second (ARGS: see deploy/bench/bench.py storm --help)
	python3 deploy/bench/bench.py storm $(ARGS)

.PHONY: verify
verify: verify-format verify-vet verify-macos verify-static verify-laws verify-modules ## Check everything that needs no server: format, vet, macOS, staticcheck, the laws, go.mod

.PHONY: verify-format
verify-format: ## Check that gofumpt would change nothing
	@unformatted=$$($(LINT) gofumpt -l $(SOURCES)); \
	if [ -n "$$unformatted" ]; then echo "run make format, for:"; echo "$$unformatted"; exit 1; fi

.PHONY: verify-vet
verify-vet: ## Run go vet
	go vet ./...
	cd deploy/e2e && go vet ./...
	cd deploy/compat && go vet ./...

.PHONY: verify-macos
verify-macos: export GOOS = darwin
verify-macos: export GOARCH = arm64
verify-macos: export CGO_ENABLED = 0
verify-macos: ## Check that everything compiles for macOS, tests too
	go build ./deploy/standalone ./controlplane/cmd/helioctl
	go vet ./...

.PHONY: verify-static
verify-static: ## Run staticcheck
	$(LINT) staticcheck ./...
	cd deploy/e2e && $(LINT) staticcheck ./...
	cd deploy/compat && $(LINT) staticcheck ./...

.PHONY: verify-laws
verify-laws: ## Check the laws of ARCHITECTURE.md
	go test -count=1 ./pkg/archtest

.PHONY: verify-modules
verify-modules: ## Check that go.mod and go.sum are tidy
	go mod tidy -diff
	cd deploy/e2e && go mod tidy -diff
	cd deploy/compat && go mod tidy -diff

.PHONY: verify-proto
verify-proto: ## Check that the generated code is what the protos give (builds buf: some minutes the first time)
	$(BUF) lint
	$(BUF) generate -o .cache/verify-proto
	diff -r proto/gen/go .cache/verify-proto/proto/gen/go

.PHONY: format
format: ## Format all Go source
	@$(LINT) gofumpt -w $(SOURCES)

.PHONY: proto
proto: ## Generate proto/gen/go
	$(BUF) generate

.PHONY: dist
dist: ## Build what is released into bin/dist: static programs for amd64 and arm64, archives, the image's context
	deploy/image/dist.sh $(ARGS)

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN) .cache
