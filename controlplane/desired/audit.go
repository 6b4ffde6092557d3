package desired

import (
	"context"
	"fmt"
	"slices"

	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// kept is how many audit records are kept, and as long the requests that they are of.
const kept = 10_000

// Audit returns the newest audit records, at most limit, the newest first.
func (d *Desired) Audit(ctx context.Context, limit int) ([]*heliosv1.AuditRecord, error) {
	s, err := d.State()
	if err != nil {
		return nil, err
	}
	from := s.Revision - min(s.Revision, uint64(limit))
	page, err := d.Store.List(ctx, store.Range{Prefix: keyspace.Audit, After: keyspace.AuditRecord(from)})
	if err != nil {
		return nil, fmt.Errorf("read audit records: %w", err)
	}
	records, err := records(page.KVs)
	slices.Reverse(records)
	return records[:min(len(records), limit)], err
}

// AuditOf returns the record of a request; nil if it was not carried out or changed nothing.
func (d *Desired) AuditOf(ctx context.Context, request string) (*heliosv1.AuditRecord, error) {
	done, err := d.Outcome(ctx, request)
	if done == nil || err != nil {
		return nil, err
	}
	return d.AuditAt(ctx, done.GetRevision())
}

// AuditAt returns the record of a revision; nil if it is no longer kept.
func (d *Desired) AuditAt(ctx context.Context, revision uint64) (*heliosv1.AuditRecord, error) {
	page, err := d.Store.List(ctx, store.Range{Prefix: keyspace.AuditRecord(revision)})
	if err != nil {
		return nil, fmt.Errorf("read audit record: %w", err)
	}
	records, err := records(page.KVs)
	if len(records) == 0 {
		return nil, err
	}
	return records[0], err
}

func records(kvs []store.KV) ([]*heliosv1.AuditRecord, error) {
	all := make([]*heliosv1.AuditRecord, len(kvs))
	for i, kv := range kvs {
		all[i] = &heliosv1.AuditRecord{}
		if err := decode(kv, all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Trim removes the oldest audit records where there are too many, a batch at a time.
func (d *Desired) Trim(ctx context.Context) error {
	s, err := d.State()
	if err != nil || s.Revision <= kept {
		return err
	}
	page, err := d.Store.List(ctx, store.Range{Prefix: keyspace.Audit, Limit: store.MaxOps / 2})
	if err != nil {
		return fmt.Errorf("read audit records: %w", err)
	}
	old, err := records(page.KVs)
	if err != nil {
		return err
	}
	var ops []store.Op
	for _, r := range old {
		if r.GetRevision()+kept <= s.Revision {
			ops = append(ops, store.Op{Key: keyspace.AuditRecord(r.GetRevision()), Delete: true}, store.Op{Key: keyspace.Request(r.GetRequestId()), Delete: true})
		}
	}
	if len(ops) == 0 {
		return nil
	}
	if _, err := d.Store.Commit(ctx, store.Txn{Then: ops}); err != nil {
		return fmt.Errorf("remove old audit records: %w", err)
	}
	return nil
}
