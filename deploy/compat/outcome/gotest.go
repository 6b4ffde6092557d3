package outcome

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"
)

// An event is what test2json says of a test.
type event struct {
	Action string
	Test   string
	Output string
}

// A GoTest follows the output of one Go test binary as test2json prints it. The zero value is at the beginning.
type GoTest struct {
	// Last is when anything was last heard.
	Last time.Time

	order []string
	tests map[string]*progress
}

type progress struct {
	result  Result // empty: not ended
	paused  bool   // waits for its turn among parallel tests
	failing bool   // a subtest has failed, which is why this one does
	output  strings.Builder
}

// Line takes one line of test2json. A line that is none is ignored: what a test binary says after a panic may be cut anywhere.
func (g *GoTest) Line(line []byte) {
	g.Last = time.Now()
	var e event
	if json.Unmarshal(line, &e) != nil || e.Test == "" {
		return
	}
	p := g.tests[e.Test]
	if p == nil {
		if g.tests == nil {
			g.tests = map[string]*progress{}
		}
		p = &progress{}
		g.tests[e.Test] = p
		g.order = append(g.order, e.Test)
	}
	switch cmp.Or(ending(e), e.Action) {
	case "pause":
		p.paused = true
	case "run", "cont":
		p.paused = false
	case "pass":
		p.result = Passed
	case "skip":
		p.result = Skipped
	case "fail":
		g.fail(e.Test, p)
	}
	p.output.WriteString(e.Output)
}

// ending returns the action that a line of output stands for, if it tells a test's end: test2json itself tells a parent's only when
// the next test prints something, which after a hanging one is never.
func ending(e event) string {
	for word, action := range map[string]string{"PASS": "pass", "SKIP": "skip", "FAIL": "fail"} {
		if strings.HasPrefix(strings.TrimSpace(e.Output), "--- "+word+": "+e.Test+" (") {
			return action
		}
	}
	return ""
}

func (g *GoTest) fail(test string, p *progress) {
	p.result = Failed
	if above := g.tests[parent(test)]; above != nil {
		above.failing = true
	}
}

// GiveUp marks what was running as failed, when the binary has ended or was stopped: why is what is to be said of it. Tests that
// waited for their turn, and those that waited for subtests that did, stay as if they had not begun.
func (g *GoTest) GiveUp(why string) {
	waiting := map[string]bool{}             // has a subtest that has not begun
	for i := len(g.order) - 1; i >= 0; i-- { // subtests before their parents
		test := g.order[i]
		p := g.tests[test]
		switch {
		case p.result != "":
		case !p.paused && !waiting[test] || p.failing:
			p.output.WriteString(why + "\n")
			g.fail(test, p)
		default:
			waiting[parent(test)] = true
		}
	}
}

// Ended returns the top-level tests that have ended, in the order in which they began.
func (g *GoTest) Ended() []string {
	var out []string
	for _, test := range g.order {
		if parent(test) == "" && g.tests[test].result != "" {
			out = append(out, test)
		}
	}
	return out
}

// Outcomes returns what has ended, each test with prefix before its name. A test that failed because a subtest did is not among them:
// the subtest is.
func (g *GoTest) Outcomes(prefix string) []Outcome {
	var out []Outcome
	for _, test := range g.order {
		p := g.tests[test]
		top, _, _ := strings.Cut(test, "/")
		if p.result == "" || p.result == Failed && p.failing || g.tests[top] == nil || g.tests[top].result == "" {
			continue
		}
		o := Outcome{Test: prefix + test, Result: p.result}
		if p.result == Failed {
			o.Why = said(p.output.String())
		}
		out = append(out, o)
	}
	return out
}

// parent returns the test that a subtest is part of, "" for a top-level one.
func parent(test string) string {
	return test[:max(0, strings.LastIndexByte(test, '/'))]
}

// said leaves out of a test's output what go test adds to it.
func said(output string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "=== ") || strings.HasPrefix(trimmed, "--- ") {
			continue
		}
		b.WriteString(trimmed + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
