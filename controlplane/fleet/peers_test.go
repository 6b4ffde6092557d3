package fleet_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/controlplane/fleet"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// names is a roster in memory: the number of a proxy is the length of its name.
type names struct {
	mu   sync.Mutex
	full bool
	at   map[string]string
	told []chan struct{}
}

func (n *names) Join(_ context.Context, node, address string) (uint32, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.full {
		return 0, errors.New("all numbers are taken")
	}
	if n.at[node] != address {
		n.at[node] = address
		for _, c := range n.told {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
	return uint32(len(node)), nil
}

func (n *names) Peers(number uint32) *heliosv1.Peers {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &heliosv1.Peers{YourNumber: number}
	for node, address := range n.at {
		if uint32(len(node)) != number {
			p.Peers = append(p.Peers, &heliosv1.Peer{Number: uint32(len(node)), NodeId: node, Address: address})
		}
	}
	return p
}

func (n *names) Subscribe() (<-chan struct{}, func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := make(chan struct{}, 1)
	n.told = append(n.told, c)
	return c, func() {}
}

// TestPeers tells a proxy its number and who the others are, again when that has changed, and gives a second process under the same node id
// no number while the first is there.
func TestPeers(t *testing.T) {
	n := &names{at: map[string]string{"bb": "10.0.0.2:1"}, full: true}
	var mu sync.Mutex
	events := map[string]int{}
	f := fleet.New(fleet.Options{Now: time.Now, Roster: n, Event: func(e *heliosv1.Event) {
		mu.Lock()
		defer mu.Unlock()
		events[e.GetType()]++
	}})
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
	type proxy struct {
		report func(address string)
		peers  func() *heliosv1.Peers // the next that it is told
		leave  func()
	}
	begin := func(started int64) proxy {
		ctx, leave := context.WithCancel(t.Context())
		s, err := heliosv1.NewStatusServiceClient(conn).StreamStatus(ctx)
		if err != nil {
			t.Fatal(err)
		}
		p := proxy{leave: leave, report: func(address string) {
			if err := s.Send(&heliosv1.StreamStatusRequest{Message: &heliosv1.StreamStatusRequest_Report{Report: &heliosv1.StatusReport{
				NodeId: "a", Started: timestamppb.New(time.Unix(started, 0)), CancelAddress: address,
			}}}); err != nil {
				t.Fatal(err)
			}
		}, peers: func() *heliosv1.Peers {
			for {
				m, err := s.Recv()
				if err != nil {
					t.Fatal(err)
				}
				if m.GetPeers() != nil {
					return m.GetPeers()
				}
			}
		}}
		p.report("10.0.0.1:1")
		return p
	}
	first := begin(1)
	for done := false; !done; <-time.After(time.Millisecond) { // there is no number yet, which is said
		mu.Lock()
		done = events["no-number"] > 0
		mu.Unlock()
	}
	n.mu.Lock()
	n.full = false
	n.mu.Unlock()
	first.report("10.0.0.1:1")
	if p := first.peers(); p.GetYourNumber() != 1 || len(p.GetPeers()) != 1 || p.GetPeers()[0].GetAddress() != "10.0.0.2:1" {
		t.Errorf("the first is told %v", p)
	}
	second := begin(2)
	if p := second.peers(); p.GetYourNumber() != 0 || len(p.GetPeers()) != 1 {
		t.Errorf("another process under the same node id is told %v", p)
	}
	if _, err := n.Join(t.Context(), "ccc", "10.0.0.3:1"); err != nil {
		t.Fatal(err)
	}
	if p := first.peers(); p.GetYourNumber() != 1 || len(p.GetPeers()) != 2 {
		t.Errorf("the first is told %v", p)
	}
	if p := second.peers(); p.GetYourNumber() != 0 || len(p.GetPeers()) != 2 {
		t.Errorf("the second is told %v", p)
	}
	first.leave()
	for {
		if p, changed := f.Nodes("a"); len(p.Nodes[0].GetWarnings()) > 0 {
			<-changed
			continue
		}
		break
	}
	second.report("10.0.0.1:1")
	if p := second.peers(); p.GetYourNumber() != 1 {
		t.Errorf("the second, alone, is told %v", p)
	}
}
