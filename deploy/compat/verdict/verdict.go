package verdict

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/deploy/compat/outcome"
	"github.com/heliosproxy/heliosproxy/deploy/compat/stage"
)

// A Kind is what a Finding is about.
type Kind string

// The kinds of findings. Excused and Beside are none that the proxy, or the list, has to answer for.
const (
	New     Kind = "fails, directly it does not"
	Missing Kind = "did not run, elsewhere it did"
	Stale   Kind = "is listed and does not fail"
	Unknown Kind = "is listed and there is no such test"
	Masked  Kind = "tests fail, which is too many to compare with"
	Excused Kind = "fails as listed"
	Beside  Kind = "has failed once beside other tests, and never alone"
)

// A Finding is what a run through the proxy has and the direct one has not, or a line of the list that is not true any more.
type Finding struct {
	Suite string
	Run   stage.Run
	Test  string
	Kind  Kind
	Why   string // what the test said, or the reason of the list
}

// A Sheet is what came out of one suite in every run.
type Sheet struct {
	Suite string
	Runs  map[stage.Run][]outcome.Outcome
	// Partial says that the direct run has only those tests that have failed behind the proxy. Which tests there are is known from the
	// session run then.
	Partial bool
	// Again has what failed newly behind the proxy, and was run Repeats times more, alone: see [Sheet.Doubtful].
	Again map[stage.Run][]outcome.Outcome
	// Skipped are listed tests that were not run through the proxy, by intention.
	Skipped []string
}

// Failed returns the tests that have failed in any run.
func (s *Sheet) Failed() []string {
	failed := map[string]bool{}
	for _, outcomes := range s.Runs {
		for _, o := range outcomes {
			if o.Result == outcome.Failed {
				failed[o.Test] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(failed))
}

// base returns the run that has all tests.
func (s *Sheet) base() stage.Run {
	if s.Partial {
		return stage.Session
	}
	return stage.Direct
}

// Repeats is how often a test that has failed newly is run again, and mostBeside how many of a run may pass then. Drivers have tests that give
// a server 10 or 100 ms for an answer: beside others, on a busy machine, that is too little with a proxy and without.
const (
	Repeats    = 3
	mostBeside = 3
)

// Doubtful returns the tests that have failed newly in a run and are worth to be run again, nil if those are too many for chance.
func (s *Sheet) Doubtful(r *Reasons, run stage.Run) []string {
	var tests []string
	for _, f := range Judge(r, s) {
		if f.Run == run && f.Kind == New {
			tests = append(tests, f.Test)
		}
	}
	if len(tests) > mostBeside {
		return nil
	}
	return tests
}

// passedAlone says whether a test was run again as often as it should, and has passed each time.
func (s *Sheet) passedAlone(run stage.Run, test string) bool {
	n := 0
	for _, o := range s.Again[run] {
		switch {
		case o.Test != test:
		case o.Result != outcome.Passed:
			return false
		default:
			n++
		}
	}
	return n >= Repeats
}

// mostFailing is how many tests have to pass directly for one that fails.
const mostFailing = 20

// Judge compares the runs with the direct one. A failure of the direct run is nobody's fault here, and excuses the others.
func Judge(r *Reasons, s *Sheet) []Finding {
	var out []Finding
	direct := byTest(s.Runs[stage.Direct])
	base := s.base()
	passed, failed := count(s.Runs[base], outcome.Passed), count(s.Runs[base], outcome.Failed)
	if failed*mostFailing >= passed {
		out = append(out, Finding{Suite: s.Suite, Run: base, Test: fmt.Sprintf("%d of %d", failed, passed+failed), Kind: Masked})
	}
	for _, run := range []stage.Run{stage.Session, stage.Transaction} {
		outcomes, ran := s.Runs[run]
		if !ran {
			continue
		}
		out = append(out, judgeRun(s, run, direct, outcomes, r.excuses(s.Suite, run))...)
	}
	return slices.DeleteFunc(out, func(f Finding) bool { return r.races(s.Suite, f.Test) })
}

func judgeRun(s *Sheet, run stage.Run, direct map[string]outcome.Outcome, outcomes []outcome.Outcome, listed map[string]string) []Finding {
	var out []Finding
	find := func(test string, kind Kind, why string) {
		out = append(out, Finding{Suite: s.Suite, Run: run, Test: test, Kind: kind, Why: why})
	}
	for _, o := range outcomes {
		why, excused := listed[o.Test]
		switch {
		case o.Result == outcome.Failed && excused:
			find(o.Test, Excused, why)
		case o.Result == outcome.Failed && direct[o.Test].Result != outcome.Failed:
			if s.passedAlone(run, o.Test) {
				find(o.Test, Beside, o.Why)
			} else {
				find(o.Test, New, o.Why)
			}
		case o.Result != outcome.Failed && excused:
			find(o.Test, Stale, "take it off the list")
		}
	}
	ran := byTest(outcomes)
	for _, test := range s.Skipped {
		ran[test] = outcome.Outcome{Test: test, Result: outcome.Skipped}
	}
	base := byTest(s.Runs[s.base()])
	for _, o := range s.Runs[s.base()] {
		if o.Result == outcome.Passed && !strings.Contains(o.Test, "/") && !covered(ran, o.Test) { // names of subtests may differ each time
			find(o.Test, Missing, "")
		}
	}
	for _, test := range slices.Sorted(maps.Keys(listed)) {
		if _, known := base[test]; !known && !covered(ran, test) {
			find(test, Unknown, "take it off the list")
		}
	}
	return out
}

// covered says whether a test has an outcome, or stands in the shadow of one: a test that has failed or was skipped before or
// while its subtests ran, or whose subtest has failed.
func covered(ran map[string]outcome.Outcome, test string) bool {
	if _, ok := ran[test]; ok {
		return true
	}
	for name, o := range ran {
		if o.Result != outcome.Passed && (strings.HasPrefix(test, name+"/") || strings.HasPrefix(name, test+"/")) {
			return true
		}
	}
	return false
}

// Faults returns how many findings are to be answered for.
func Faults(findings []Finding) int {
	n := 0
	for _, f := range findings {
		if f.Kind != Excused && f.Kind != Beside {
			n++
		}
	}
	return n
}

// Print writes a table of all sheets and then every finding, those that are excused in one line each.
func Print(w io.Writer, sheets []*Sheet, findings []Finding) {
	if len(sheets) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%-14s %-12s %7s %7s %8s\n", "SUITE", "RUN", "PASSED", "FAILED", "SKIPPED")
	for _, s := range sheets {
		for _, run := range stage.Runs() {
			if o, ran := s.Runs[run]; ran {
				fmt.Fprintf(w, "%-14s %-12s %7d %7d %8d\n", s.Suite, run,
					count(o, outcome.Passed), count(o, outcome.Failed), count(o, outcome.Skipped))
			}
		}
	}
	for _, s := range sheets {
		for _, o := range s.Runs[stage.Direct] {
			if o.Result == outcome.Failed {
				fmt.Fprintf(w, "%s, direct: %s fails\n", s.Suite, o.Test)
			}
		}
	}
	fmt.Fprintln(w)
	for _, f := range findings {
		if f.Kind == Excused {
			fmt.Fprintf(w, "%s, %s: %s %s\n", f.Suite, f.Run, f.Test, f.Kind)
		}
	}
	for _, f := range findings {
		if f.Kind != Excused {
			fmt.Fprintf(w, "\n%s, %s: %s %s\n%s", f.Suite, f.Run, f.Test, f.Kind, indent(f.Why))
		}
	}
}

// indent shows the first lines of what a test said.
func indent(text string) string {
	const most = 12
	var b strings.Builder
	n := 0
	for line := range strings.Lines(text) {
		if n++; n > most {
			b.WriteString("    …\n")
			break
		}
		b.WriteString("    " + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

func byTest(outcomes []outcome.Outcome) map[string]outcome.Outcome {
	out := make(map[string]outcome.Outcome, len(outcomes))
	for _, o := range outcomes {
		out[o.Test] = o
	}
	return out
}

func count(outcomes []outcome.Outcome, r outcome.Result) int {
	n := 0
	for _, o := range outcomes {
		if o.Result == r {
			n++
		}
	}
	return n
}
