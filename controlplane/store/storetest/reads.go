package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

func reads() []Check {
	return []Check{
		{"order", order},
		{"pages", pages},
		{"pages at one revision", pagesAtOneRevision},
		{"the past", past},
		{"prefixes", prefixes},
		{"compaction", compaction},
	}
}

// order: keys are in the order of their bytes, each with what was written, and when.
func order(ctx context.Context, t T, s store.Store) {
	first := commit(ctx, t, s, put("/o/b", "1"), put("/o/a/x", "2"), put("/o/a", "3"), put("/o/é", "4"), put("/o/Z", "5"), put("/o/a\x00", "6"))
	second := commit(ctx, t, s, put("/o/b", "7"))
	if second <= first {
		t.Fatalf("revision %d comes after %d", second, first)
	}
	p := list(ctx, t, s, store.Range{Prefix: "/o/"})
	same(t, "all", text(p.KVs), "/o/Z=5 /o/a=3 /o/a\x00=6 /o/a/x=2 /o/b=7 /o/é=4 ")
	if p.Revision < second || p.More {
		t.Fatalf("revision %d after %d, more %v", p.Revision, second, p.More)
	}
	for _, kv := range p.KVs {
		changed := first
		if kv.Key == "/o/b" {
			changed = second
		}
		if kv.Created != first || kv.Changed != changed {
			t.Fatalf("%s was created in %d and changed in %d, want %d and %d", kv.Key, kv.Created, kv.Changed, first, changed)
		}
	}
	for _, kv := range list(ctx, t, s, store.Range{Prefix: "/o/", KeysOnly: true}).KVs {
		if len(kv.Value) > 0 || kv.Changed == 0 {
			t.Fatalf("keys only: %+v", kv)
		}
	}
}

// pages: pages of every size make the whole, and only the last has no more after it.
func pages(ctx context.Context, t T, s store.Store) {
	const keys = 12
	var want string
	for i := range keys {
		commit(ctx, t, s, put(fmt.Sprintf("/p/%02d", i), "v"))
		want += fmt.Sprintf("/p/%02d=v ", i)
	}
	commit(ctx, t, s, put("/p0", "a neighbour"))
	for limit := range keys + 2 {
		same(t, fmt.Sprintf("pages of %d", limit), text(whole(ctx, t, s, store.Range{Prefix: "/p/", Limit: limit})), want)
	}
	if p := list(ctx, t, s, store.Range{Prefix: "/p/", After: "/p/07", Limit: 2}); text(p.KVs) != "/p/08=v /p/09=v " || !p.More {
		t.Fatalf("after /p/07: %s, more %v", text(p.KVs), p.More)
	}
	if p := list(ctx, t, s, store.Range{Prefix: "/p/", After: "/p/11"}); len(p.KVs) != 0 || p.More {
		t.Fatalf("after the last: %s, more %v", text(p.KVs), p.More)
	}
	if p := list(ctx, t, s, store.Range{Prefix: "/p/", After: "/a"}); len(p.KVs) != keys {
		t.Fatalf("after what is before the first: %s", text(p.KVs))
	}
}

// pagesAtOneRevision: what is written between two pages is in none of them.
func pagesAtOneRevision(ctx context.Context, t T, s store.Store) {
	commit(ctx, t, s, put("/q/1", "a"), put("/q/2", "a"), put("/q/3", "a"))
	p := list(ctx, t, s, store.Range{Prefix: "/q/", Limit: 1})
	commit(ctx, t, s, put("/q/2", "b"), del("/q/3"), put("/q/4", "b"))
	rest := list(ctx, t, s, store.Range{Prefix: "/q/", After: "/q/1", Revision: p.Revision})
	same(t, "the second page", text(rest.KVs), "/q/2=a /q/3=a ")
	if rest.Revision != p.Revision {
		t.Fatalf("the second page is of revision %d, want %d", rest.Revision, p.Revision)
	}
	same(t, "now", text(list(ctx, t, s, store.Range{Prefix: "/q/"}).KVs), "/q/1=a /q/2=b /q/4=b ")
}

// past: every revision can be read as it was; one that has not come cannot.
func past(ctx context.Context, t T, s store.Store) {
	at := map[int64]string{}
	at[commit(ctx, t, s, put("/h/k", "1"))] = "/h/k=1 "
	at[commit(ctx, t, s, put("/h/k", "2"), put("/h/l", "2"))] = "/h/k=2 /h/l=2 "
	at[commit(ctx, t, s, del("/h/k"))] = "/h/l=2 "
	last := commit(ctx, t, s, put("/h/k", "3"))
	at[last] = "/h/k=3 /h/l=2 "
	for revision, want := range at {
		same(t, fmt.Sprintf("revision %d", revision), text(list(ctx, t, s, store.Range{Prefix: "/h/", Revision: revision}).KVs), want)
	}
	if kv := one(ctx, t, s, "/h/k"); kv.Created != last {
		t.Fatalf("a key that was deleted and put again was created in %d, want %d", kv.Created, last)
	}
	if p, err := s.List(ctx, store.Range{Prefix: "/h/", Revision: last + 1000}); err == nil {
		t.Fatalf("a revision that has not come was read: %+v", p)
	}
}

// prefixes: a prefix is bytes, not a path, and is no pattern.
func prefixes(ctx context.Context, t T, s store.Store) {
	commit(ctx, t, s, put("a", "1"), put("a/b", "2"), put("ab", "3"), put("b", "4"), put("\xff\xff", "5"), put("\xff\xffa", "6"))
	for prefix, want := range map[string]string{
		"a": "a=1 a/b=2 ab=3 ", "a/": "a/b=2 ", "c": "", "\xff\xff": "\xff\xff=5 \xff\xffa=6 ",
		"": "a=1 a/b=2 ab=3 b=4 \xff\xff=5 \xff\xffa=6 ",
	} {
		same(t, fmt.Sprintf("prefix %q", prefix), text(list(ctx, t, s, store.Range{Prefix: prefix}).KVs), want)
	}
}

// compaction: what was before a revision is refused with the right error, to reads and to watches; what is
// there since can be read.
func compaction(ctx context.Context, t T, s store.Store) {
	c, ok := s.(Compacter)
	if !ok {
		t.Fatalf("store %s cannot be compacted by a test", s.Name())
	}
	first := commit(ctx, t, s, put("/c/k", "1"))
	second := commit(ctx, t, s, put("/c/k", "2"), put("/c/gone", "2"))
	third := commit(ctx, t, s, del("/c/gone"))
	if err := c.Compact(ctx, third); err != nil {
		t.Fatalf("compact: %v", err)
	}
	var compacted *store.CompactedError
	for _, revision := range []int64{first, second} {
		if _, err := s.List(ctx, store.Range{Prefix: "/c/", Revision: revision}); !errors.As(err, &compacted) {
			t.Fatalf("read at %d: %v", revision, err)
		}
	}
	batches, why := s.Watch(ctx, "/c/", first)
	for b := range batches {
		if len(b.Events) > 0 || b.Revision >= first {
			t.Fatalf("a watch from a compacted revision tells %+v", b)
		}
	}
	if err := why(); !errors.As(err, &compacted) || compacted.Revision != third {
		t.Fatalf("a watch from %d ended with %v, want that the history begins with %d", first, err, third)
	}
	same(t, "at the compacted revision", text(list(ctx, t, s, store.Range{Prefix: "/c/", Revision: third}).KVs), "/c/k=2 ")
	same(t, "now", text(list(ctx, t, s, store.Range{Prefix: "/c/"}).KVs), "/c/k=2 ")
	last := commit(ctx, t, s, put("/c/k", "3"))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	batches, why = s.Watch(ctx, "/c/", third+1)
	same(t, "the watch after it", told(follow(t, batches, why, third+1, last)), "| /c/k=3 ")
}
