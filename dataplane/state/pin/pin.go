// Package pin names the reasons for which a session keeps its server connection between transactions: what only that connection has, and what texts say of it. It never decides whether a session may.
package pin

import (
	"iter"
	"strings"
)

// Set is a set of reasons.
type Set uint16

// The reasons.
const (
	Temporary Set = 1 << iota // temporary tables and other objects of the schema pg_temp
	Cursor                    // a cursor WITH HOLD
	Lock                      // a session advisory lock
	Listen                    // LISTEN
	Prepared                  // PREPARE
	Moment                    // a named statement with a literal that was a moment when it was parsed
	Sequence                  // currval or lastval
	Lasting                   // what no reset undoes: setseed, LOAD, dblink connections, …
	Unknown                   // what was set could not be followed, or not be asked for
)

// Found are the reasons that are seen on the server connection itself: whether they hold is asked there.
const Found = Temporary | Cursor | Lock | Listen | Prepared

// Count is how many reasons there are.
const Count = 9

var reasons = [Count]struct{ label, words string }{
	{"temporary", "temporary objects"},
	{"cursor", "a cursor WITH HOLD"},
	{"lock", "a session advisory lock"},
	{"listen", "LISTEN"},
	{"prepared", "a statement of PREPARE"},
	{"moment", "a prepared statement with a moment in its text"},
	{"sequence", "currval or lastval"},
	{"lasting", "something that no reset undoes"},
	{"unknown", "something that could not be followed"},
}

// All yields each reason of the set with its place and its label in metrics.
func (s Set) All() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for i := range reasons {
			if s&(1<<i) != 0 && !yield(i, reasons[i].label) {
				return
			}
		}
	}
}

// Every is the set of all reasons.
const Every Set = 1<<Count - 1

// String says what a session has by these reasons, in words.
func (s Set) String() string {
	var words []string
	for i := range s.All() {
		words = append(words, reasons[i].words)
	}
	return strings.Join(words, ", ")
}
