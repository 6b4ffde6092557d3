package configfile

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity says whether the proxy can start nevertheless, and whether anything is missed.
type Severity int

// The severities.
const (
	Warning Severity = iota
	Error
	Note // nothing is missed; what another program's file says has them
)

// String is "warning" or "error".
func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// Finding is one thing to know about a file.
type Finding struct {
	File     string
	Line     int    // from 1
	Key      string // as the file spells it, dotted; "toml" for syntax, ${NAME} for a variable; hba, ident or auth_file for a line of such a file
	Sentence string // without capital and full stop; never holds a secret
	Severity Severity
}

// String is `FILE:LINE: KEY: sentence`.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Key, f.Sentence)
}

// Findings are those of one file, by line, and behind them those of the files that it names.
type Findings []Finding

// Failed says whether one of them is an error.
func (f Findings) Failed() bool {
	return slices.ContainsFunc(f, func(f Finding) bool { return f.Severity == Error })
}

// report collects findings.
type report struct {
	file   string
	all    Findings
	others Findings // about files that this one names
}

func (r *report) fail(line int, key, format string, args ...any) {
	r.add(Error, line, key, format, args...)
}

func (r *report) warn(line int, key, format string, args ...any) {
	r.add(Warning, line, key, format, args...)
}

// variable implements [environ.Report].
func (r *report) variable(odd bool, line int, key, sentence string) {
	r.add(map[bool]Severity{true: Warning, false: Error}[odd], line, key, "%s", sentence)
}

// add keeps the first error about a key in a line: what follows from it is no news.
func (r *report) add(severity Severity, line int, key, format string, args ...any) {
	for _, f := range r.all {
		if f.Line == line && f.Key == key && f.Severity == Error {
			return
		}
	}
	r.all = append(r.all, Finding{r.file, line, key, fmt.Sprintf(format, args...), severity})
}

// beside is about a line of a file that the configuration names. Line 0 is the file as a whole.
func (r *report) beside(severity Severity, file string, line int, key, sentence string) {
	r.others = append(r.others, Finding{file, max(1, line), key, sentence, severity})
}

// sorted are the findings of the file by line, and behind them those of others, which are in order.
func (r *report) sorted() Findings {
	slices.SortStableFunc(r.all, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	return append(r.all, r.others...)
}
