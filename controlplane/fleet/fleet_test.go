package fleet_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/heliosproxy/heliosproxy/controlplane/fleet"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func at(revision int64) *heliosv1.Generation {
	return &heliosv1.Generation{Epoch: 1, Revision: revision}
}

// TestStates is what is called what, and when.
func TestStates(t *testing.T) {
	const (
		lkg  = heliosv1.Source_SOURCE_LAST_KNOWN_GOOD
		live = heliosv1.Source_SOURCE_CONTROL_PLANE
	)
	hello := func(hash string, source heliosv1.Source) *heliosv1.ConfigHello {
		return &heliosv1.ConfigHello{NodeId: "a", Hash: hash, Source: source, Applied: at(1)}
	}
	for name, tt := range map[string]struct {
		do   func(f *fleet.Fleet, pass func(time.Duration))
		want heliosv1.NodeState
	}{
		"nothing is configured": {func(f *fleet.Fleet, _ func(time.Duration)) { f.Connected(hello("", heliosv1.Source_SOURCE_NONE)) }, heliosv1.NodeState_NODE_STATE_PENDING},
		"it comes with the content": {func(f *fleet.Fleet, _ func(time.Duration)) {
			f.Assign(at(2), "new")
			f.Connected(hello("new", live))
		}, heliosv1.NodeState_NODE_STATE_SYNCED},
		"from its disk, unconfirmed": {func(f *fleet.Fleet, _ func(time.Duration)) {
			f.Assign(at(2), "new")
			f.Connected(hello("new", lkg))
		}, heliosv1.NodeState_NODE_STATE_LAST_KNOWN_GOOD},
		"from its disk, confirmed": {func(f *fleet.Fleet, _ func(time.Duration)) {
			f.Assign(at(2), "new")
			f.Connected(hello("new", lkg))
			f.Confirmed("a", at(2), "new", nil)
		}, heliosv1.NodeState_NODE_STATE_SYNCED},
		"under way": {func(f *fleet.Fleet, _ func(time.Duration)) {
			f.Connected(hello("old", live))
			f.Assign(at(2), "new")
		}, heliosv1.NodeState_NODE_STATE_PENDING},
		"under way for long": {func(f *fleet.Fleet, pass func(time.Duration)) {
			f.Connected(hello("old", live))
			f.Assign(at(2), "new")
			pass(time.Minute)
		}, heliosv1.NodeState_NODE_STATE_STALE},
		"acknowledged": {func(f *fleet.Fleet, _ func(time.Duration)) {
			f.Connected(hello("old", live))
			f.Assign(at(2), "new")
			f.Confirmed("a", at(2), "new", &heliosv1.Ack{})
		}, heliosv1.NodeState_NODE_STATE_SYNCED},
		"refused": {func(f *fleet.Fleet, pass func(time.Duration)) {
			f.Connected(hello("old", live))
			f.Assign(at(2), "new")
			f.Refused("a", &heliosv1.Rejection{Hash: "new"})
			pass(time.Minute)
		}, heliosv1.NodeState_NODE_STATE_NACKED},
		"refused, and then something else came": {func(f *fleet.Fleet, _ func(time.Duration)) {
			f.Connected(hello("old", live))
			f.Assign(at(2), "new")
			f.Refused("a", &heliosv1.Rejection{Hash: "new"})
			f.Assign(at(3), "newer")
		}, heliosv1.NodeState_NODE_STATE_PENDING},
		"gone": {func(f *fleet.Fleet, _ func(time.Duration)) {
			f.Assign(at(2), "new")
			f.Connected(hello("new", live))
			f.Gone("a", errors.New("reset"))
		}, heliosv1.NodeState_NODE_STATE_OFFLINE},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			var events []*heliosv1.Event
			f := fleet.New(fleet.Options{Now: func() time.Time { return now }, Event: func(e *heliosv1.Event) { events = append(events, e) }})
			tt.do(f, func(d time.Duration) { now = now.Add(d) })
			p, _ := f.Nodes("")
			if len(p.Nodes) != 1 || p.Nodes[0].GetState() != tt.want {
				t.Errorf("got %v, want %v", p.Nodes, tt.want)
			}
			if len(events) == 0 {
				t.Error("nothing has happened")
			}
		})
	}
}

// TestForget: proxies that are gone for long are forgotten, those that are there never.
func TestForget(t *testing.T) {
	now := time.Unix(1000, 0)
	f := fleet.New(fleet.Options{Now: func() time.Time { return now }, Event: func(*heliosv1.Event) {}})
	f.Connected(&heliosv1.ConfigHello{NodeId: "gone"})
	f.Gone("gone", nil)
	f.Connected(&heliosv1.ConfigHello{NodeId: "there"})
	now = now.Add(48 * time.Hour)
	f.Connected(&heliosv1.ConfigHello{NodeId: "new"})
	p, _ := f.Nodes("")
	if len(p.Nodes) != 2 || p.Nodes[0].GetNodeId() != "new" || p.Nodes[1].GetNodeId() != "there" {
		t.Errorf("got %v", p.Nodes)
	}
}

// TestStatusStream: a proxy's own word counts, its configuration can be asked for, and one that is gone cannot.
func TestStatusStream(t *testing.T) {
	f := fleet.New(fleet.Options{Now: time.Now, Event: func(*heliosv1.Event) {}})
	l := bufconn.Listen(1 << 16)
	g := grpc.NewServer()
	heliosv1.RegisterStatusServiceServer(g, f)
	go g.Serve(l)
	defer g.Stop()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := f.Dump(t.Context(), "a", nil); err == nil {
		t.Error("nobody was asked and answered")
	}
	ctx, leave := context.WithCancel(t.Context())
	s, err := heliosv1.NewStatusServiceClient(conn).StreamStatus(ctx)
	if err != nil {
		t.Fatal(err)
	}
	report := func(clients uint32) {
		err := s.Send(&heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_Report{Report: &heliosv1.StatusReport{
			NodeId: "a", Hash: "h", Clients: clients, Ready: true, Listeners: map[string]string{"main": "127.0.0.1:1"},
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	report(3)
	if m, err := s.Recv(); err != nil || m.GetSettings().GetInterval().AsDuration() <= 0 {
		t.Fatal(m, err)
	}
	go func() {
		m, err := s.Recv()
		if err != nil {
			return
		}
		id := m.GetConfigWanted().GetId()
		for _, d := range []*heliosv1.ConfigDump{{Id: id + 7, Last: true}, {Id: id, Hash: "h"}, {Id: id, Last: true}} {
			if s.Send(&heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_ConfigDump{ConfigDump: d}}) != nil {
				return
			}
		}
	}()
	var parts []*heliosv1.ConfigDump
	err = f.Dump(t.Context(), "a", func(d *heliosv1.ConfigDump) error { parts = append(parts, d); return nil })
	if err != nil || len(parts) != 2 || parts[0].GetHash() != "h" || !parts[1].GetLast() {
		t.Errorf("%v, %v", parts, err)
	}
	for {
		p, changed := f.Nodes("a")
		if n := p.Nodes[0]; n.GetClients() == 3 && n.GetConnected() && n.GetListeners()["main"] != "" {
			break
		}
		<-changed
	}
	leave()
	for {
		p, changed := f.Nodes("a")
		if p.Nodes[0].GetState() == heliosv1.NodeState_NODE_STATE_OFFLINE {
			break
		}
		<-changed
	}
	var offline *fleet.OfflineError
	if err := f.Dump(t.Context(), "a", nil); !errors.As(err, &offline) || offline.LastSeen.IsZero() {
		t.Errorf("got %v", err)
	}
}
