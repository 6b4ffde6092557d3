package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

// readFailure says what a read that failed means.
func readFailure(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return &store.CompactedError{}
	case ctx.Err() != nil:
		return fmt.Errorf("etcd: %w: %w", store.ErrUnavailable, ctx.Err())
	}
	return fmt.Errorf("etcd: %w: %s", store.ErrUnavailable, words(err))
}

// writeFailure says what a write that failed means. Only what was never sent, and what etcd itself has
// refused, was surely not carried out.
func writeFailure(ctx context.Context, err error, sent bool) error {
	meaning := store.ErrOutcomeUnknown
	if !sent || refused(err) {
		meaning = store.ErrUnavailable
	}
	if ctx.Err() != nil {
		return fmt.Errorf("etcd: %w: %w", meaning, ctx.Err())
	}
	return fmt.Errorf("etcd: %w: %s", meaning, words(err))
}

// refused says that etcd has answered that it did not carry a request out. What it says of itself, that it
// stops, lost its leader or ran out of time, leaves that open: the request may be on its way to the log.
func refused(err error) bool {
	var answer rpctypes.EtcdError
	if !errors.As(err, &answer) {
		return false
	}
	return errors.Is(err, rpctypes.ErrNoLeader) || slices.Contains([]codes.Code{
		codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange, codes.NotFound, codes.ResourceExhausted,
		codes.PermissionDenied, codes.Unauthenticated, codes.DataLoss,
	}, answer.Code())
}

// words is what etcd or gRPC has said, without the wrapping.
func words(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

// sending hears of every call how far it came.
type sending struct{}

type sentKey struct{}

// noteSending makes a context whose call sets the flag when its request is handed to a connection.
func noteSending(ctx context.Context) (context.Context, *atomic.Bool) {
	sent := new(atomic.Bool)
	return context.WithValue(ctx, sentKey{}, sent), sent
}

// TagRPC implements [stats.Handler].
func (sending) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements [stats.Handler].
func (sending) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutPayload); !ok {
		return
	}
	if sent, ok := ctx.Value(sentKey{}).(*atomic.Bool); ok {
		sent.Store(true)
	}
}

// TagConn implements [stats.Handler].
func (sending) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements [stats.Handler].
func (sending) HandleConn(context.Context, stats.ConnStats) {}

var _ stats.Handler = sending{}
