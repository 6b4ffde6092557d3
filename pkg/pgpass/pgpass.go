// Package pgpass reads the files in which passwords stand beside PostgreSQL: libpq's password file (.pgpass), and the list of users that PgBouncer calls auth_file (userlist.txt), which it also writes. It never shows a secret: not in a problem, not in an error, not when a value is printed.
package pgpass

import "fmt"

// maxProblems bounds what is said about one file.
const maxProblems = 100

// A Problem is something in a file that means nothing, or not what it seems to. It never holds a secret.
type Problem struct {
	File   string
	Line   int    // from 1
	Reason string // a clause without capital and full stop
}

// String is `userlist.txt:7: the quote is not closed on its line`.
func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Reason) }

// report collects the problems of one file.
type report struct {
	file     string
	problems []Problem
}

func (r *report) add(line int, format string, args ...any) {
	switch {
	case len(r.problems) < maxProblems:
		r.problems = append(r.problems, Problem{r.file, line, fmt.Sprintf(format, args...)})
	case len(r.problems) == maxProblems:
		r.problems = append(r.problems, Problem{r.file, line, fmt.Sprintf("from here on there are more than these %d problems", maxProblems)})
	}
}
