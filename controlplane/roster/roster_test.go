package roster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/mirror"
	"github.com/heliosproxy/heliosproxy/controlplane/roster"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/memory"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const group = keyspace.Group("g")

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1e9, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// replica is the roster of a control plane on a store.
func replica(t *testing.T, s store.Store, c *clock) (*roster.Roster, *mirror.Mirror) {
	t.Helper()
	m := mirror.New(mirror.Options{Store: s, Prefix: group.Numbers(), Log: zap.NewNop()})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return roster.New(roster.Options{Store: s, Group: group, Mirror: m, Now: c.Now}), m
}

func join(t *testing.T, r *roster.Roster, node, address string) uint32 {
	t.Helper()
	n, err := r.Join(t.Context(), node, address)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// settle waits until the mirrors know what the store has.
func settle(t *testing.T, s store.Store, all ...*mirror.Mirror) {
	t.Helper()
	page, err := s.List(t.Context(), store.Range{Prefix: group.Numbers(), Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if err := m.WaitFor(t.Context(), page.Revision); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJoin: numbers stay with the node id over restarts of proxies and of control planes, and all control planes say the same.
func TestJoin(t *testing.T) {
	s, c := memory.New(), newClock()
	a, ma := replica(t, s, c)
	if join(t, a, "x", "10.0.0.1:1") != 1 || join(t, a, "y", "") != 2 || join(t, a, "x", "10.0.0.1:1") != 1 {
		t.Error("the first two have not got the first two numbers, each its own")
	}
	b, mb := replica(t, s, c) // it knows nothing but what is in the store
	if join(t, b, "y", "10.0.0.2:1") != 2 || join(t, b, "z", "10.0.0.3:1") != 3 || join(t, a, "z", "10.0.0.3:2") != 3 {
		t.Error("another control plane gives other numbers")
	}
	settle(t, s, ma, mb)
	want := &heliosv1.Peers{YourNumber: 1, Peers: []*heliosv1.Peer{
		{Number: 2, NodeId: "y", Address: "10.0.0.2:1"}, {Number: 3, NodeId: "z", Address: "10.0.0.3:2"},
	}}
	for _, r := range []*roster.Roster{a, b} {
		if got := r.Peers(1); !proto.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// meeting is a store at which each of two that read for the first time waits until the other one has read too, so that both know the same when they write.
type meeting struct {
	store.Store
	both sync.WaitGroup
	once [2]sync.Once
}

// side is the store as one of the two sees it.
type side struct {
	*meeting
	i int
}

func (s side) List(ctx context.Context, r store.Range) (store.Page, error) {
	page, err := s.Store.List(ctx, r)
	s.once[s.i].Do(func() {
		s.both.Done()
		s.both.Wait()
	})
	return page, err
}

// TestTogether: of two control planes that give a number at the same moment, having read the same, none gives one that another proxy has, or
// a second one to a proxy.
func TestTogether(t *testing.T) {
	for name, nodes := range map[string][2]string{"two proxies": {"x", "y"}, "one proxy": {"x", "x"}} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			m := &meeting{Store: memory.New()}
			m.both.Add(2)
			var got [2]uint32
			var all sync.WaitGroup
			for i, node := range nodes {
				_, at := replica(t, m.Store, c)
				r := roster.New(roster.Options{Store: side{m, i}, Group: group, Mirror: at, Now: c.Now})
				all.Go(func() {
					n, err := r.Join(t.Context(), node, "10.0.0.1:1")
					if err != nil {
						t.Error(err)
					}
					got[i] = n
				})
			}
			all.Wait()
			if got[0] == 0 || got[1] == 0 || (got[0] == got[1]) != (nodes[0] == nodes[1]) {
				t.Errorf("%v have the numbers %v", nodes, got)
			}
		})
	}
}

// TestMany: of many proxies that come at once, each to two control planes, each gets one number and nobody another's, and none is left out.
func TestMany(t *testing.T) {
	s, c := memory.New(), newClock()
	a, _ := replica(t, s, c)
	b, _ := replica(t, s, c)
	var mu sync.Mutex
	got := map[string][]uint32{}
	var all sync.WaitGroup
	for i := range 40 {
		for _, r := range []*roster.Roster{a, b} {
			all.Go(func() {
				node := fmt.Sprint("node", i)
				n, err := r.Join(t.Context(), node, "10.0.0.1:1")
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[node] = append(got[node], n)
			})
		}
	}
	all.Wait()
	var numbers []uint32
	for node, ns := range got {
		if len(ns) != 2 || ns[0] != ns[1] {
			t.Errorf("%s has numbers %v", node, ns)
		}
		numbers = append(numbers, ns[0])
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != uint32(i+1) {
			t.Fatalf("the numbers are %v", numbers)
		}
	}
}

// TestPresent: others are told of whoever was seen within a day of the last one, and the note is written anew once an hour.
func TestPresent(t *testing.T) {
	s, c := memory.New(), newClock()
	r, m := replica(t, s, c)
	join(t, r, "x", "10.0.0.1:1")
	join(t, r, "gone", "10.0.0.2:1")
	settle(t, s, m)
	revision := m.Current().Revision
	c.pass(59 * time.Minute)
	join(t, r, "x", "10.0.0.1:1")
	settle(t, s, m)
	if m.Current().Revision != revision {
		t.Error("a note was written that is no news")
	}
	c.pass(100 * time.Hour) // nobody was seen: the control plane was away
	if got := r.Peers(1); len(got.GetPeers()) != 1 {
		t.Errorf("told of %v", got)
	}
	join(t, r, "x", "10.0.0.1:1")
	settle(t, s, m)
	if got := r.Peers(1); len(got.GetPeers()) != 0 {
		t.Errorf("told of %v", got)
	}
	if join(t, r, "new", "") != 3 || join(t, r, "gone", "10.0.0.2:1") != 2 {
		t.Error("who was away has not kept the number")
	}
}

// TestFull: with all numbers taken the next proxy is refused with words, until one was not seen for long. That one gets another number if it comes back.
func TestFull(t *testing.T) {
	s, c := memory.New(), newClock()
	const most = 16383
	for from := 1; from <= most; from += 100 {
		var ops []store.Op
		for n := from; n < min(from+100, most+1); n++ {
			seen := c.Now().Add(24 * time.Hour)
			if n == 777 {
				seen = c.Now()
			}
			b, err := proto.Marshal(&heliosv1.StoredPeer{NodeId: fmt.Sprint("old", n), Seen: timestamppb.New(seen)})
			if err != nil {
				t.Fatal(err)
			}
			ops = append(ops, store.Op{Key: group.Peer(uint32(n)), Value: b})
		}
		if _, err := s.Commit(t.Context(), store.Txn{Then: ops}); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := replica(t, s, c)
	var full *roster.FullError
	for range 2 {
		if n, err := r.Join(t.Context(), "new", ""); !errors.As(err, &full) || n != 0 {
			t.Fatalf("got %d, %v", n, err)
		}
		c.pass(29 * 24 * time.Hour)
	}
	c.pass(24 * time.Hour)
	if n := join(t, r, "new", ""); n != 777 {
		t.Errorf("got %d", n)
	}
	if n, err := r.Join(t.Context(), "old777", ""); err == nil && n == 777 {
		t.Error("a number has two proxies")
	}
}
