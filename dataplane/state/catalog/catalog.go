// Package catalog is what a database's catalogue says of the names that statements use: which of them reach code that may leave something on a server connection. It never asks a server; package lookup does, and publishes here.
package catalog

import "github.com/heliosproxy/heliosproxy/pkg/sqlparse"

// Reach is what a statement can reach.
type Reach uint8

// What a statement can reach.
const (
	// Suspect: code that may leave something on the server connection, or that is not known.
	Suspect Reach = 1 << iota
	// Sequences: it may advance a sequence, which currval and lastval answer from then on.
	Sequences
	// Sessions: it may read what the session alone has: currval, lastval.
	Sessions
)

// Judge says what statements can reach in one database. Any thread may use it.
type Judge interface {
	// Judge says what a text with those facts, nil for one that the grammar does not understand, can reach. epoch
	// changes whenever the same question may have another answer: a verdict is good for as long as Epoch returns
	// what came with it.
	Judge(f *sqlparse.Facts) (reach Reach, epoch uint64)
	Epoch() uint64
	// Why says in words what makes a text suspect, for logs and reasons; it may be slow.
	Why(f *sqlparse.Facts) string
	// Parameters are the custom parameters that code in the database sets, as far as its source says. They are not the
	// caller's to change. ok is false while the catalogue is not known.
	Parameters() (names []string, ok bool)
	// Coming says, of a catalogue that is not known, whether it soon may be: it was not found to be unreadable.
	Coming() bool
	// Change is called before a statement is sent that may change the catalogue; the function that it returns after
	// that statement's transaction has ended, in whatever way. From the one until the catalogue was read again after
	// the other everything is suspect.
	Change() (done func())
}
