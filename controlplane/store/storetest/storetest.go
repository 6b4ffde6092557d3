// Package storetest holds every store against what the interface promises: one suite of checks, and a store that lies, which the suite has to find out. It never looks inside a store.
package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

// patience bounds what should take a moment.
const patience = 10 * time.Second

// signOfLife is how long a watch may be silent. The interface allows more, but not to the stores of tests.
const signOfLife = 3 * time.Second

// T is what a check needs of a test.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Check is one promise. It is given a store without keys, and closes it if it likes.
type Check struct {
	Name string
	Run  func(ctx context.Context, t T, s store.Store)
}

// Compacter is what a store has to be beside a store.Store to be held against what is said of compaction.
type Compacter interface {
	Compact(ctx context.Context, revision int64) error
}

// Checks returns all checks.
func Checks() []Check {
	return slices.Concat(reads(), writes(), watches(), endings())
}

// Run runs all checks, each with a store of its own. The stores are set to say every second, or more often,
// that a watch lives.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			s := open(t)
			ctx, stop := context.WithTimeout(t.Context(), 2*patience)
			defer stop()
			c.Run(ctx, t, s)
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// put is an operation.
func put(key, value string) store.Op { return store.Op{Key: key, Value: []byte(value)} }

// del is an operation.
func del(key string) store.Op { return store.Op{Key: key, Delete: true} }

// commit carries operations out and returns the revision.
func commit(ctx context.Context, t T, s store.Store, ops ...store.Op) int64 {
	t.Helper()
	r, err := s.Commit(ctx, store.Txn{Then: ops})
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	if !r.Held || r.Revision == 0 {
		t.Fatalf("commit without conditions: %+v", r)
	}
	return r.Revision
}

// list reads one page.
func list(ctx context.Context, t T, s store.Store, r store.Range) store.Page {
	t.Helper()
	p, err := s.List(ctx, r)
	if err != nil {
		t.Fatalf("list %+v: %v", r, err)
	}
	return p
}

// one reads a key that begins no other.
func one(ctx context.Context, t T, s store.Store, key string) store.KV {
	t.Helper()
	p := list(ctx, t, s, store.Range{Prefix: key})
	if len(p.KVs) != 1 {
		t.Fatalf("%s is there %d times", key, len(p.KVs))
	}
	return p.KVs[0]
}

// whole reads all pages at one revision.
func whole(ctx context.Context, t T, s store.Store, r store.Range) []store.KV {
	t.Helper()
	var all []store.KV
	for {
		p := list(ctx, t, s, r)
		all = append(all, p.KVs...)
		if !p.More {
			return all
		}
		if len(p.KVs) == 0 {
			t.Fatalf("an empty page has more after it")
		}
		r.After, r.Revision = p.KVs[len(p.KVs)-1].Key, p.Revision
	}
}

// text is keys and values, for comparisons.
func text(kvs []store.KV) string {
	out := ""
	for _, kv := range kvs {
		out += kv.Key + "=" + string(kv.Value) + " "
	}
	return out
}

// same fails unless two texts are.
func same(t T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

// told is events, for comparisons: one revision is what stands between bars.
func told(events []store.Event) string {
	out, last := "", int64(0)
	for _, e := range events {
		if e.Changed != last {
			out, last = out+"| ", e.Changed
		}
		if e.Deleted {
			out += "-" + e.Key + " "
			continue
		}
		out += e.Key + "=" + string(e.Value) + " "
	}
	return out
}

// follow collects what a watch tells until it has come to a revision. It fails where a batch breaks the
// promises that hold for every batch.
func follow(t T, batches <-chan store.Batch, why func() error, from, to int64) []store.Event {
	t.Helper()
	var all []store.Event
	told := from - 1
	late := time.NewTimer(patience)
	defer late.Stop()
	for told < to {
		select {
		case b, ok := <-batches:
			if !ok {
				t.Fatalf("the watch ended: %v", why())
			}
			if err := sound(b, told); err != nil {
				t.Fatalf("%v in %+v", err, b)
			}
			all = append(all, b.Events...)
			told = b.Revision
		case <-late.C:
			t.Fatalf("the watch has come to %d and not to %d after %v", told, to, patience)
		}
	}
	return all
}

// sound says what is wrong with a batch by itself, after all up to a revision was told.
func sound(b store.Batch, told int64) error {
	last := told + 1
	if b.Revision < told {
		return fmt.Errorf("the watch went back from revision %d to %d", told, b.Revision)
	}
	for _, e := range b.Events {
		if e.Changed < last {
			return fmt.Errorf("%s of revision %d comes after revision %d", e.Key, e.Changed, last)
		}
		if e.Changed > b.Revision {
			return fmt.Errorf("%s of revision %d is beyond the batch", e.Key, e.Changed)
		}
		if e.Deleted && (e.Value != nil || e.Created != 0) {
			return fmt.Errorf("the deletion of %s has more than key and revision", e.Key)
		}
		last = e.Changed
	}
	return nil
}

// sortRevisions puts the events of each revision in the order of their keys: among themselves they have none.
func sortRevisions(events []store.Event) []store.Event {
	slices.SortStableFunc(events, func(a, b store.Event) int {
		return cmp.Or(cmp.Compare(a.Changed, b.Changed), strings.Compare(a.Key, b.Key))
	})
	return events
}
