package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

// Watch implements [store.Store]. etcd tells the events of one revision in one response, as the watch does
// not ask for fragments; and several revisions at once where it catches up.
func (s *Store) Watch(ctx context.Context, prefix string, from int64) (<-chan store.Batch, func() error) {
	out := make(chan store.Batch)
	var why error
	go func() {
		defer close(out)
		if why = s.open(); why != nil {
			return
		}
		why = s.watch(ctx, prefix, from, out)
	}()
	return out, func() error { return why }
}

// unanswered is how many questions for progress may be without an answer before a watch is given up.
const unanswered = 3

func (s *Store) watch(ctx context.Context, prefix string, from int64, out chan<- store.Batch) error {
	// Watches whose metadata are the same share a stream, and its fate. This gives each one its own.
	own := metadata.AppendToOutgoingContext(clientv3.WithRequireLeader(ctx), "helios-watch", strconv.FormatUint(s.watches.Add(1), 10))
	own, stop := context.WithCancel(own)
	defer stop()
	tick := time.NewTicker(s.progress)
	defer tick.Stop()
	responses := s.begin(own, prefix, from)
	silent := 0 // questions since the last response
	for {
		select {
		case r, ok := <-responses:
			if !ok {
				return ended(ctx, "it was closed")
			}
			if err := broken(ctx, r); err != nil {
				return err
			}
			silent = 0
			b := batch(r)
			if len(b.Events) == 0 && !r.IsProgressNotify() {
				continue
			}
			from = max(from, b.Revision+1)
			select {
			case out <- b:
			case <-s.closed:
				return errClosed
			case <-ctx.Done():
				return ended(ctx, "")
			}
		case <-tick.C:
			if silent++; silent > unanswered && s.ahead(ctx, from) {
				// etcd tells of progress only of revisions that have come. One that begins with the next one is
				// silent until something is written, and has missed nothing.
				silent = 0
				select {
				case out <- store.Batch{Revision: from - 1}:
				case <-s.closed:
					return errClosed
				case <-ctx.Done():
					return ended(ctx, "")
				}
			} else if silent > unanswered {
				return ended(ctx, fmt.Sprintf("nothing was heard of it for %v", time.Duration(silent)*s.progress))
			}
			go s.ask(own)
		case <-s.closed:
			return errClosed
		case <-ctx.Done():
			return ended(ctx, "")
		}
	}
}

// begin asks for a watch, which takes for as long as the cluster is away, and passes on what comes of it.
func (s *Store) begin(ctx context.Context, prefix string, from int64) <-chan clientv3.WatchResponse {
	responses := make(chan clientv3.WatchResponse)
	go func() {
		defer close(responses)
		for r := range s.c.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(max(from, 1)), clientv3.WithProgressNotify()) {
			select {
			case responses <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	return responses
}

// ahead says whether the store lives and has nothing yet of what a watch from a revision on would tell.
func (s *Store) ahead(ctx context.Context, from int64) bool {
	ctx, stop := context.WithTimeout(clientv3.WithRequireLeader(ctx), s.progress)
	defer stop()
	r, err := s.c.Get(ctx, "\x00", clientv3.WithCountOnly())
	return err == nil && r.Header.GetRevision() < from
}

// ask asks for progress. That there is none is for the watch to see.
func (s *Store) ask(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, s.progress)
	defer stop()
	_ = s.c.RequestProgress(ctx) // see above
}

// ended is the error of a watch that ends because ctx has, or else for a reason.
func ended(ctx context.Context, reason string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("etcd watch: %w", ctx.Err())
	}
	return fmt.Errorf("etcd watch: %w: %s", store.ErrUnavailable, reason)
}

// broken returns why a watch is over; nil if it is not.
func broken(ctx context.Context, r clientv3.WatchResponse) error {
	switch err := r.Err(); {
	case r.CompactRevision != 0 || errors.Is(err, rpctypes.ErrCompacted):
		return &store.CompactedError{Revision: r.CompactRevision}
	case err != nil:
		return ended(ctx, words(err))
	case r.Canceled:
		return ended(ctx, "it was cancelled")
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
		x := store.Event{KV: keyValue(e.Kv), Deleted: e.Type == clientv3.EventTypeDelete}
		if x.Deleted {
			x.KV = store.KV{Key: x.Key, Changed: x.Changed}
		}
		b.Events = append(b.Events, x)
		b.Revision = max(b.Revision, x.Changed)
	}
	return b
}
