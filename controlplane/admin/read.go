package admin

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/desired"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// List reads resources.
func (s *Service) List(r *heliosv1.ListRequest, stream heliosv1.AdminService_ListServer) error {
	if err := kindNamed(r.GetKind()); err != nil {
		return err
	}
	st, err := s.Desired.State()
	if err != nil {
		return failure(err, "")
	}
	if missing := absent(st, r); missing != nil {
		return failure(missing, "")
	}
	m, n := &heliosv1.ListResponse{Revision: st.Revision}, 0
	for _, t := range resource.Types() {
		for it := range st.Content.Items {
			if it.GetKind() != string(t.Kind) || !wanted(r, it) {
				continue
			}
			stored, _ := st.Get(desired.Key{Kind: it.GetKind(), Name: it.GetName()})
			x := show(stored)
			size := proto.Size(x)
			if n > 0 && n+size > messageBytes {
				if err := stream.Send(m); err != nil {
					return err
				}
				m, n = &heliosv1.ListResponse{Revision: st.Revision}, 0
			}
			m.Resources = append(m.Resources, x)
			n += size
		}
	}
	return stream.Send(m)
}

func wanted(r *heliosv1.ListRequest, it *heliosv1.Item) bool {
	return (r.GetKind() == "" || it.GetKind() == r.GetKind()) && (len(r.GetNames()) == 0 || slices.Contains(r.GetNames(), it.GetName()))
}

// absent returns an error for the first name that is asked for and not there.
func absent(st *desired.State, r *heliosv1.ListRequest) error {
	for _, name := range r.GetNames() {
		if _, ok := st.Get(desired.Key{Kind: r.GetKind(), Name: name}); !ok && r.GetKind() != "" {
			return &desired.NotFoundError{What: r.GetKind() + " \"" + name + "\""}
		}
	}
	return nil
}

// Watch shows resources and then their changes.
func (s *Service) Watch(r *heliosv1.WatchRequest, stream heliosv1.AdminService_WatchServer) error {
	if err := kindNamed(r.GetKind()); err != nil {
		return err
	}
	last, lastRevision := release.Empty(), uint64(0)
	for first := true; ; first = false {
		changed := s.Changed()
		st, err := s.Desired.State()
		if err != nil {
			return failure(err, "")
		}
		if first || st.Revision != lastRevision {
			if err := sendChanges(stream, r.GetKind(), st, last.To(st.Content), first); err != nil {
				return err
			}
			last, lastRevision = st.Content, st.Revision
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func sendChanges(stream heliosv1.AdminService_WatchServer, kind string, st *desired.State, d release.Difference, first bool) error {
	for part := range d.Chunks(messageBytes) {
		m := &heliosv1.WatchResponse{Revision: st.Revision}
		for _, it := range part.Upserts {
			if stored, ok := st.Get(desired.Key{Kind: it.GetKind(), Name: it.GetName()}); ok && (kind == "" || kind == it.GetKind()) {
				m.Upserts = append(m.Upserts, show(stored))
			}
		}
		for _, ref := range part.Removes {
			if kind == "" || kind == ref.GetKind() {
				m.Removes = append(m.Removes, ref)
			}
		}
		if len(m.Upserts)+len(m.Removes) > 0 {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
	}
	if first {
		return stream.Send(&heliosv1.WatchResponse{Revision: st.Revision, Synced: true})
	}
	return nil
}

// ListReleases lists the releases that are kept.
func (s *Service) ListReleases(ctx context.Context, _ *heliosv1.ListReleasesRequest) (*heliosv1.ListReleasesResponse, error) {
	all, err := s.Releases.List()
	if err != nil {
		return nil, failure(err, "")
	}
	r := &heliosv1.ListReleasesResponse{}
	for _, m := range all {
		x, err := s.describe(ctx, m)
		if err != nil {
			return nil, failure(err, "")
		}
		r.Releases = append(r.Releases, x)
	}
	return r, nil
}

// describe says of a release what its manifest and the audit record of its revision know.
func (s *Service) describe(ctx context.Context, m *heliosv1.ReleaseManifest) (*heliosv1.Release, error) {
	head, err := s.Releases.Head()
	if err != nil {
		return nil, err
	}
	x := &heliosv1.Release{
		Number: m.GetNumber(), Revision: m.GetRevision(), Hash: m.GetHash(), Created: m.GetCreated(),
		Resources: m.GetResources(), Bytes: m.GetBytes(), Current: m.GetNumber() == head.Number,
	}
	if x.Current {
		x.Generation = s.Generation()
	}
	// Without the store the history is shown all the same.
	if a, err := s.Desired.AuditAt(ctx, m.GetRevision()); err == nil {
		x.Actor, x.Message = a.GetActor(), a.GetMessage()
	}
	return x, nil
}

// GetRelease reads the resources of a release.
func (s *Service) GetRelease(r *heliosv1.GetReleaseRequest, stream heliosv1.AdminService_GetReleaseServer) error {
	number := r.GetNumber()
	if number == 0 {
		head, err := s.Releases.Head()
		if err != nil {
			return failure(err, "")
		}
		number = head.Number
	}
	m, err := s.Releases.Manifest(number)
	if err == nil && m == nil {
		err = &desired.NotFoundError{What: "such release, or it is no longer kept"}
	}
	if err != nil {
		return failure(err, "")
	}
	c, err := s.Releases.Load(stream.Context(), m)
	if err != nil {
		return failure(err, "")
	}
	about, err := s.describe(stream.Context(), m)
	if err != nil {
		return failure(err, "")
	}
	if err := stream.Send(&heliosv1.GetReleaseResponse{Release: about}); err != nil {
		return err
	}
	for part := range release.Empty().To(c).Chunks(messageBytes) {
		x := &heliosv1.GetReleaseResponse{}
		for _, it := range part.Upserts {
			x.Items = append(x.Items, release.Redacted(it))
		}
		if err := stream.Send(x); err != nil {
			return err
		}
	}
	return nil
}

// ListAudit shows who wrote what.
func (s *Service) ListAudit(ctx context.Context, r *heliosv1.ListAuditRequest) (*heliosv1.ListAuditResponse, error) {
	if id := r.GetRequestId(); id != "" {
		record, err := s.Desired.AuditOf(ctx, id)
		if err != nil {
			return nil, failure(err, id)
		}
		if record == nil {
			return &heliosv1.ListAuditResponse{}, nil
		}
		return &heliosv1.ListAuditResponse{Records: []*heliosv1.AuditRecord{record}}, nil
	}
	limit := int(r.GetLimit())
	switch {
	case limit == 0:
		limit = 100
	case limit > 1000:
		return nil, status.Error(codes.InvalidArgument, "at most 1000 audit records are read at once")
	}
	records, err := s.Desired.Audit(ctx, limit)
	if err != nil {
		return nil, failure(err, "")
	}
	return &heliosv1.ListAuditResponse{Records: records}, nil
}
