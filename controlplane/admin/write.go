package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/desired"
	"github.com/heliosproxy/heliosproxy/controlplane/identity"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Write changes resources, all or none.
func (s *Service) Write(stream heliosv1.AdminService_WriteServer) error {
	header, changes, err := s.receive(stream)
	if err != nil {
		return err
	}
	if s.ReadOnly != "" && !header.GetDryRun() {
		return status.Error(codes.FailedPrecondition, s.ReadOnly)
	}
	ctx := stream.Context()
	r := desired.Request{
		ID: header.GetRequestId(), Actor: identity.Actor(ctx), Message: header.GetMessage(), DryRun: header.GetDryRun(),
		AllowDestructive: header.GetAllowDestructive(), ReplaceAll: header.GetReplaceAll(), Changes: changes,
	}
	if header.UndoTo != nil {
		if err := s.released(ctx); err != nil {
			return failure(err, r.ID)
		}
		if r.Changes, r.UndoTo, err = s.undo(ctx, header.GetUndoTo()); err != nil {
			return failure(err, r.ID)
		}
	}
	// The caller may leave; what was begun is brought to its end.
	result, err := s.Desired.Write(context.WithoutCancel(ctx), r)
	if err != nil {
		return failure(err, r.ID)
	}
	if !result.Changed && !r.DryRun {
		// Who applies what is there already wants it to be in force: proxies that have refused it try again.
		if err := s.Releases.Retry(ctx); err != nil {
			return failure(err, r.ID)
		}
	}
	if result.Changed && !r.DryRun {
		s.Events.Add(&heliosv1.Event{Type: "written", Message: fmt.Sprintf("revision %d by %s", result.Revision, r.Actor)})
		// Who asks for the fleet next is shown the new generation. If that takes long the write is there all the same.
		if err := s.released(ctx); err != nil {
			s.Log.Info("the configuration is written and not released yet", zap.Error(err))
		}
	}
	return answer(stream, result)
}

// releasePatience is how long a release may take that is waited for.
const releasePatience = 5 * time.Second

// released returns when the current release is that of the desired state.
func (s *Service) released(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, releasePatience)
	defer stop()
	for {
		changed := s.Changed()
		head, err := s.Releases.Head()
		if err != nil {
			return err
		}
		st, err := s.Desired.State()
		if err != nil {
			return err
		}
		if head.Hash == st.Content.Hash() || st.Content.Len() == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the release of revision %d: %w", st.Revision, store.ErrUnavailable)
		}
	}
}

// receive reads a write to its commit.
func (s *Service) receive(stream heliosv1.AdminService_WriteServer) (*heliosv1.WriteHeader, []desired.Change, error) {
	first, err := stream.Recv()
	if err != nil {
		return nil, nil, err
	}
	header := first.GetHeader()
	if header == nil {
		return nil, nil, status.Error(codes.InvalidArgument, "the first message is not the header")
	}
	if err := noRequestID(header.GetRequestId()); err != nil {
		return nil, nil, err
	}
	var changes []desired.Change
	bytes := 0
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, nil, status.Error(codes.InvalidArgument, "the write has ended without commit; nothing was changed")
		}
		if err != nil {
			return nil, nil, err
		}
		switch m := m.GetMessage().(type) {
		case *heliosv1.WriteRequest_Commit:
			return header, changes, nil
		case *heliosv1.WriteRequest_Changes:
			for _, c := range m.Changes.GetChanges() {
				change := desired.Change{Put: c.GetPut(), Delete: c.GetDelete(), Expected: c.ExpectedRevision}
				if change.Put == nil && change.Delete == nil {
					return nil, nil, status.Error(codes.InvalidArgument, "a change neither puts nor deletes")
				}
				changes = append(changes, change)
				bytes += len(c.GetPut().GetPayload())
			}
		default:
			return nil, nil, status.Error(codes.InvalidArgument, "a message out of turn")
		}
		if bytes > s.Desired.MaxBytes {
			return nil, nil, failure(&desired.TooLargeError{What: "what is written", Bytes: bytes, Limit: s.Desired.MaxBytes, Setting: "--max-config-bytes"}, header.GetRequestId())
		}
	}
}

// undo works out the changes that bring the content of an older release back; 0 is the one before the current.
func (s *Service) undo(ctx context.Context, to uint64) ([]desired.Change, uint64, error) {
	if to == 0 {
		head, err := s.Releases.Head()
		if err != nil {
			return nil, 0, err
		}
		if head.Number < 2 {
			return nil, 0, &desired.NotFoundError{What: "release before the current one"}
		}
		to = head.Number - 1
	}
	m, err := s.Releases.Manifest(to)
	if err != nil {
		return nil, 0, err
	}
	if m == nil {
		return nil, 0, &desired.NotFoundError{What: fmt.Sprintf("release %d, or it is no longer kept; history lists those that are", to)}
	}
	old, err := s.Releases.Load(ctx, m)
	if err != nil {
		return nil, 0, err
	}
	now, err := s.Desired.State()
	if err != nil {
		return nil, 0, err
	}
	return changes(now, now.Content.To(old)), to, nil
}

// changes are those of a difference to a state, each expecting what the state has.
func changes(s *desired.State, d release.Difference) []desired.Change {
	var all []desired.Change
	expect := func(kind, name string) *uint64 {
		r, _ := s.Get(desired.Key{Kind: kind, Name: name})
		return proto.Uint64(r.GetRevision())
	}
	for _, it := range d.Upserts {
		all = append(all, desired.Change{Put: it, Expected: expect(it.GetKind(), it.GetName())})
	}
	for _, ref := range d.Removes {
		all = append(all, desired.Change{Delete: ref, Expected: expect(ref.GetKind(), ref.GetName())})
	}
	return all
}

// answer sends the effects, and the outcome at the end.
func answer(stream heliosv1.AdminService_WriteServer, r *desired.Result) error {
	m, n := &heliosv1.WriteResponse{}, 0
	for _, e := range r.Effects {
		x := &heliosv1.Effect{Action: e.Action, Kind: e.Kind, Name: e.Name, Before: show(e.Before), After: show(e.After), ChangedSecrets: e.Secrets}
		size := proto.Size(x)
		if n > 0 && n+size > messageBytes {
			if err := stream.Send(m); err != nil {
				return err
			}
			m, n = &heliosv1.WriteResponse{}, 0
		}
		m.Effects = append(m.Effects, x)
		n += size
	}
	m.Outcome = &heliosv1.WriteOutcome{Revision: r.Revision, Changed: r.Changed}
	return stream.Send(m)
}

// GetOutcome says whether a write was carried out.
func (s *Service) GetOutcome(ctx context.Context, r *heliosv1.GetOutcomeRequest) (*heliosv1.GetOutcomeResponse, error) {
	if err := noRequestID(r.GetRequestId()); err != nil {
		return nil, err
	}
	done, err := s.Desired.Outcome(ctx, r.GetRequestId())
	if err != nil {
		return nil, failure(err, r.GetRequestId())
	}
	return &heliosv1.GetOutcomeResponse{Done: done != nil, Revision: done.GetRevision()}, nil
}
