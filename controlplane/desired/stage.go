package desired

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// maxDirect is the most resources that are written in the transaction that makes them current.
	maxDirect = 100
	// partBytes bounds a stage part: a store's value is written whole each time.
	partBytes = 512 << 10
	// abandoned is how old a stage is that is not in force and that nobody will ever put in force.
	abandoned = time.Hour
)

// writes are the operations that bring resources to their keys.
func writes(upserts []*heliosv1.Item, removes []*heliosv1.Ref, revision uint64) ([]store.Op, error) {
	var ops []store.Op
	for _, it := range upserts {
		value, err := proto.Marshal(&heliosv1.StoredResource{Item: it, Revision: revision})
		if err != nil {
			return nil, fmt.Errorf("encode %s %q: %w", it.GetKind(), it.GetName(), err)
		}
		ops = append(ops, store.Op{Key: keyspace.Resource(it.GetKind(), it.GetName()), Value: value})
	}
	for _, ref := range removes {
		ops = append(ops, store.Op{Key: keyspace.Resource(ref.GetKind(), ref.GetName()), Delete: true})
	}
	return ops, nil
}

func size(ops []store.Op) int {
	n := 0
	for _, op := range ops {
		n += len(op.Key) + len(op.Value)
	}
	return n
}

// stage writes a plan beside the state. It is no part of it until the head names it.
func (d *Desired) stage(ctx context.Context, p *plan) (id string, parts uint32, err error) {
	id = newID(d.Now())
	for chunk := range p.difference.Chunks(partBytes) {
		value, err := proto.Marshal(&heliosv1.StagePart{Upserts: chunk.Upserts, Removes: chunk.Removes})
		if err != nil {
			return "", 0, fmt.Errorf("encode a stage part: %w", err)
		}
		key := keyspace.StagePart(id, int(parts))
		if _, err := d.Store.Commit(ctx, store.Txn{Then: []store.Op{{Key: key, Value: value}}}); err != nil {
			// Whether the part is there or not, it is no part of anything.
			return "", 0, fmt.Errorf("stage the write: %w: %s", store.ErrUnavailable, err)
		}
		parts++
	}
	return id, parts, nil
}

// Settle moves a large write that is in force to the keys of its resources. It can be called, and be cut
// off, at any time: the state that is read is the same before, meanwhile and after.
func (d *Desired) Settle(ctx context.Context) error {
	_, err := d.settled(ctx)
	return err
}

// settled is Settle, and returns the state in which there is nothing to move.
func (d *Desired) settled(ctx context.Context) (*State, error) {
	for {
		s, err := d.State()
		if err != nil {
			return nil, err
		}
		if !s.staged() {
			return s, nil
		}
		res, err := d.settle(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("settle a large write: %w", err)
		}
		if err := d.Mirror.WaitFor(ctx, res.Revision); err != nil {
			return nil, fmt.Errorf("settle a large write: %w", err)
		}
	}
}

func (d *Desired) settle(ctx context.Context, s *State) (store.Result, error) {
	still := []store.Condition{{Key: keyspace.ConfigHead, Changed: s.changed}}
	for _, part := range s.stage {
		whole := release.Difference{Upserts: part.GetUpserts(), Removes: part.GetRemoves()}
		for batch := range batches(whole) {
			ops, err := writes(batch.Upserts, batch.Removes, s.Revision)
			if err != nil {
				return store.Result{}, err
			}
			if res, err := d.Store.Commit(ctx, store.Txn{If: still, Then: ops}); err != nil || !res.Held {
				return res, err // not held: somebody else has done it
			}
		}
	}
	head, err := proto.Marshal(&heliosv1.ConfigHead{Revision: s.Revision})
	if err != nil {
		return store.Result{}, err
	}
	return d.Store.Commit(ctx, store.Txn{If: still, Then: []store.Op{
		{Key: keyspace.ConfigHead, Value: head},
		{Key: keyspace.Stage(s.head.GetStage()), DeletePrefix: true},
	}})
}

// batches cuts a part into what fits into a transaction each.
func batches(whole release.Difference) func(yield func(release.Difference) bool) {
	return func(yield func(release.Difference) bool) {
		for len(whole.Upserts) > 0 || len(whole.Removes) > 0 {
			u := min(len(whole.Upserts), maxDirect)
			r := min(len(whole.Removes), maxDirect-u)
			if !yield(release.Difference{Upserts: whole.Upserts[:u], Removes: whole.Removes[:r]}) {
				return
			}
			whole.Upserts, whole.Removes = whole.Upserts[u:], whole.Removes[r:]
		}
	}
}

// Sweep removes stages that somebody has begun and never put in force.
func (d *Desired) Sweep(ctx context.Context) error {
	v, ok := d.Mirror.Config()
	if !ok {
		return ErrNotRead
	}
	s, err := d.State()
	if err != nil {
		return err
	}
	old := map[string]bool{}
	v.Ascend(keyspace.Stages, func(kv store.KV) bool {
		if id, ok := keyspace.StageOf(kv.Key); ok && id != s.head.GetStage() && d.age(id) > abandoned {
			old[id] = true
		}
		return true
	})
	for id := range old {
		// If the head is another one by now, the next sweep comes.
		still := []store.Condition{{Key: keyspace.ConfigHead, Changed: s.changed}}
		if _, err := d.Store.Commit(ctx, store.Txn{If: still, Then: []store.Op{{Key: keyspace.Stage(id), DeletePrefix: true}}}); err != nil {
			return fmt.Errorf("remove an abandoned stage: %w", err)
		}
	}
	return nil
}

// age is how old a stage is.
func (d *Desired) age(id string) time.Duration {
	nanos, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(nanos, 10, 64)
	if err != nil {
		return 0
	}
	return d.Now().Sub(time.Unix(0, n))
}
