package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

func watches() []Check {
	return []Check{
		{"watch from the past", watchPast},
		{"watch what comes", watchLive},
		{"watch under load", watchLoad},
		{"progress", progress},
	}
}

func endings() []Check {
	return []Check{
		{"cancelled", cancelled},
		{"closed", closed},
	}
}

// watchPast: a watch tells all since a revision, that included, of its prefix alone, with several changes of
// one revision together.
func watchPast(ctx context.Context, t T, s store.Store) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	commit(ctx, t, s, put("/w/a", "0"))
	from := commit(ctx, t, s, put("/w/a", "1"), put("/w/b", "1"), put("/x/a", "1"))
	commit(ctx, t, s, put("/x/a", "2"))
	commit(ctx, t, s, del("/w/a"))
	last := commit(ctx, t, s, put("/w/c", "3"), store.Op{Key: "/w/b", DeletePrefix: true})
	batches, why := s.Watch(ctx, "/w/", from)
	same(t, "from the past", told(sortRevisions(follow(t, batches, why, from, last))), "| /w/a=1 /w/b=1 | -/w/a | -/w/b /w/c=3 ")
	batches, why = s.Watch(ctx, "/w/", last)
	same(t, "from the last revision", told(sortRevisions(follow(t, batches, why, last, last))), "| -/w/b /w/c=3 ")
}

// watchLive: what is written while a watch is there is told, to several watches at once.
func watchLive(ctx context.Context, t T, s store.Store) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	start := commit(ctx, t, s, put("/v/0", "x"))
	all, whyAll := s.Watch(ctx, "/v/", start+1)
	some, whySome := s.Watch(ctx, "/v/b/", start+1)
	next := start + 1
	for i := range 5 {
		a := commit(ctx, t, s, put("/v/a/k", fmt.Sprint(i)))
		b := commit(ctx, t, s, put("/v/b/k", fmt.Sprint(i)))
		same(t, "all", told(follow(t, all, whyAll, next, b)), fmt.Sprintf("| /v/a/k=%d | /v/b/k=%d ", i, i))
		same(t, "some", told(follow(t, some, whySome, next, b)), fmt.Sprintf("| /v/b/k=%d ", i))
		next = max(a, b) + 1
	}
}

// watchLoad: while many write at once, a watch that begins in the middle tells every revision once, in
// order, and whole.
func watchLoad(ctx context.Context, t T, s store.Store) {
	const writers, rounds, keys = 4, 40, 3
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	start := commit(ctx, t, s, put("/u/0", "x"))
	revisions := make([][]int64, writers)
	failed := make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range rounds {
				var ops []store.Op
				for k := range keys {
					ops = append(ops, put(fmt.Sprintf("/u/%d/%d", w, k), fmt.Sprint(i)))
				}
				r, err := s.Commit(ctx, store.Txn{Then: ops})
				if err != nil {
					failed[w] = err
					return
				}
				revisions[w] = append(revisions[w], r.Revision)
			}
		})
	}
	batches, why := s.Watch(ctx, "/u/", start+1)
	all.Wait()
	want := map[int64]bool{}
	last := start
	for w := range writers {
		if failed[w] != nil {
			t.Fatalf("writer %d: %v", w, failed[w])
		}
		for _, r := range revisions[w] {
			want[r], last = true, max(last, r)
		}
	}
	events := follow(t, batches, why, start+1, last)
	for len(events) > 0 {
		if len(events) < keys || events[keys-1].Changed != events[0].Changed {
			t.Fatalf("revision %d was not told whole: %s", events[0].Changed, told(events[:min(keys, len(events))]))
		}
		if !want[events[0].Changed] {
			t.Fatalf("revision %d was told, and nobody has made it or it was told before", events[0].Changed)
		}
		delete(want, events[0].Changed)
		events = events[keys:]
	}
	if len(want) > 0 {
		t.Fatalf("%d revisions were not told", len(want))
	}
}

// progress: a watch on which nothing happens says that it lives, and how far it has come.
func progress(ctx context.Context, t T, s store.Store) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	start := commit(ctx, t, s, put("/n/a", "1"))
	batches, why := s.Watch(ctx, "/n/", start+1)
	other := commit(ctx, t, s, put("/m/a", "1"))
	if events := follow(t, batches, why, start+1, other); len(events) > 0 {
		t.Fatalf("the watch tells %s", told(events))
	}
	for range 2 {
		select {
		case b, ok := <-batches:
			if !ok || len(b.Events) > 0 || b.Revision < other {
				t.Fatalf("got %+v", b)
			}
		case <-time.After(signOfLife):
			t.Fatalf("no sign of life for %v", signOfLife)
		}
	}
}

// cancelled: a call and a watch whose context ends, end with its error.
func cancelled(ctx context.Context, t T, s store.Store) {
	start := commit(ctx, t, s, put("/e/a", "1"))
	ctx, stop := context.WithCancel(ctx)
	quiet, whyQuiet := s.Watch(ctx, "/e/", start+1)
	unread, whyUnread := s.Watch(ctx, "/e/", start)
	stop()
	ends(t, quiet)
	ends(t, unread)
	if err := whyQuiet(); !errors.Is(err, context.Canceled) {
		t.Fatalf("the quiet watch ended with %v", err)
	}
	if err := whyUnread(); !errors.Is(err, context.Canceled) {
		t.Fatalf("the watch that nobody read ended with %v", err)
	}
	if _, err := s.List(ctx, store.Range{Prefix: "/e/"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("list: %v", err)
	}
	if _, err := s.Commit(ctx, store.Txn{Then: []store.Op{put("/e/a", "2")}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("commit: %v", err)
	}
}

// closed: a store that is closed ends its watches, refuses everything, and can be closed again.
func closed(ctx context.Context, t T, s store.Store) {
	start := commit(ctx, t, s, put("/z/a", "1"))
	quiet, why := s.Watch(ctx, "/z/", start+1)
	unread, _ := s.Watch(ctx, "/z/", start)
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	ends(t, quiet)
	ends(t, unread)
	if err := why(); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("the watch ended with %v", err)
	}
	if _, err := s.List(ctx, store.Range{Prefix: "/z/"}); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("list: %v", err)
	}
	if _, err := s.Commit(ctx, store.Txn{Then: []store.Op{put("/z/a", "2")}}); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("commit: %v", err)
	}
	late, why := s.Watch(ctx, "/z/", start)
	ends(t, late)
	if err := why(); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("a watch of a closed store ended with %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close again: %v", err)
	}
}

// ends reads a watch until it has ended.
func ends(t T, batches <-chan store.Batch) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case _, ok := <-batches:
			if !ok {
				return
			}
		case <-late.C:
			t.Fatalf("the watch has not ended after %v", patience)
		}
	}
}
