package admin

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/fleet"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

const (
	// watchPause is the least time between two pictures of the fleet.
	watchPause = 200 * time.Millisecond
	// dumpPatience is how long a proxy may take to say what it runs.
	dumpPatience = 30 * time.Second
)

// GetFleet shows the proxies, in messages of bounded size. The last message of a picture has the hash.
func (s *Service) GetFleet(r *heliosv1.GetFleetRequest, stream heliosv1.AdminService_GetFleetServer) error {
	for {
		picture, changed := s.Fleet.Nodes(r.GetNodeId())
		if r.GetNodeId() != "" && len(picture.Nodes) == 0 && !r.GetWatch() {
			return failure(&fleet.OfflineError{Node: r.GetNodeId()}, "")
		}
		if err := sendPicture(stream, picture); err != nil || !r.GetWatch() {
			return err
		}
		pause := time.NewTimer(watchPause)
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-pause.C:
		}
		again := time.NewTimer(time.Second) // states depend on the time too
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-changed:
		case <-again.C:
		}
		again.Stop()
	}
}

func sendPicture(stream heliosv1.AdminService_GetFleetServer, p fleet.Snapshot) error {
	m, n := &heliosv1.GetFleetResponse{}, 0
	for _, node := range p.Nodes {
		size := proto.Size(node)
		if n > 0 && n+size > messageBytes {
			m.More = true
			if err := stream.Send(m); err != nil {
				return err
			}
			m, n = &heliosv1.GetFleetResponse{}, 0
		}
		m.Nodes = append(m.Nodes, node)
		n += size
	}
	m.Generation, m.Hash = p.Generation, p.Hash
	return stream.Send(m)
}

// GetNodeConfig asks a proxy what it really runs.
func (s *Service) GetNodeConfig(r *heliosv1.GetNodeConfigRequest, stream heliosv1.AdminService_GetNodeConfigServer) error {
	ctx, stop := context.WithTimeout(stream.Context(), dumpPatience)
	defer stop()
	err := s.Fleet.Dump(ctx, r.GetNodeId(), func(d *heliosv1.ConfigDump) error {
		m := &heliosv1.GetNodeConfigResponse{Generation: d.GetGeneration(), Hash: d.GetHash(), Source: d.GetSource(), Since: d.GetSince()}
		for _, it := range d.GetItems() {
			m.Items = append(m.Items, release.Redacted(it)) // proxies leave secrets out too
		}
		return stream.Send(m)
	})
	return failure(err, "")
}

// ListEvents shows what has happened.
func (s *Service) ListEvents(r *heliosv1.ListEventsRequest, stream heliosv1.AdminService_ListEventsServer) error {
	next := uint64(0)
	for first := true; ; first = false {
		all, n, lost, more := s.Events.From(next)
		if first {
			lost = 0 // what was forgotten before somebody asked
		}
		next = n
		for len(all) > 0 || lost > 0 {
			part := all[:min(len(all), 500)]
			if err := stream.Send(&heliosv1.ListEventsResponse{Events: part, Lost: lost}); err != nil {
				return err
			}
			all, lost = all[len(part):], 0
		}
		if !r.GetFollow() {
			return nil
		}
		select {
		case <-more:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}
