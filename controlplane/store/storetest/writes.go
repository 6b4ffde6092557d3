package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

func writes() []Check {
	return []Check{
		{"conditions", conditions},
		{"deletions", deletions},
		{"limits", limits},
		{"refusals", refusals},
		{"one of many wins", oneWins},
	}
}

// conditions: a transaction is carried out if all of them hold, and else leaves everything as it was.
func conditions(ctx context.Context, t T, s store.Store) {
	first := commit(ctx, t, s, put("/k/a", "1"), put("/k/b", "1"))
	second := commit(ctx, t, s, put("/k/b", "2"))
	for i, tt := range []struct {
		conditions []store.Condition
		holds      bool
	}{
		{nil, true},
		{[]store.Condition{{Key: "/k/a", Changed: first}}, true},
		{[]store.Condition{{Key: "/k/a", Changed: second}}, false},
		{[]store.Condition{{Key: "/k/a"}}, false},
		{[]store.Condition{{Key: "/k/none"}}, true},
		{[]store.Condition{{Key: "/k/none", Changed: first}}, false},
		{[]store.Condition{{Key: "/k/a", Changed: first}, {Key: "/k/b", Changed: second}, {Key: "/k/none"}}, true},
		{[]store.Condition{{Key: "/k/a", Changed: first}, {Key: "/k/b", Changed: first}}, false},
	} {
		before := list(ctx, t, s, store.Range{Prefix: "/k/"})
		mark := fmt.Sprintf("/k/mark/%d", i)
		r, err := s.Commit(ctx, store.Txn{If: tt.conditions, Then: []store.Op{put(mark, "x"), put(mark+"/too", "x")}})
		if err != nil {
			t.Fatalf("%+v: %v", tt.conditions, err)
		}
		after := list(ctx, t, s, store.Range{Prefix: "/k/"})
		marks := list(ctx, t, s, store.Range{Prefix: mark}).KVs
		switch {
		case r.Held != tt.holds || r.Revision != after.Revision:
			t.Fatalf("%+v: %+v at revision %d", tt.conditions, r, after.Revision)
		case tt.holds && (len(marks) != 2 || marks[0].Changed != r.Revision || marks[1].Changed != r.Revision):
			t.Fatalf("%+v was carried out in revision %d, and there is %+v", tt.conditions, r.Revision, marks)
		case !tt.holds && (len(marks) != 0 || before.Revision != after.Revision):
			t.Fatalf("%+v does not hold, and there is %+v, revision %d after %d", tt.conditions, marks, after.Revision, before.Revision)
		}
	}
}

// deletions: of a key, of a prefix, of what is not there.
func deletions(ctx context.Context, t T, s store.Store) {
	commit(ctx, t, s, put("/d/a", "1"), put("/d/a/x", "1"), put("/d/a/y", "1"), put("/d/b", "1"))
	last := commit(ctx, t, s, store.Op{Key: "/d/a/", DeletePrefix: true}, del("/d/b"), put("/d/c", "2"))
	same(t, "after", text(list(ctx, t, s, store.Range{Prefix: "/d/"}).KVs), "/d/a=1 /d/c=2 ")
	r, err := s.Commit(ctx, store.Txn{Then: []store.Op{del("/d/b"), {Key: "/d/none/", DeletePrefix: true}}})
	if err != nil || !r.Held || r.Revision != last {
		t.Fatalf("what is not there is deleted in revision %d after %d: %v", r.Revision, last, err)
	}
	again := commit(ctx, t, s, put("/d/b", "3"))
	if kv := one(ctx, t, s, "/d/b"); kv.Created != again {
		t.Fatalf("a key that was put again was created in %d, want %d", kv.Created, again)
	}
}

// limits: what is just within them is carried out; what is over is refused and changes nothing.
func limits(ctx context.Context, t T, s store.Store) {
	full := func(n int) (txn store.Txn) {
		for i := range n {
			key := fmt.Sprintf("/l/%03d", i)
			txn.If = append(txn.If, store.Condition{Key: key})
			txn.Then = append(txn.Then, put(key, "x"))
		}
		return txn
	}
	if r, err := s.Commit(ctx, full(store.MaxOps)); err != nil || !r.Held {
		t.Fatalf("%d operations: %+v, %v", store.MaxOps, r, err)
	}
	large := put("/l/large", string(make([]byte, store.MaxTxnBytes-len("/l/large"))))
	commit(ctx, t, s, large)
	larger := put("/l/larger", string(make([]byte, store.MaxTxnBytes)))
	before := list(ctx, t, s, store.Range{Prefix: "/l/", KeysOnly: true})
	for _, txn := range []store.Txn{full(store.MaxOps + 1), {If: full(store.MaxOps + 1).If}, {Then: []store.Op{larger}}} {
		if r, err := s.Commit(ctx, txn); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrOutcomeUnknown) {
			t.Fatalf("%d conditions, %d operations: %+v, %v", len(txn.If), len(txn.Then), r, err)
		}
	}
	if after := list(ctx, t, s, store.Range{Prefix: "/l/", KeysOnly: true}); after.Revision != before.Revision {
		t.Fatalf("what was refused made revision %d after %d", after.Revision, before.Revision)
	}
}

// refusals: a transaction that contradicts itself is refused, and surely not carried out.
func refusals(ctx context.Context, t T, s store.Store) {
	before := commit(ctx, t, s, put("/r/a", "1"))
	for name, ops := range map[string][]store.Op{
		"twice":              {put("/r/a", "2"), put("/r/a", "3")},
		"put and deleted":    {put("/r/a", "2"), del("/r/a")},
		"put under a prefix": {{Key: "/r/", DeletePrefix: true}, put("/r/a", "2")},
		"without a name":     {put("/r/b", "2"), put("", "2")},
	} {
		if r, err := s.Commit(ctx, store.Txn{Then: ops}); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrOutcomeUnknown) {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
	}
	if p := list(ctx, t, s, store.Range{Prefix: "/r/"}); p.Revision != before || text(p.KVs) != "/r/a=1 " {
		t.Fatalf("what was refused left %s in revision %d", text(p.KVs), p.Revision)
	}
}

// oneWins: of many who write what they have read, one at a time gets through.
func oneWins(ctx context.Context, t T, s store.Store) {
	const writers, rounds = 8, 10
	at := commit(ctx, t, s, put("/w/counter", ""))
	for range rounds {
		won := make([]store.Result, writers)
		failed := make([]error, writers)
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				won[i], failed[i] = s.Commit(ctx, store.Txn{
					If: []store.Condition{{Key: "/w/counter", Changed: at}}, Then: []store.Op{put("/w/counter", fmt.Sprint(i))},
				})
			})
		}
		all.Wait()
		winner := -1
		for i := range writers {
			if failed[i] != nil {
				t.Fatalf("writer %d: %v", i, failed[i])
			}
			if won[i].Held {
				if winner >= 0 {
					t.Fatalf("writers %d and %d have both won", winner, i)
				}
				winner, at = i, won[i].Revision
			}
		}
		if winner < 0 {
			t.Fatalf("nobody has won")
		}
		same(t, "the counter", text(list(ctx, t, s, store.Range{Prefix: "/w/"}).KVs), fmt.Sprintf("/w/counter=%d ", winner))
	}
}
