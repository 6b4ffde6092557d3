// Package admin is the service that people and their tools call. It never keeps anything and never lets a secret out: it translates between messages and the packages that do the work.
package admin

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/heliosproxy/heliosproxy/controlplane/desired"
	"github.com/heliosproxy/heliosproxy/controlplane/events"
	"github.com/heliosproxy/heliosproxy/controlplane/fleet"
	"github.com/heliosproxy/heliosproxy/controlplane/rollout"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// messageBytes bounds what is put into one message of a stream.
const messageBytes = 900 << 10

// Options are what a Service is made of.
type Options struct {
	Desired  *desired.Desired
	Releases *rollout.Releases
	Fleet    *fleet.Fleet
	Events   *events.Log
	// Generation is what proxies call the current release; nil if there is none.
	Generation func() *heliosv1.Generation
	// Changed returns a channel that is closed when the desired state or the releases have changed.
	Changed func() <-chan struct{}
	Version *heliosv1.GetVersionResponse
	// ReadOnly, if set, is why nothing can be written here: a file is the source.
	ReadOnly string
	Log      *zap.Logger
}

// Service is the admin service.
type Service struct {
	heliosv1.UnimplementedAdminServiceServer
	Options
}

// New makes a service.
func New(o Options) *Service { return &Service{Options: o} }

// failure turns an error into a status, as admin.proto says.
func failure(err error, request string) error {
	var (
		invalid     *desired.InvalidError
		conflict    *desired.ConflictError
		destructive *desired.DestructiveError
		large       *desired.TooLargeError
		missing     *desired.NotFoundError
		offline     *fleet.OfflineError
		detail      protoadapt.MessageV1
		code        = codes.Internal
	)
	if err == nil {
		return nil
	}
	switch {
	case errors.As(err, &invalid):
		code, detail = codes.InvalidArgument, protoadapt.MessageV1Of(&heliosv1.Faults{Faults: invalid.Faults})
	case errors.As(err, &conflict):
		c := &heliosv1.Conflict{Kind: conflict.Kind, Name: conflict.Name, ExpectedRevision: &conflict.Expected}
		if conflict.Current != nil {
			c.Current = show(conflict.Current)
		}
		code, detail = codes.Aborted, protoadapt.MessageV1Of(c)
	case errors.As(err, &destructive):
		code, detail = codes.FailedPrecondition, protoadapt.MessageV1Of(&heliosv1.Destruction{Removals: destructive.Removals})
	case errors.As(err, &large):
		code = codes.ResourceExhausted
	case errors.As(err, &missing):
		code = codes.NotFound
	case errors.As(err, &offline):
		code = codes.Unavailable
		if offline.LastSeen.IsZero() {
			code = codes.NotFound
		}
	case errors.Is(err, store.ErrOutcomeUnknown):
		code, detail = codes.Unknown, protoadapt.MessageV1Of(&heliosv1.Outcome{RequestId: request})
	case errors.Is(err, store.ErrUnavailable):
		code, detail = codes.Unavailable, protoadapt.MessageV1Of(&heliosv1.Outcome{RequestId: request, SurelyNot: true})
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	default:
		if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
			return err // made here
		}
	}
	s := status.New(code, err.Error())
	if detail != nil {
		if with, err := s.WithDetails(detail); err == nil {
			s = with
		}
	}
	return s.Err()
}

// show makes of what is stored what may be seen.
func show(r *heliosv1.StoredResource) *heliosv1.Resource {
	if r == nil {
		return nil
	}
	clean, forms := release.Shown(r.GetItem())
	return &heliosv1.Resource{Item: clean, Revision: r.GetRevision(), Secrets: forms}
}

// GetVersion says what this control plane is.
func (s *Service) GetVersion(context.Context, *heliosv1.GetVersionRequest) (*heliosv1.GetVersionResponse, error) {
	v := s.Version
	r := &heliosv1.GetVersionResponse{Build: v.GetBuild(), ProtocolVersion: v.GetProtocolVersion(), StoreId: v.GetStoreId(), Store: v.GetStore()}
	if st, err := s.Desired.State(); err == nil {
		r.Revision = st.Revision
	}
	return r, nil
}

// noRequestID refuses a write that could not be asked after.
func noRequestID(id string) error {
	if id == "" || len(id) > 128 {
		return status.Error(codes.InvalidArgument, "a write has a request_id of 1 to 128 bytes")
	}
	return nil
}

// kindNamed checks a kind that is asked for.
func kindNamed(kind string) error {
	if _, ok := resource.TypeOf(kind); kind != "" && !ok {
		return status.Error(codes.InvalidArgument, fmt.Sprintf("there is no kind %q", kind))
	}
	return nil
}
