package rollout

import (
	"context"
	"fmt"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

// Sweep removes releases beyond those that are kept, and parts that no release has.
//
// Whoever publishes finds some parts in place and relies on them; so removing them is one transaction with
// a write of the sweep key, which publishing compares. Parts that somebody has just staged may be removed:
// then he is the one who begins again.
func (r *Releases) Sweep(ctx context.Context) error {
	v, err := r.view()
	if err != nil {
		return err
	}
	manifests, err := r.List()
	if err != nil {
		return err
	}
	headKV, _ := v.Get(r.Group.Head())
	sweepKV, _ := v.Get(r.Group.Sweep())
	used := map[string]bool{}
	var old []store.Op
	for i, m := range manifests {
		if i >= keep {
			old = append(old, store.Op{Key: r.Group.Manifest(m.GetNumber()), Delete: true})
			continue
		}
		for _, hash := range m.GetParts() {
			used[r.Group.Part(hash)] = true
		}
	}
	page, err := r.Store.List(ctx, store.Range{Prefix: r.Group.Parts(), KeysOnly: true})
	if err != nil {
		return fmt.Errorf("sweep releases: %w", err)
	}
	ops := old
	for _, kv := range page.KVs {
		if !used[kv.Key] {
			ops = append(ops, store.Op{Key: kv.Key, Delete: true})
		}
	}
	if len(ops) == 0 {
		return nil
	}
	ops = ops[:min(len(ops), store.MaxOps-1)] // the rest at the next sweep
	ops = append(ops, store.Op{Key: r.Group.Sweep()})
	_, err = r.Store.Commit(ctx, store.Txn{
		If:   []store.Condition{{Key: r.Group.Head(), Changed: headKV.Changed}, {Key: r.Group.Sweep(), Changed: sweepKV.Changed}},
		Then: ops,
	})
	if err != nil {
		return fmt.Errorf("sweep releases: %w", err)
	}
	return nil
}
