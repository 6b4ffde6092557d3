// Package etcd is the store in an etcd cluster. It never holds data of its own: every answer is etcd's.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

const (
	// callTimeout bounds a call whose context does not.
	callTimeout = 5 * time.Second
	// progress is how often etcd is asked for a sign of life of a watch.
	progress = 5 * time.Second
)

// Options are how a cluster is reached.
type Options struct {
	Endpoints []string // HOST:PORT or http://HOST:PORT
	Log       *zap.Logger
}

// Store is a client of a cluster.
type Store struct {
	name  string
	c     *clientv3.Client
	close func() error

	mu   sync.Mutex
	done bool
}

// Open makes a client. It does not wait for the cluster: calls fail while that is not there.
func Open(o Options) (*Store, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: o.Endpoints, Logger: o.Log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel)),
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("etcd client: %w", err)
	}
	return New("etcd", c, c.Close), nil
}

// New makes a store of a client that is there; closing the store calls close.
func New(name string, c *clientv3.Client, close func() error) *Store {
	return &Store{name: name, c: c, close: close}
}

// Name is "etcd" or "embedded".
func (s *Store) Name() string { return s.name }

// Close lets go of the cluster.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil
	}
	s.done = true
	return s.close()
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, callTimeout)
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, r store.Range) (store.Page, error) {
	call, stop := bounded(clientv3.WithRequireLeader(ctx))
	defer stop()
	from, end := r.Prefix, clientv3.GetPrefixRangeEnd(r.Prefix)
	if r.After >= r.Prefix && r.After != "" {
		from = r.After + "\x00"
	}
	opts := []clientv3.OpOption{
		clientv3.WithRange(end), clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend),
		clientv3.WithLimit(int64(r.Limit)), clientv3.WithRev(r.Revision),
	}
	if r.KeysOnly {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	res, err := s.c.Get(call, from, opts...)
	if err != nil {
		return store.Page{}, readFailure(ctx, err)
	}
	p := store.Page{More: res.More, Revision: r.Revision}
	if r.Revision == 0 {
		p.Revision = res.Header.GetRevision()
	}
	for _, kv := range res.Kvs {
		p.KVs = append(p.KVs, store.KV{Key: string(kv.GetKey()), Value: kv.GetValue(), Created: kv.GetCreateRevision(), Changed: kv.GetModRevision()})
	}
	return p, nil
}

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, t store.Txn) (store.Result, error) {
	if err := t.Check(); err != nil {
		return store.Result{}, err
	}
	call, stop := bounded(clientv3.WithRequireLeader(ctx))
	defer stop()
	var conditions []clientv3.Cmp
	for _, c := range t.If {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(c.Key), "=", c.Changed))
	}
	var ops []clientv3.Op
	for _, op := range t.Then {
		switch {
		case op.DeletePrefix:
			ops = append(ops, clientv3.OpDelete(op.Key, clientv3.WithPrefix()))
		case op.Delete:
			ops = append(ops, clientv3.OpDelete(op.Key))
		default:
			ops = append(ops, clientv3.OpPut(op.Key, string(op.Value)))
		}
	}
	res, err := s.c.Txn(call).If(conditions...).Then(ops...).Commit()
	if err != nil {
		return store.Result{}, writeFailure(ctx, err)
	}
	return store.Result{Held: res.Succeeded, Revision: res.Header.GetRevision()}, nil
}

// readFailure says what a read that failed means.
func readFailure(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return &store.CompactedError{}
	case ctx.Err() != nil:
		return fmt.Errorf("etcd: %w", errors.Join(ctx.Err(), store.ErrUnavailable))
	}
	return fmt.Errorf("etcd: %w: %s", store.ErrUnavailable, words(err))
}

// writeFailure says what a write that failed means. Only what etcd itself has refused was surely not done;
// a connection that broke may have carried the request before.
func writeFailure(ctx context.Context, err error) error {
	if refused(err) {
		return fmt.Errorf("etcd: %w: %s", store.ErrUnavailable, words(err))
	}
	if ctx.Err() != nil {
		return fmt.Errorf("etcd: %w", errors.Join(ctx.Err(), store.ErrOutcomeUnknown))
	}
	return fmt.Errorf("etcd: %w: %s", store.ErrOutcomeUnknown, words(err))
}

// refused says that etcd has answered and not carried out. A leader that was lost, and its own timeouts,
// leave it open.
func refused(err error) bool {
	for _, known := range []error{
		rpctypes.ErrNoSpace, rpctypes.ErrTooManyOps, rpctypes.ErrDuplicateKey, rpctypes.ErrRequestTooLarge, rpctypes.ErrTooManyRequests,
		rpctypes.ErrPermissionDenied, rpctypes.ErrAuthFailed, rpctypes.ErrInvalidAuthToken, rpctypes.ErrUserEmpty, rpctypes.ErrNoLeader,
		rpctypes.ErrCorrupt, rpctypes.ErrStopped, clientv3.ErrNoAvailableEndpoints,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	// What could not be sent at all has no connection to have been sent on.
	return status.Code(err) == codes.Unavailable && unsent(err)
}

// words is what etcd or gRPC has said, without the wrapping.
func words(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

var _ store.Store = (*Store)(nil)
