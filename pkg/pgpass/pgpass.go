// Package pgpass reads the files in which passwords stand beside PostgreSQL: libpq's password file (.pgpass), and the list of users that PgBouncer calls auth_file (userlist.txt), which it also writes. It never shows a secret: not in a problem, not in an error, not when a value is printed.
package pgpass

import "fmt"

// maxProblems bounds what is said about one file, of what works nevertheless and of the rest.
const maxProblems = 100

// A Problem is something in a file that means nothing, or not what it seems to. It never holds a secret.
type Problem struct {
	File   string
	Line   int    // from 1
	Reason string // a clause without capital and full stop
	Works  bool   // what the line says holds nevertheless
}

// String is `userlist.txt:7: the quote is not closed on its line`.
func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Reason) }

// report collects the problems of one file.
type report struct {
	file     string
	problems []Problem
	counts   map[bool]int // by Works
}

// add says that a line means nothing.
func (r *report) add(line int, format string, args ...any) { r.tell(false, line, format, args...) }

// odd says that a line holds, but may not be what somebody wanted.
func (r *report) odd(line int, format string, args ...any) { r.tell(true, line, format, args...) }

func (r *report) tell(works bool, line int, format string, args ...any) {
	if r.counts == nil {
		r.counts = map[bool]int{}
	}
	switch n := r.counts[works]; {
	case n < maxProblems:
		r.problems = append(r.problems, Problem{r.file, line, fmt.Sprintf(format, args...), works})
	case n == maxProblems:
		r.problems = append(r.problems, Problem{r.file, line, fmt.Sprintf("from here on there are more than these %d problems", maxProblems), works})
	}
	r.counts[works]++
}
