package verdict

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/deploy/compat/outcome"
	"github.com/heliosproxy/heliosproxy/deploy/compat/stage"
)

var update = flag.Bool("update", false, "write the list of reasons into docs/compat.md")

func outcomes(text string) []outcome.Outcome {
	var out []outcome.Outcome
	for _, word := range strings.Fields(text) {
		test, result, _ := strings.Cut(word, "=")
		out = append(out, outcome.Outcome{Test: test, Result: outcome.Result(result)})
	}
	return out
}

// TestJudge plants every kind of finding.
func TestJudge(t *testing.T) {
	many := ""
	for i := range mostFailing + 1 {
		many += fmt.Sprintf(" T%d=passed", i)
	}
	const list = "reason why: because\ns X why\n"
	tests := []struct {
		name, reasons, direct, session, transaction string
		skipped                                     []string
		want                                        []string
	}{
		{"all pass", list, "A=passed X=passed", "A=passed X=passed", "A=passed X=failed", nil, []string{"transaction X " + string(Excused)}},
		{
			"session has no excuse", list, "A=passed X=passed", "A=passed X=failed", "A=passed X=failed", nil,
			[]string{"session X " + string(New), "transaction X " + string(Excused)},
		},
		{
			"a new one in transaction mode", list, "A=passed X=passed", "A=passed X=passed", "A=failed X=failed", nil,
			[]string{"transaction A " + string(New), "transaction X " + string(Excused)},
		},
		{"fails directly too", "", many + " B=failed", many + " B=failed", many + " B=failed", nil, nil},
		{"too many fail directly", "", many + " B=failed C=failed", many, many, nil, []string{"direct 2 of 23 " + string(Masked)}},
		{"skipped directly, fails behind the proxy", "", "A=passed B=skipped", "A=passed B=failed", "A=passed B=skipped", nil, []string{"session B " + string(New)}},
		{"the list rots", list, "A=passed X=passed", "A=passed X=passed", "A=passed X=passed", nil, []string{"transaction X " + string(Stale)}},
		{"the list names nothing", list, "A=passed", "A=passed", "A=passed", nil, []string{"transaction X " + string(Unknown)}},
		{"a test is gone", "", "A=passed B=passed B/1=passed", "A=passed B=passed", "A=passed", nil, []string{"transaction B " + string(Missing)}},
		{"in the shadow of a subtest", "", "A=passed B=passed B/1=passed", "A=passed B/1=failed", "A=passed B=skipped", nil, []string{"session B/1 " + string(New)}},
		{"not run by intention", list, "A=passed X=passed", "A=passed X=passed", "A=passed", []string{"X"}, nil},
		{"a race", "race s B: busy", "A=passed B=passed", "A=passed B=failed", "A=passed B/1=failed", nil, nil},
		{"partial, and all pass", list, "", many + " X=passed", many, []string{"X"}, nil},
		{"partial, new ones", list, "T1=passed T2=failed", many + " T1=failed", many + " T2=failed", []string{"X"}, []string{"session T1 " + string(New)}},
		{"partial, a test is gone", list, "", many + " B=passed", many, []string{"X"}, []string{"transaction B " + string(Missing)}},
		{"partial, nothing ran", list, "", "", "", []string{"X"}, []string{"session 0 of 0 " + string(Masked)}},
		{"nothing ran", "", "A=skipped", "A=skipped", "A=skipped", nil, []string{"direct 0 of 0 " + string(Masked)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseReasons(tt.reasons)
			if err != nil {
				t.Fatal(err)
			}
			s := &Sheet{Suite: "s", Skipped: tt.skipped, Partial: strings.HasPrefix(tt.name, "partial"), Runs: map[stage.Run][]outcome.Outcome{
				stage.Direct: outcomes(tt.direct), stage.Session: outcomes(tt.session), stage.Transaction: outcomes(tt.transaction),
			}}
			findings := Judge(r, s)
			var got []string
			faults := 0
			for _, f := range findings {
				got = append(got, fmt.Sprintf("%s %s %s", f.Run, f.Test, f.Kind))
				if f.Kind != Excused {
					faults++
				}
			}
			if !slices.Equal(got, tt.want) || Faults(findings) != faults {
				t.Errorf("got %q, want %q; %d faults, want %d", got, tt.want, Faults(findings), faults)
			}
		})
	}
}

// TestAgain plants tests that fail once and tests that fail again.
func TestAgain(t *testing.T) {
	const three = "A=passed A=passed A=passed"
	tests := []struct {
		name, transaction, again string
		doubtful                 int
		want                     Kind
		faults                   int
	}{
		{"never again", "A=failed", three, 1, Beside, 0},
		{"once again", "A=failed", "A=passed A=failed A=passed", 1, New, 1},
		{"not often enough", "A=failed", "A=passed A=passed", 1, New, 1},
		{"another", "A=failed", "B=passed B=passed B=passed", 1, New, 1},
		{"not run again", "A=failed", "", 1, New, 1},
		{"too many for chance", "A=failed B=failed C=failed D=failed", "", 0, New, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			passed := "A=passed B=passed C=passed D=passed"
			s := &Sheet{Suite: "s", Runs: map[stage.Run][]outcome.Outcome{
				stage.Direct: outcomes(passed), stage.Session: outcomes(passed), stage.Transaction: outcomes(tt.transaction),
			}}
			r := &Reasons{}
			if doubtful := s.Doubtful(r, stage.Transaction); len(doubtful) != tt.doubtful {
				t.Errorf("%q are to be run again, want %d", doubtful, tt.doubtful)
			}
			s.Again = map[stage.Run][]outcome.Outcome{stage.Transaction: outcomes(tt.again)}
			findings := slices.DeleteFunc(Judge(r, s), func(f Finding) bool { return f.Kind == Missing })
			if findings[0].Kind != tt.want || Faults(findings) != tt.faults {
				t.Errorf("%q with %d faults, want %q with %d", findings[0].Kind, Faults(findings), tt.want, tt.faults)
			}
		})
	}
}

func TestParseReasonsRefuses(t *testing.T) {
	for _, text := range []string{
		"pgx A nokey", "reason a: x", "reason a: x\npgx A a\npgx A a", "reason a x", "reason a: x\nreason a: y\npgx A a",
		"reason a: x\npgx A a more", "race pgx A", "race A: why",
	} {
		if _, err := ParseReasons(text); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

// TestDocument checks that docs/compat.md shows the list that counts.
func TestDocument(t *testing.T) {
	const file, from, to = "../../../docs/compat.md", "<!-- generated from deploy/compat/reasons.txt -->\n\n", "<!-- end -->"
	r, err := ReadReasons(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the list", file)
	}
	want := before + from + r.Markdown() + to + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(doc) {
		t.Errorf("%s does not show reasons.txt: go test ./verdict -run TestDocument -update", file)
	}
}
