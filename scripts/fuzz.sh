#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other: scripts/fuzz.sh [TIME_PER_TARGET]. What one finds is kept in the
# package's testdata/fuzz; all are run all the same, and the exit status tells whether any found something.
set -euo pipefail
cd "$(dirname "$0")/.."

per_target=${1:-60s}
status=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# out_of_time says whether a run has failed for nothing but Go's fuzzer taking its own time limit for a failure, as it does now and
# then when the time ends within a run of the target (no input is at fault and none was written).
out_of_time() {
	grep -qx '    context deadline exceeded' "$log" && ! grep -qE 'Failing input written|panic:|_test\.go:|hung or terminated' "$log"
}

# fuzz runs one target; a run that says nothing about it is done again, and only one that ends well counts.
fuzz() {
	local pkg=$1 target=$2 try
	for try in 1 2 3 4; do
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$per_target" -fuzzminimizetime 2s "$pkg" 2>&1 | tee "$log"; then return; fi
		out_of_time || return 1
		echo "out of time without a finding: again (run $try of 4)"
	done
	return 1
}

for pkg in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); do
	dir=$(go list -f '{{.Dir}}' "$pkg")
	for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$dir"/*_test.go); do
		echo "== $pkg $target"
		fuzz "$pkg" "$target" || status=1
	done
done
exit $status
