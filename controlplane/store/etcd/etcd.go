// Package etcd is the store in an etcd cluster. It never holds data of its own: every answer is etcd's.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

const (
	// callTimeout bounds a call whose context does not.
	callTimeout = 5 * time.Second
	// progress is how often etcd is asked for a sign of life of a watch.
	progress = 3 * time.Second
	// A server that answers no ping is given up after these.
	pingAfter, pingTimeout = 10 * time.Second, 5 * time.Second
	// A read is tried again so often, with so long between. A write is not: it may be carried out twice.
	readRetries, readPause = 10, 100 * time.Millisecond
)

// failFast makes a call fail with the system's words where no server can be reached. The client's own way is to
// wait in silence until the deadline.
func failFast(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, cc, append(opts, grpc.WaitForReady(false))...)
}

// redial is how a connection that was lost is tried again: gRPC's own pauses grow to minutes.
func redial() grpc.ConnectParams {
	return grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
		MinConnectTimeout: 3 * time.Second,
	}
}

// Options are how a cluster is reached.
type Options struct {
	Endpoints []string // HOST:PORT, http://HOST:PORT or unix:PATH
	Log       *zap.Logger
	Progress  time.Duration // between two questions whether a watch lives; 0 is 3 s
}

// Store is a client of a cluster.
type Store struct {
	name     string
	c        *clientv3.Client
	progress time.Duration
	remote   bool // a connection lies between, which tells what was sent on it
	close    func() error
	watches  atomic.Uint64 // how many there were

	once   sync.Once
	closed chan struct{}
}

// Open makes a client. It does not wait for the cluster: calls fail while that is not there.
func Open(o Options) (*Store, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: o.Endpoints, Logger: o.Log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel)),
		DialKeepAliveTime: pingAfter, DialKeepAliveTimeout: pingTimeout,
		MaxUnaryRetries: readRetries, BackoffWaitBetween: readPause,
		DialOptions: []grpc.DialOption{
			grpc.WithStatsHandler(sending{}), grpc.WithConnectParams(redial()), grpc.WithChainUnaryInterceptor(failFast),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("etcd client: %w", err)
	}
	s := New("etcd", c, o.Progress, c.Close)
	s.remote = true
	return s, nil
}

// New makes a store of a client whose server is in the process. A watch is looked after every so often;
// 0 is 3 s. Closing the store calls close.
func New(name string, c *clientv3.Client, every time.Duration, close func() error) *Store {
	if every == 0 {
		every = progress
	}
	return &Store{name: name, c: c, progress: every, close: close, closed: make(chan struct{})}
}

// Name is "etcd" or "embedded".
func (s *Store) Name() string { return s.name }

// Close lets go of the cluster.
func (s *Store) Close() (err error) {
	s.once.Do(func() {
		close(s.closed)
		err = s.close()
	})
	return err
}

// open refuses what comes after Close.
func (s *Store) open() error {
	select {
	case <-s.closed:
		return errClosed
	default:
		return nil
	}
}

// errClosed is what a store that was closed answers.
var errClosed = fmt.Errorf("the store is closed: %w", store.ErrUnavailable)

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, callTimeout)
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, r store.Range) (store.Page, error) {
	if err := s.open(); err != nil {
		return store.Page{}, err
	}
	call, stop := bounded(clientv3.WithRequireLeader(ctx))
	defer stop()
	from, end := r.Prefix, clientv3.GetPrefixRangeEnd(r.Prefix)
	if from == "" {
		from = "\x00" // the smallest key that there can be
	}
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
		p.KVs = append(p.KVs, keyValue(kv))
	}
	return p, nil
}

func keyValue(kv *mvccpb.KeyValue) store.KV {
	return store.KV{Key: string(kv.GetKey()), Value: kv.GetValue(), Created: kv.GetCreateRevision(), Changed: kv.GetModRevision()}
}

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, t store.Txn) (store.Result, error) {
	if err := errors.Join(s.open(), t.Check()); err != nil {
		return store.Result{}, err
	}
	call, stop := bounded(clientv3.WithRequireLeader(ctx))
	defer stop()
	call, sent := noteSending(call)
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
		return store.Result{}, writeFailure(ctx, err, !s.remote || sent.Load())
	}
	return store.Result{Held: res.Succeeded, Revision: res.Header.GetRevision()}, nil
}

// Compact forgets what was before a revision. Whoever runs a cluster does that; this is for tests.
func (s *Store) Compact(ctx context.Context, revision int64) error {
	call, stop := bounded(ctx)
	defer stop()
	if _, err := s.c.Compact(call, revision); err != nil {
		return fmt.Errorf("compact revision %d: %w", revision, readFailure(ctx, err))
	}
	return nil
}

var _ store.Store = (*Store)(nil)
