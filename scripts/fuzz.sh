#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other: scripts/fuzz.sh [TIME_PER_TARGET]. What one finds is kept in the
# package's testdata/fuzz; all are run all the same, and the exit status tells whether any found something.
set -euo pipefail
cd "$(dirname "$0")/.."

per_target=${1:-60s}
status=0
for pkg in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); do
	dir=$(go list -f '{{.Dir}}' "$pkg")
	for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$dir"/*_test.go); do
		echo "== $pkg $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$per_target" -fuzzminimizetime 2s "$pkg" || status=1
	done
done
exit $status
