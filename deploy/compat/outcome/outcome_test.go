package outcome

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func brief(outcomes []Outcome) []string {
	var out []string
	for _, o := range outcomes {
		out = append(out, fmt.Sprintf("%s %s %q", o.Test, o.Result, o.Why))
	}
	return out
}

func TestLines(t *testing.T) {
	got, noise, err := Lines(strings.NewReader("ok a\nTraceback\nnot ok b: got 1: want 2\nok c d\n"))
	want := []string{`a passed ""`, `b failed "got 1: want 2"`, `c d passed ""`}
	if err != nil || noise != "Traceback\n" || !slices.Equal(brief(got), want) {
		t.Errorf("got %q, noise %q, %v", brief(got), noise, err)
	}
}

// TestGoTestHangs follows a binary in which one test hangs while others wait for their turn, themselves or through subtests.
func TestGoTestHangs(t *testing.T) {
	var g GoTest
	for line := range strings.Lines(`
{"Action":"run","Test":"A"}
{"Action":"run","Test":"A/one"}
{"Action":"output","Test":"A/one","Output":"    a_test.go:1: why\n"}
{"Action":"fail","Test":"A/one"}
{"Action":"run","Test":"A/two"}
{"Action":"skip","Test":"A/two"}
{"Action":"fail","Test":"A"}
{"Action":"run","Test":"Waits"}
{"Action":"pause","Test":"Waits"}
{"Action":"run","Test":"Told"}
{"Action":"output","Test":"Told","Output":"--- PASS: Told (0.00s)\n"}
panic: not JSON
{"Action":"run","Test":"Parent"}
{"Action":"run","Test":"Parent/done"}
{"Action":"pass","Test":"Parent/done"}
{"Action":"run","Test":"Parent/waits"}
{"Action":"pause","Test":"Parent/waits"}
{"Action":"run","Test":"Hangs"}
{"Action":"pause","Test":"Hangs"}
{"Action":"cont","Test":"Hangs"}
`) {
		g.Line([]byte(line))
	}
	if got, want := g.Ended(), []string{"A", "Told"}; !slices.Equal(got, want) {
		t.Errorf("before: ended %q, want %q", got, want)
	}
	g.GiveUp("stopped")
	if got, want := g.Ended(), []string{"A", "Told", "Hangs"}; !slices.Equal(got, want) {
		t.Errorf("after: ended %q, want %q", got, want)
	}
	want := []string{`p.A/one failed "a_test.go:1: why"`, `p.A/two skipped ""`, `p.Told passed ""`, `p.Hangs failed "stopped"`}
	if got := brief(g.Outcomes("p.")); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
