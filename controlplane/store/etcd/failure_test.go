package etcd

import (
	"context"
	"errors"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

func TestWriteFailure(t *testing.T) {
	ended, stop := context.WithCancel(t.Context())
	stop()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		sent bool
		want error
	}{
		{"no space", t.Context(), rpctypes.ErrNoSpace, true, store.ErrUnavailable},
		{"too many operations", t.Context(), rpctypes.ErrTooManyOps, true, store.ErrUnavailable},
		{"too large", t.Context(), rpctypes.ErrRequestTooLarge, true, store.ErrUnavailable},
		{"too many requests", t.Context(), rpctypes.ErrTooManyRequests, true, store.ErrUnavailable},
		{"permission denied", t.Context(), rpctypes.ErrPermissionDenied, true, store.ErrUnavailable},
		{"no leader", t.Context(), rpctypes.ErrNoLeader, true, store.ErrUnavailable},
		{"corrupt", t.Context(), rpctypes.ErrCorrupt, true, store.ErrUnavailable},
		{"refused, and nobody waits", ended, rpctypes.ErrNoSpace, true, store.ErrUnavailable},
		{"never sent", t.Context(), status.Error(codes.Unavailable, "connection refused"), false, store.ErrUnavailable},
		{"never sent in time", ended, context.DeadlineExceeded, false, store.ErrUnavailable},

		{"timed out there", t.Context(), rpctypes.ErrTimeout, true, store.ErrOutcomeUnknown},
		{"leader failed", t.Context(), rpctypes.ErrTimeoutDueToLeaderFail, true, store.ErrOutcomeUnknown},
		{"leader changed", t.Context(), rpctypes.ErrLeaderChanged, true, store.ErrOutcomeUnknown},
		{"stopped", t.Context(), rpctypes.ErrStopped, true, store.ErrOutcomeUnknown},
		{"connection broke", t.Context(), status.Error(codes.Unavailable, "error reading from server: EOF"), true, store.ErrOutcomeUnknown},
		{"timed out here", t.Context(), context.DeadlineExceeded, true, store.ErrOutcomeUnknown},
		{"nobody waits", ended, context.Canceled, true, store.ErrOutcomeUnknown},
		{"answer too large", t.Context(), status.Error(codes.ResourceExhausted, "received message larger than max"), true, store.ErrOutcomeUnknown},
		{"something new", t.Context(), errors.New("?"), true, store.ErrOutcomeUnknown},
	} {
		got := writeFailure(tt.ctx, tt.err, tt.sent)
		if !errors.Is(got, tt.want) || errors.Is(got, store.ErrUnavailable) && errors.Is(got, store.ErrOutcomeUnknown) {
			t.Errorf("%s: %v", tt.name, got)
		}
		if tt.ctx.Err() != nil && !errors.Is(got, tt.ctx.Err()) {
			t.Errorf("%s: %v does not say that nobody waits", tt.name, got)
		}
	}
}
