package rollout_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/mirror"
	"github.com/heliosproxy/heliosproxy/controlplane/rollout"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/memory"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const group = keyspace.Group("g")

// counting counts the bytes that are written to parts.
type counting struct {
	store.Store
	written int
}

func (c *counting) Commit(ctx context.Context, t store.Txn) (store.Result, error) {
	for _, op := range t.Then {
		if strings.HasPrefix(op.Key, group.Parts()) {
			c.written += len(op.Value)
		}
	}
	return c.Store.Commit(ctx, t)
}

// on makes the releases of a store; follow waits until they have seen everything.
func on(t *testing.T, s store.Store) (r *rollout.Releases, follow func()) {
	t.Helper()
	m := mirror.New(mirror.Options{Store: s, Prefix: group.Releases(), Log: zap.NewNop()})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	r = rollout.New(rollout.Options{Store: s, Group: group, Log: zap.NewNop(), Now: time.Now, View: func() (rollout.View, bool) {
		v := m.Current()
		return v, v != nil
	}})
	follow = func() {
		t.Helper()
		page, err := s.List(ctx, store.Range{Prefix: group.Releases(), Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.WaitFor(ctx, page.Revision); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	return r, follow
}

func content(t *testing.T, n int, first string) *release.Content {
	t.Helper()
	var items []*heliosv1.Item
	for i := range n {
		p := []byte(fmt.Sprintf("%0*d", 1000, i))
		if i == n/2 {
			p = []byte(first)
		}
		items = append(items, &heliosv1.Item{Kind: "User", Name: fmt.Sprintf("u%06d", i), Payload: p})
	}
	c, err := release.New(items)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func publish(t *testing.T, r *rollout.Releases, follow func(), c *release.Content) uint64 {
	t.Helper()
	n, held, err := r.Publish(t.Context(), c, 1)
	if err != nil || !held {
		t.Fatal(held, err)
	}
	follow()
	return n
}

// TestPublishAndLoad: a release is what was published, also for a control plane that has just started; the same
// content makes no new one; a small change of a large content is a small write.
func TestPublishAndLoad(t *testing.T) {
	s := &counting{Store: memory.New()}
	r, follow := on(t, s)
	one, two := content(t, 4000, "one"), content(t, 4000, "two")
	if n := publish(t, r, follow, one); n != 1 {
		t.Errorf("release %d", n)
	}
	head, _ := r.Head()
	if n := publish(t, r, follow, one); n != 1 {
		t.Errorf("the same content is release %d", n)
	}
	if again, _ := r.Head(); again != head {
		t.Errorf("the head has moved from %v to %v", head, again)
	}
	before := s.written
	publish(t, r, follow, two)
	if grown := s.written - before; grown > 512<<10 || before < 4_000_000 {
		t.Errorf("%d bytes, and %d for a change of one resource", before, grown)
	}
	fresh, _ := on(t, s)
	for number, want := range map[uint64]*release.Content{1: one, 2: two} {
		m, err := fresh.Manifest(number)
		if err != nil || m == nil {
			t.Fatal(m, err)
		}
		if got, err := fresh.Load(t.Context(), m); err != nil || got.Hash() != want.Hash() {
			t.Errorf("release %d: %v", number, err)
		}
	}
	if m, err := fresh.Manifest(3); m != nil || err != nil {
		t.Errorf("%v, %v", m, err)
	}
}

// TestOneWins: of two who publish on the same head one is told that the other was faster.
func TestOneWins(t *testing.T) {
	s := memory.New()
	a, followA := on(t, s)
	publish(t, a, followA, content(t, 1, "x"))
	lagging := rollout.New(rollout.Options{Store: s, Group: group, Log: zap.NewNop(), Now: time.Now, View: func() (rollout.View, bool) { return nothing{}, true }})
	if _, held, err := lagging.Publish(t.Context(), content(t, 1, "y"), 2); held || err != nil {
		t.Errorf("%v, %v", held, err)
	}
	if h, _ := a.Head(); h.Number != 1 {
		t.Errorf("the head is %v", h)
	}
}

// nothing is a view of a store that was empty when it was read.
type nothing struct{}

func (nothing) Get(string) (store.KV, bool)        { return store.KV{}, false }
func (nothing) Ascend(string, func(store.KV) bool) {}

// TestSweep: old releases and the parts that only they have go, what is kept can be loaded, and who relies on
// parts that were swept meanwhile has to begin again.
func TestSweep(t *testing.T) {
	s := memory.New()
	r, follow := on(t, s)
	for i := range 30 {
		publish(t, r, follow, content(t, 300, fmt.Sprint(i)))
		if err := r.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		follow()
	}
	kept, err := r.List()
	if err != nil || len(kept) != 20 || kept[0].GetNumber() != 30 {
		t.Fatalf("%d are kept, %v", len(kept), err)
	}
	fresh, _ := on(t, s)
	parts := map[string]bool{}
	for _, m := range kept {
		if _, err := fresh.Load(t.Context(), m); err != nil {
			t.Error(err)
		}
		for _, p := range m.GetParts() {
			parts[p] = true
		}
	}
	page, err := s.List(t.Context(), store.Range{Prefix: group.Parts(), KeysOnly: true})
	if err != nil || len(page.KVs) != len(parts) {
		t.Errorf("%d parts for %d that are used, %v", len(page.KVs), len(parts), err)
	}
	// Somebody who has read the store before a sweep relies on what that removes.
	stale, _ := on(t, s)
	if _, err := s.Commit(t.Context(), store.Txn{Then: []store.Op{{Key: group.Sweep()}}}); err != nil {
		t.Fatal(err)
	}
	if _, held, err := stale.Publish(t.Context(), content(t, 3, "new"), 1); err != nil || held {
		follow() // the mirror may have been fast enough to see the sweep
		if h, _ := r.Head(); h.Number != 31 {
			t.Errorf("%v, %v, head %v", held, err, h)
		}
	}
}

// TestDamaged: a part that is not what its key says is noticed.
func TestDamaged(t *testing.T) {
	s := memory.New()
	r, follow := on(t, s)
	publish(t, r, follow, content(t, 3, "x"))
	m, _ := r.Manifest(1)
	for what, op := range map[string]store.Op{"has the hash": {Value: []byte("junk")}, "is missing": {Delete: true}} {
		op.Key = group.Part(m.GetParts()[0])
		if _, err := s.Commit(t.Context(), store.Txn{Then: []store.Op{op}}); err != nil {
			t.Fatal(err)
		}
		fresh, _ := on(t, s)
		if _, err := fresh.Load(t.Context(), m); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
