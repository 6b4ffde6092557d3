// Package store is where a control plane keeps what must not be lost: keys in order, read at a revision, changed by transactions that compare, watched from a revision on. It never knows what the values mean.
package store

import (
	"context"
	"errors"
	"fmt"
)

// Limits that every implementation holds, so that what works with one works with all. They are etcd's, with room to spare.
const (
	// MaxOps is the most conditions, and the most operations, of one transaction.
	MaxOps = 128
	// MaxTxnBytes is the most bytes of keys and values of one transaction.
	MaxTxnBytes = 1 << 20
)

// ErrUnavailable is that the store did not answer and that nothing was changed.
var ErrUnavailable = errors.New("the store is not available")

// ErrOutcomeUnknown is that the store did not answer whether a transaction was carried out.
var ErrOutcomeUnknown = errors.New("whether the store has carried the change out is not known")

// CompactedError is that a revision is no longer in the store's history.
type CompactedError struct {
	Revision int64 // the oldest revision that is; 0 if not known
}

// Error names the revision.
func (e *CompactedError) Error() string {
	return fmt.Sprintf("the store's history begins with revision %d", e.Revision)
}

// KV is a key and what it holds. Value is shared and never changed.
type KV struct {
	Key     string
	Value   []byte
	Created int64 // the revision that made the key
	Changed int64 // the revision that wrote it last
}

// Range asks for the keys with a prefix.
type Range struct {
	Prefix   string
	After    string // only keys after this one; empty begins with the first
	Limit    int    // at most so many keys; 0 is all
	Revision int64  // as they were then; 0 is now
	KeysOnly bool   // leave the values out
}

// Page is an answer to a [Range].
type Page struct {
	KVs      []KV  // in the order of their keys, bytewise
	More     bool  // there are keys after the last one
	Revision int64 // what was read; the next page of a whole is asked for at it
}

// Condition is what a transaction compares a key with. Exactly one of its meanings is used: with Changed
// the key was written last in that revision, or is absent where Changed is 0.
type Condition struct {
	Key     string
	Changed int64
}

// Op is one change of a transaction: Value is put at Key, or Key is deleted, or all keys that begin with Key are.
type Op struct {
	Key          string
	Value        []byte
	Delete       bool
	DeletePrefix bool
}

// Txn is a transaction. A key is changed by at most one of its operations.
type Txn struct {
	If   []Condition
	Then []Op
}

// Result says what became of a transaction.
type Result struct {
	Held     bool  // all conditions held, and all operations were carried out
	Revision int64 // the revision of the store after it; that of the changed keys if it was carried out
}

// Event is a change of a key.
type Event struct {
	KV      // of a deletion, Key and Changed only
	Deleted bool
}

// Batch is what a watch tells at once.
type Batch struct {
	// Events of whole revisions, in order. A revision is never split over batches.
	Events []Event
	// Revision is how far the watch has come: all events up to it were told. Without events it says that
	// the watch lives and missed nothing.
	Revision int64
}

// Store is what a control plane needs of a store. Several goroutines may use it at once.
//
// The errors of all methods wrap ErrUnavailable where the store did not answer, ctx's where that ended, and
// are a [*CompactedError] where a revision is too old.
type Store interface {
	// Name is "memory", "etcd" or "embedded".
	Name() string
	// List reads keys. It is linearizable unless a revision is given.
	List(ctx context.Context, r Range) (Page, error)
	// Commit carries a transaction out. It wraps ErrOutcomeUnknown where nobody can say whether it did, and
	// ErrUnavailable where it surely did not.
	Commit(ctx context.Context, t Txn) (Result, error)
	// Watch sends what happens to the keys with a prefix from a revision on, that revision included, until
	// ctx ends or the watch breaks: then the channel is closed. The function returned says why; it is called
	// after that. A batch without events comes at least every 10 seconds while the store is there, so that a
	// watch that hangs can be told from one on which nothing happens. The reader has to keep up: a slow one
	// holds the watch up, not the store.
	Watch(ctx context.Context, prefix string, from int64) (<-chan Batch, func() error)
	// Close lets go of the store. Calls that are under way end.
	Close() error
}

// Check refuses a transaction that is over the limits, or changes a key twice.
func (t Txn) Check() error {
	bytes, seen := 0, map[string]bool{}
	for _, op := range t.Then {
		bytes += len(op.Key) + len(op.Value)
		if seen[op.Key] {
			return fmt.Errorf("a transaction changes %s twice: %w", op.Key, ErrUnavailable)
		}
		seen[op.Key] = true
	}
	if len(t.If) > MaxOps || len(t.Then) > MaxOps || bytes > MaxTxnBytes {
		return fmt.Errorf("a transaction of %d conditions, %d operations and %d bytes is too large: %w", len(t.If), len(t.Then), bytes, ErrUnavailable)
	}
	return nil
}
