package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

// unsent says of an unavailable error that the request never left: there was no connection to send it on.
func unsent(err error) bool {
	w := words(err)
	return strings.Contains(w, "connection refused") || strings.Contains(w, "no such file") || strings.Contains(w, "no children to pick from")
}

// Watch implements [store.Store]. etcd tells the events of one revision in one response, as the watch does
// not ask for fragments; and several revisions at once where it catches up.
func (s *Store) Watch(ctx context.Context, prefix string, from int64) (<-chan store.Batch, func() error) {
	out := make(chan store.Batch)
	var why error
	go func() {
		defer close(out)
		why = s.watch(ctx, prefix, from, out)
	}()
	return out, func() error { return why }
}

func (s *Store) watch(ctx context.Context, prefix string, from int64, out chan<- store.Batch) error {
	// A context of its own gives the watch a stream of its own.
	ctx, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer stop()
	responses := s.c.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithProgressNotify())
	tick := time.NewTicker(progress)
	defer tick.Stop()
	asked := make(chan struct{}, 1) // one question at a time
	for {
		select {
		case r, ok := <-responses:
			if !ok {
				return fmt.Errorf("etcd watch: %w", errors.Join(ctx.Err(), store.ErrUnavailable))
			}
			if err := broken(r); err != nil {
				return err
			}
			b := batch(r)
			if len(b.Events) == 0 && !r.IsProgressNotify() {
				continue // the watch was created
			}
			select {
			case out <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		case <-tick.C:
			select {
			case asked <- struct{}{}:
				go func() {
					defer func() { <-asked }()
					ask, stop := context.WithTimeout(ctx, progress)
					defer stop()
					_ = s.c.RequestProgress(ask) // no sign of life is what the reader looks for
				}()
			default:
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// broken returns why a watch is over; nil if it is not.
func broken(r clientv3.WatchResponse) error {
	switch err := r.Err(); {
	case r.CompactRevision != 0 || errors.Is(err, rpctypes.ErrCompacted):
		return &store.CompactedError{Revision: r.CompactRevision}
	case err != nil:
		return fmt.Errorf("etcd watch: %w: %s", store.ErrUnavailable, words(err))
	case r.Canceled:
		return fmt.Errorf("etcd watch: %w: it was cancelled", store.ErrUnavailable)
	}
	return nil
}

// batch is what a response tells. How far the watch has come is said by its last event, or by a progress
// notification: the header's revision may be ahead of what was told.
func batch(r clientv3.WatchResponse) store.Batch {
	var b store.Batch
	if r.IsProgressNotify() {
		b.Revision = r.Header.GetRevision()
	}
	for _, e := range r.Events {
		x := store.Event{
			KV:      store.KV{Key: string(e.Kv.GetKey()), Value: e.Kv.GetValue(), Created: e.Kv.GetCreateRevision(), Changed: e.Kv.GetModRevision()},
			Deleted: e.Type == clientv3.EventTypeDelete,
		}
		if x.Deleted {
			x.KV = store.KV{Key: x.Key, Changed: x.Changed}
		}
		b.Events = append(b.Events, x)
		b.Revision = max(b.Revision, x.Changed)
	}
	return b
}
