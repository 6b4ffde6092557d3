package stock

import (
	"bytes"
	"iter"
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
)

// Unsure is a statement that was parsed while what was set was not known. It stays on its server connection until the transaction is over:
// if what parsing reads is then as it was, it is known after all.
type Unsure struct {
	Statement *statement.Statement // nil for the unnamed one
	Unnamed   uint64               // its ID
	Moment    bool
	Under     *[]byte // what parsing read, as the server has said before
}

// Unsures are those of a transaction.
type Unsures []Unsure

// Add notes one. Of unnamed ones the one before is of no account any more.
func (us *Unsures) Add(u Unsure) {
	if u.Statement == nil {
		*us = slices.DeleteFunc(*us, func(u Unsure) bool { return u.Statement == nil })
	}
	*us = append(*us, u)
}

// Known yields those that were parsed under now, and forgets all: the others were parsed under something else, for good.
func (us *Unsures) Known(now []byte) iter.Seq[Unsure] {
	return func(yield func(Unsure) bool) {
		for _, u := range *us {
			if bytes.Equal(*u.Under, now) && !yield(u) {
				break
			}
		}
		*us = (*us)[:0]
	}
}
