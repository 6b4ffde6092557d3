package hba

import (
	"cmp"
	"fmt"
	"slices"
)

// A Problem is one reason why a file cannot be used. As PostgreSQL, whoever loads rules refuses all of them for one problem and keeps what
// it had. It never shows a password that an option has.
type Problem struct {
	File   string
	Line   int    // of File, from 1: where a line begins that goes on over several; 0 if it is the file as a whole
	Reason string // what is wrong, a clause without capital and full stop
}

// String is `pg_hba.conf:3: invalid connection type "hots"`.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Reason)
}

// inOrder sorts the problems of reading in among those of the lines of the same file; files stay in the order in which they have problems.
func inOrder(problems []Problem) []Problem {
	var files []string
	for _, p := range problems {
		if !slices.Contains(files, p.File) {
			files = append(files, p.File)
		}
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)), cmp.Compare(a.Line, b.Line))
	})
	return problems
}
