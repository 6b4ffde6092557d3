// Package outcome is what is known of a test after it was run: passed, failed or skipped. It never runs one.
package outcome

import (
	"bufio"
	"io"
	"strings"
)

// A Result is how a test ended.
type Result string

// The results.
const (
	Passed  Result = "passed"
	Failed  Result = "failed"
	Skipped Result = "skipped"
)

// An Outcome is one test of a suite in one run.
type Outcome struct {
	Test   string // for Go PACKAGE.TestName/subtest, for the shared program a scenario
	Result Result
	Why    string // of a failed one: what it said, of any length
}

// Lines reads what the shared program prints: a line "ok NAME" or "not ok NAME: WHY" for each scenario. Other lines are given
// back as noise.
func Lines(r io.Reader) (outcomes []Outcome, noise string, err error) {
	var other strings.Builder
	in := bufio.NewScanner(r)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		line := in.Text()
		if name, ok := strings.CutPrefix(line, "ok "); ok {
			outcomes = append(outcomes, Outcome{Test: name, Result: Passed})
		} else if rest, ok := strings.CutPrefix(line, "not ok "); ok {
			name, why, _ := strings.Cut(rest, ": ")
			outcomes = append(outcomes, Outcome{Test: name, Result: Failed, Why: why})
		} else {
			other.WriteString(line + "\n")
		}
	}
	return outcomes, other.String(), in.Err()
}
