package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/memory"
)

// verdict is a T that remembers that a check has failed.
type verdict struct{ words string }

func (*verdict) Helper() {}

func (v *verdict) Fatalf(format string, args ...any) {
	v.words = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failures runs all checks against a store and returns the names of those that fail, with their words.
func failures(t *testing.T, lie func(*Liar)) map[string]string {
	var mu sync.Mutex
	failed := map[string]string{}
	var all sync.WaitGroup
	for _, c := range Checks() {
		all.Go(func() {
			honest := memory.New()
			honest.Progress = 10 * time.Millisecond
			l := &Liar{Store: honest}
			lie(l)
			v := &verdict{}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.Run(ctx, v, l)
			}()
			<-done
			if v.words != "" {
				mu.Lock()
				defer mu.Unlock()
				failed[c.Name] = v.words
			}
		})
	}
	all.Wait()
	return failed
}

func TestHonest(t *testing.T) {
	if failed := failures(t, func(*Liar) {}); len(failed) > 0 {
		t.Errorf("an honest store fails: %v", failed)
	}
}

// TestLies plants a lie each and names a check that has to find it.
func TestLies(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lie   func(*Liar)
		found string // by this check at least
	}{
		{"splits a revision", func(l *Liar) {
			l.Batch = func(b store.Batch) []store.Batch {
				if len(b.Events) < 2 {
					return []store.Batch{b}
				}
				return []store.Batch{{Events: b.Events[:1], Revision: b.Events[0].Changed}, {Events: b.Events[1:], Revision: b.Revision}}
			}
		}, "watch from the past"},
		{"drops an event", func(l *Liar) {
			var n atomic.Int64
			l.Batch = func(b store.Batch) []store.Batch {
				if n.Add(int64(len(b.Events))) > 3 && len(b.Events) > 0 {
					b.Events = b.Events[1:]
					n.Add(-1000)
				}
				return []store.Batch{b}
			}
		}, "watch under load"},
		{"tells an event twice", func(l *Liar) {
			l.Batch = func(b store.Batch) []store.Batch {
				if len(b.Events) == 0 {
					return []store.Batch{b}
				}
				return []store.Batch{b, b}
			}
		}, "watch what comes"},
		{"reorders revisions", func(l *Liar) {
			l.Batch = func(b store.Batch) []store.Batch {
				b.Events = slices.Clone(b.Events)
				slices.Reverse(b.Events)
				return []store.Batch{b}
			}
		}, "watch from the past"},
		{"promises progress before the events", func(l *Liar) {
			l.Batch = func(b store.Batch) []store.Batch {
				return []store.Batch{{Revision: b.Revision}, b}
			}
		}, "watch from the past"},
		{"tells of other prefixes", func(l *Liar) {
			l.Batch = func(b store.Batch) []store.Batch {
				for i := range b.Events {
					b.Events = append(b.Events, store.Event{KV: store.KV{Key: "/elsewhere", Changed: b.Events[i].Changed}})
				}
				return []store.Batch{b}
			}
		}, "watch what comes"},
		{"is silent where nothing happens", func(l *Liar) {
			l.Batch = func(b store.Batch) []store.Batch {
				if len(b.Events) == 0 {
					return nil
				}
				return []store.Batch{b}
			}
		}, "progress"},
		{"serves a page of now", func(l *Liar) {
			s := l.Store
			l.Page = func(r store.Range, p store.Page, err error) (store.Page, error) {
				if r.Revision == 0 || err != nil {
					return p, err
				}
				stale := r.Revision
				r.Revision = 0
				p, err = s.List(context.Background(), r)
				p.Revision = stale
				return p, err
			}
		}, "pages at one revision"},
		{"serves a stale page", func(l *Liar) {
			s, before := l.Store, int64(0)
			l.Page = func(r store.Range, p store.Page, err error) (store.Page, error) {
				if r.Revision != 0 || err != nil {
					return p, err
				}
				r.Revision, before = before, p.Revision
				return s.List(context.Background(), r)
			}
		}, "conditions"},
		{"forgets that there is more", func(l *Liar) {
			l.Page = func(_ store.Range, p store.Page, err error) (store.Page, error) {
				p.More = false
				return p, err
			}
		}, "pages"},
		{"forgets the order", func(l *Liar) {
			l.Page = func(_ store.Range, p store.Page, err error) (store.Page, error) {
				slices.Reverse(p.KVs)
				return p, err
			}
		}, "order"},
		{"does not look at conditions", func(l *Liar) {
			l.Result = func(txn store.Txn, honest func(store.Txn) (store.Result, error)) (store.Result, error) {
				txn.If = nil
				return honest(txn)
			}
		}, "one of many wins"},
		{"makes a revision of each operation", func(l *Liar) {
			l.Result = func(txn store.Txn, honest func(store.Txn) (store.Result, error)) (r store.Result, err error) {
				if len(txn.If) > 0 || txn.Check() != nil {
					return honest(txn)
				}
				for _, op := range txn.Then {
					if r, err = honest(store.Txn{Then: []store.Op{op}}); err != nil {
						return r, err
					}
				}
				return r, nil
			}
		}, "watch under load"},
		{"says that a transaction over the limits has held", func(l *Liar) {
			l.Result = func(txn store.Txn, honest func(store.Txn) (store.Result, error)) (store.Result, error) {
				r, err := honest(txn)
				if err != nil {
					return store.Result{Held: true, Revision: 1}, nil
				}
				return r, nil
			}
		}, "limits"},
		{"does not know whether it refused", func(l *Liar) {
			l.Result = func(txn store.Txn, honest func(store.Txn) (store.Result, error)) (store.Result, error) {
				r, err := honest(txn)
				if err != nil {
					err = errors.Join(err, store.ErrOutcomeUnknown)
				}
				return r, err
			}
		}, "refusals"},
		{"hides a compaction", func(l *Liar) {
			l.End = func(err error) error {
				var compacted *store.CompactedError
				if errors.As(err, &compacted) {
					return store.ErrUnavailable
				}
				return err
			}
		}, "compaction"},
		{"ends a watch without a reason", func(l *Liar) {
			l.End = func(error) error { return nil }
		}, "closed"},
		{"is there after it was closed", func(l *Liar) {
			l.Page = func(_ store.Range, p store.Page, _ error) (store.Page, error) { return p, nil }
		}, "closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			failed := failures(t, tt.lie)
			if failed[tt.found] == "" {
				t.Errorf("check %q has not found it; found by %v", tt.found, failed)
			}
		})
	}
}
