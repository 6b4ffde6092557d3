package mirror

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/storetest"
)

// truth is what a store has really done, written down by who did it.
type truth struct {
	store.Store
	prefix string

	mu      sync.Mutex
	events  map[int64]map[string]store.Event // by revision and key
	watched []int64                          // from where
}

func newTruth(s store.Store, prefix string) *truth {
	return &truth{Store: s, prefix: prefix, events: map[int64]map[string]store.Event{}}
}

// Watch implements [store.Store].
func (h *truth) Watch(ctx context.Context, prefix string, from int64) (<-chan store.Batch, func() error) {
	h.mu.Lock()
	h.watched = append(h.watched, from)
	h.mu.Unlock()
	return h.Store.Watch(ctx, prefix, from)
}

// Compact implements [storetest.Compacter].
func (h *truth) Compact(ctx context.Context, revision int64) error {
	return h.Store.(storetest.Compacter).Compact(ctx, revision)
}

// commit carries operations out, of which none deletes a prefix, and writes them down. One commit is under way
// at a time, so that what is there before is known.
func (h *truth) commit(t testing.TB, ops ...store.Op) int64 {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	before := map[string]bool{}
	page, err := h.Store.List(context.Background(), store.Range{Prefix: h.prefix, KeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range page.KVs {
		before[kv.Key] = true
	}
	r, err := h.Store.Commit(context.Background(), store.Txn{Then: ops})
	if err != nil || !r.Held {
		t.Fatalf("commit: %+v, %v", r, err)
	}
	for _, op := range ops {
		if !strings.HasPrefix(op.Key, h.prefix) || op.Delete && !before[op.Key] {
			continue
		}
		if h.events[r.Revision] == nil {
			h.events[r.Revision] = map[string]store.Event{}
		}
		h.events[r.Revision][op.Key] = store.Event{KV: store.KV{Key: op.Key, Value: op.Value, Changed: r.Revision}, Deleted: op.Delete}
	}
	return r.Revision
}

// at is what every key held at a revision.
func (h *truth) at(revision int64) map[string]store.KV {
	h.mu.Lock()
	defer h.mu.Unlock()
	kvs := map[string]store.KV{}
	for r := int64(0); r <= revision; r++ {
		for key, e := range h.events[r] {
			if e.Deleted {
				delete(kvs, key)
				continue
			}
			kvs[key] = e.KV
		}
	}
	return kvs
}

// A validator says what is wrong with the views that a mirror had, one after the other. They are etcd's own for
// what a watch tells, said of views.
type validator struct {
	name  string
	check func(*truth, []*View) error
}

func validators() []validator {
	return []validator{
		{"ordered", ordered},
		{"unique", unique},
		{"atomic", whole},
		{"reliable", reliable},
		{"resumable", resumable},
		{"filtered", filtered},
	}
}

// ordered: no view is of an older revision than the one before, and its keys are in order.
func ordered(_ *truth, views []*View) error {
	for i, v := range views {
		if i > 0 && v.Revision < views[i-1].Revision {
			return fmt.Errorf("revision %d comes after %d", v.Revision, views[i-1].Revision)
		}
		for k := 1; k < len(v.kvs); k++ {
			if v.kvs[k].Key <= v.kvs[k-1].Key {
				return fmt.Errorf("revision %d: %s comes after %s", v.Revision, v.kvs[k].Key, v.kvs[k-1].Key)
			}
		}
	}
	return nil
}

// unique: one revision has one content.
func unique(_ *truth, views []*View) error {
	for i, v := range views {
		if i > 0 && v.Revision == views[i-1].Revision && len(v.Since(views[i-1])) > 0 {
			return fmt.Errorf("revision %d is there twice and differs in %+v", v.Revision, v.Since(views[i-1]))
		}
	}
	return nil
}

// atomic: of every revision that a view has seen a part of, it has seen the whole.
func whole(h *truth, views []*View) error {
	for _, v := range views {
		seen := map[int64]bool{}
		for _, kv := range v.kvs {
			seen[kv.Changed] = true
		}
		h.mu.Lock()
		for r, events := range h.events {
			if !seen[r] {
				continue
			}
			for key, e := range events {
				kv, there := v.Get(key)
				if e.Deleted && there && kv.Changed < r || !e.Deleted && (!there && v.Revision == r || there && kv.Changed < r) {
					h.mu.Unlock()
					return fmt.Errorf("the view of revision %d has a part of revision %d, but not %s", v.Revision, r, key)
				}
			}
		}
		h.mu.Unlock()
	}
	return nil
}

// reliable: a view is all that was done up to its revision, nothing left out.
func reliable(h *truth, views []*View) error {
	for _, v := range views {
		want := h.at(v.Revision)
		for key, kv := range want {
			got, ok := v.Get(key)
			if !ok || got.Changed != kv.Changed || !bytes.Equal(got.Value, kv.Value) {
				return fmt.Errorf("the view of revision %d has %s as %q of %d, want %q of %d", v.Revision, key, got.Value, got.Changed, kv.Value, kv.Changed)
			}
		}
		for _, kv := range v.kvs {
			if _, ok := want[kv.Key]; !ok {
				return fmt.Errorf("the view of revision %d has %s of %d, which was deleted", v.Revision, kv.Key, kv.Changed)
			}
		}
	}
	return nil
}

// resumable: every watch begins right after a view that there was.
func resumable(h *truth, views []*View) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, from := range h.watched {
		if !slices.ContainsFunc(views, func(v *View) bool { return v.Revision == from-1 }) {
			return fmt.Errorf("a watch begins at %d, and no view is of the revision before", from)
		}
	}
	return nil
}

// filtered: there is nothing in a view that the mirror was not asked for.
func filtered(h *truth, views []*View) error {
	for _, v := range views {
		for _, kv := range v.kvs {
			if !strings.HasPrefix(kv.Key, h.prefix) {
				return fmt.Errorf("the view of revision %d has %s", v.Revision, kv.Key)
			}
		}
	}
	return nil
}

// TestValidators plants a fault each in an honest history; the validator of its name has to find it.
func TestValidators(t *testing.T) {
	kv := func(key string, changed int64) store.KV { return store.KV{Key: key, Changed: changed} }
	h := &truth{prefix: "/", events: map[int64]map[string]store.Event{
		2: {"/a": {KV: kv("/a", 2)}, "/b": {KV: kv("/b", 2)}},
		3: {"/a": {KV: kv("/a", 3)}, "/c": {KV: kv("/c", 3)}},
		4: {"/a": {KV: store.KV{Key: "/a", Changed: 4}, Deleted: true}},
	}}
	honest := []*View{
		{2, []store.KV{kv("/a", 2), kv("/b", 2)}},
		{3, []store.KV{kv("/a", 3), kv("/b", 2), kv("/c", 3)}},
		{4, []store.KV{kv("/b", 2), kv("/c", 3)}},
	}
	for _, v := range validators() {
		if err := v.check(h, honest); err != nil {
			t.Errorf("%s: an honest history: %v", v.name, err)
		}
	}
	h.watched = []int64{5}
	for name, planted := range map[string][]*View{
		"ordered":   {honest[1], honest[0]},
		"unique":    {honest[0], {2, []store.KV{kv("/a", 2)}}},
		"atomic":    {{3, []store.KV{kv("/a", 3), kv("/b", 2)}}},
		"reliable":  {{4, []store.KV{kv("/a", 3), kv("/b", 2), kv("/c", 3)}}},
		"resumable": {honest[0]},
		"filtered":  {{2, []store.KV{kv("elsewhere", 2)}}},
	} {
		for _, v := range validators() {
			if v.name == name && v.check(h, planted) == nil {
				t.Errorf("%s: the planted fault is not found", name)
			}
		}
	}
}
