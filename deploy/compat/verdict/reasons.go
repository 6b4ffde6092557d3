// Package verdict judges what the runs of a suite gave: which failures the proxy has to answer for. It never runs a test.
package verdict

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/deploy/compat/stage"
)

// Reasons is the committed list of failures in transaction mode that no proxy in transaction mode can do without. As text it has
// three kinds of lines, besides empty ones and comments:
//
//	reason KEY: SENTENCES
//	SUITE TEST KEY
//	race SUITE TEST: SENTENCES
//
// What fails in session mode and not directly has no excuse. The third kind is for tests that race by themselves: whether they pass depends
// on how busy the machine is, or on chance, so they are not judged, in whatever run.
type Reasons struct {
	// Keys are those of the reasons, in the order of the text.
	Keys []string
	// Sentences are the reasons, by key.
	Sentences map[string]string
	// Failures are the lines of tests, in the order of the text.
	Failures []Listed
	// Races are the tests that are not judged; Key has the sentences.
	Races []Listed
}

// Listed is a failure with the key of its reason.
type Listed struct{ Suite, Test, Key string }

// ReadReasons reads the list in reasons.txt.
func ReadReasons(files fs.FS) (*Reasons, error) {
	text, err := fs.ReadFile(files, "reasons.txt")
	if err != nil {
		return nil, err
	}
	r, err := ParseReasons(string(text))
	if err != nil {
		return nil, fmt.Errorf("reasons.txt: %w", err)
	}
	return r, nil
}

// ParseReasons reads the text of a list. An error names the line.
func ParseReasons(text string) (*Reasons, error) {
	r := &Reasons{Sentences: map[string]string{}}
	seen, used := map[[2]string]bool{}, map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "reason "); ok {
			key, sentence, ok := strings.Cut(rest, ": ")
			if !ok || strings.Contains(key, " ") || r.Sentences[key] != "" {
				return nil, fmt.Errorf("line %d: want \"reason KEY: SENTENCES\" with a new key", i+1)
			}
			r.Keys = append(r.Keys, key)
			r.Sentences[key] = sentence
			continue
		}
		if rest, ok := strings.CutPrefix(line, "race "); ok {
			test, sentence, ok := strings.Cut(rest, ": ")
			f := strings.Fields(test)
			if !ok || len(f) != 2 {
				return nil, fmt.Errorf("line %d: want \"race SUITE TEST: SENTENCES\"", i+1)
			}
			r.Races = append(r.Races, Listed{Suite: f[0], Test: f[1], Key: sentence})
			continue
		}
		f := strings.Fields(line)
		if len(f) != 3 || r.Sentences[f[2]] == "" {
			return nil, fmt.Errorf("line %d: want \"SUITE TEST KEY\", the key of a reason above", i+1)
		}
		l := Listed{Suite: f[0], Test: f[1], Key: f[2]}
		if seen[[2]string{l.Suite, l.Test}] {
			return nil, fmt.Errorf("line %d: %s %s stands here twice", i+1, l.Suite, l.Test)
		}
		seen[[2]string{l.Suite, l.Test}], used[l.Key] = true, true
		r.Failures = append(r.Failures, l)
	}
	for _, key := range r.Keys {
		if !used[key] {
			return nil, fmt.Errorf("reason %s: no test has it", key)
		}
	}
	return r, nil
}

// Tests returns the listed tests of a suite.
func (r *Reasons) Tests(suite string) []string {
	var out []string
	for _, l := range r.Failures {
		if l.Suite == suite {
			out = append(out, l.Test)
		}
	}
	return out
}

// Listed returns the tests of a suite that stand in the list in any way: they may fail, and what makes them fail (a server process that is
// ended by its number) may be another test's misfortune.
func (r *Reasons) Listed(suite string) []string {
	out := r.Tests(suite)
	for _, l := range r.Races {
		if l.Suite == suite {
			out = append(out, l.Test)
		}
	}
	return out
}

// excuses returns what may fail in a run, with why.
func (r *Reasons) excuses(suite string, run stage.Run) map[string]string {
	out := map[string]string{}
	for _, l := range r.Failures {
		if l.Suite == suite && run == stage.Transaction {
			out[l.Test] = r.Sentences[l.Key]
		}
	}
	return out
}

// races says whether a test is not judged, itself or the test that it is part of.
func (r *Reasons) races(suite, test string) bool {
	top, _, _ := strings.Cut(test, "/")
	return slices.ContainsFunc(r.Races, func(l Listed) bool { return l.Suite == suite && l.Test == top })
}

// Markdown renders the list for docs/compat.md.
func (r *Reasons) Markdown() string {
	var b strings.Builder
	for _, key := range r.Keys {
		fmt.Fprintf(&b, "### %s\n\n%s\n\n", key, r.Sentences[key])
		for _, l := range r.Failures {
			if l.Key == key {
				fmt.Fprintf(&b, "- %s: `%s`\n", l.Suite, l.Test)
			}
		}
		b.WriteString("\n")
	}
	if len(r.Races) > 0 {
		b.WriteString("### Not judged\n\n")
		for _, l := range r.Races {
			fmt.Fprintf(&b, "- %s: `%s`. %s\n", l.Suite, l.Test, l.Key)
		}
		b.WriteString("\n")
	}
	return b.String()
}
