package command_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/command"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// noon is when the tests of outputs are.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(noon().Add(-d)) }

// plane is a control plane that answers what the test has written down.
type plane struct {
	heliosv1.UnimplementedAdminServiceServer
	resources []*heliosv1.Resource
	pictures  []*heliosv1.GetFleetResponse // all of them to who watches, else the first
	dump      []*heliosv1.GetNodeConfigResponse
	releases  []*heliosv1.Release
	records   []*heliosv1.AuditRecord
	events    []*heliosv1.ListEventsResponse
	outcome   *heliosv1.GetOutcomeResponse
	answers   map[string][]*heliosv1.RunCommandResponse     // of proxies, see RunCommand
	write     func(heliosv1.AdminService_WriteServer) error // what its commit leads to
	changes   []*heliosv1.Change                            // that came
}

func (p *plane) List(r *heliosv1.ListRequest, s heliosv1.AdminService_ListServer) error {
	for _, x := range p.resources { // a message each
		it := x.GetItem()
		if (r.GetKind() == "" || r.GetKind() == it.GetKind()) && (len(r.GetNames()) == 0 || r.GetNames()[0] == it.GetName()) {
			if err := s.Send(&heliosv1.ListResponse{Resources: []*heliosv1.Resource{x}}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *plane) GetFleet(r *heliosv1.GetFleetRequest, s heliosv1.AdminService_GetFleetServer) error {
	for _, m := range p.pictures {
		if r.GetNodeId() != "" {
			m = proto.Clone(m).(*heliosv1.GetFleetResponse)
			m.Nodes = m.Nodes[1:2]
		}
		if err := s.Send(m); err != nil || !r.GetWatch() && !m.GetMore() {
			return err
		}
	}
	return nil
}

func (p *plane) GetNodeConfig(_ *heliosv1.GetNodeConfigRequest, s heliosv1.AdminService_GetNodeConfigServer) error {
	for _, m := range p.dump {
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func (p *plane) ListReleases(_ context.Context, _ *heliosv1.ListReleasesRequest) (*heliosv1.ListReleasesResponse, error) {
	return &heliosv1.ListReleasesResponse{Releases: p.releases}, nil
}

func (p *plane) ListAudit(_ context.Context, r *heliosv1.ListAuditRequest) (*heliosv1.ListAuditResponse, error) {
	if r.GetRequestId() != "" {
		return &heliosv1.ListAuditResponse{}, nil
	}
	return &heliosv1.ListAuditResponse{Records: p.records}, nil
}

func (p *plane) GetOutcome(context.Context, *heliosv1.GetOutcomeRequest) (*heliosv1.GetOutcomeResponse, error) {
	return p.outcome, nil
}

func (p *plane) ListEvents(_ *heliosv1.ListEventsRequest, s heliosv1.AdminService_ListEventsServer) error {
	for _, m := range p.events {
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func (p *plane) Write(s heliosv1.AdminService_WriteServer) error {
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		p.changes = append(p.changes, r.GetChanges().GetChanges()...)
		if r.GetCommit() != nil {
			return p.write(s)
		}
	}
}

// serve lets a control plane answer for the length of a test.
func serve(t *testing.T, p *plane) (*tool, *grpc.Server) {
	t.Helper()
	dir, err := os.MkdirTemp("", "helioctl") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	heliosv1.RegisterAdminServiceServer(s, p)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return newTool(t, "unix:"+l.Addr().String()), s
}

func stored(t *testing.T, kind resource.Kind, m resource.Message, revision uint64) *heliosv1.Resource {
	t.Helper()
	it, err := release.Encode(kind, m)
	if err != nil {
		t.Fatal(err)
	}
	return &heliosv1.Resource{Item: it, Revision: revision}
}

// answers is a fleet of three: one as it should be, one that has refused, one that is gone.
func answers(t *testing.T) *plane {
	gen := func(n int64) *heliosv1.Generation { return &heliosv1.Generation{Epoch: 1, Revision: n} }
	nodes := func(state heliosv1.NodeState, g int64, seen time.Duration) []*heliosv1.FleetNode {
		return []*heliosv1.FleetNode{
			{
				NodeId: "proxy-1", Group: "default", Build: "v1.2.3", State: state, Generation: gen(g), Hash: "aa", Source: heliosv1.Source_SOURCE_CONTROL_PLANE,
				Since: ago(192 * time.Second), LastSeen: ago(seen), Started: ago(26 * time.Hour), Connected: true, Ready: true,
				Listeners: map[string]string{"main": "0.0.0.0:6432", "extra": "10.0.0.1:6433"}, Clients: 120, Servers: 20,
			},
			{
				NodeId: "proxy-two", Group: "default", Build: "v1.2.3", State: heliosv1.NodeState_NODE_STATE_NACKED, Generation: gen(41), Hash: "bb",
				Source: heliosv1.Source_SOURCE_LAST_KNOWN_GOOD, Since: ago(5 * time.Second), LastSeen: ago(time.Second), Started: ago(5 * time.Second), Connected: true, Ready: true,
				Rejection: &heliosv1.Rejection{Generation: gen(42), Hash: "aa", Stage: heliosv1.Stage_STAGE_WARM, Faults: []*heliosv1.Fault{
					{Kind: "Listener", Name: "extra", Field: "address", Reason: "listen tcp 10.0.0.1:6433: bind: address already in use"},
					{Reason: "one more"},
				}},
				Warnings: []string{"the disk is full"}, Listeners: map[string]string{"main": "0.0.0.0:6432"}, Clients: 1,
			},
			{NodeId: "proxy-3", State: heliosv1.NodeState_NODE_STATE_OFFLINE, Reason: "no node was reached", LastSeen: ago(80 * time.Hour)},
		}
	}
	pool := &heliosv1.PoolProfile{Name: "web", Mode: heliosv1.PoolMode_POOL_MODE_TRANSACTION, MaxConnections: 20}
	listener := &heliosv1.Listener{
		Name: "extra", Address: "10.0.0.1:6433", Auth: heliosv1.AuthMethod_AUTH_METHOD_SCRAM, Hba: "host all all all scram-sha-256\nlocal all all peer\n",
		Tls: &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_VERIFY_FULL, CertFile: "c", KeyFile: "k", CaFile: "a"},
	}
	return &plane{
		resources: []*heliosv1.Resource{
			stored(t, resource.KindPoolProfile, pool, 7), stored(t, resource.KindListener, listener, 8),
			stored(t, resource.KindDatabase, &heliosv1.Database{Name: "shop", Cluster: "main", PoolProfile: "web"}, 3),
			stored(t, resource.KindUser, &heliosv1.User{Name: "app", Secret: &heliosv1.Secret{Redacted: true}}, 3),
		},
		pictures: []*heliosv1.GetFleetResponse{
			{Nodes: nodes(heliosv1.NodeState_NODE_STATE_PENDING, 41, time.Second), Generation: gen(42), Hash: "aa"},
			{Nodes: nodes(heliosv1.NodeState_NODE_STATE_PENDING, 41, time.Millisecond), Generation: gen(42), Hash: "aa"},
			{Nodes: nodes(heliosv1.NodeState_NODE_STATE_SYNCED, 42, time.Second)[:1], More: true},
			{Nodes: nodes(heliosv1.NodeState_NODE_STATE_SYNCED, 42, time.Second)[1:], Generation: gen(42), Hash: "aa"},
		},
		dump: []*heliosv1.GetNodeConfigResponse{
			{Generation: gen(42), Hash: "aa", Source: heliosv1.Source_SOURCE_LAST_KNOWN_GOOD, Since: ago(time.Minute), Items: []*heliosv1.Item{stored(t, resource.KindPoolProfile, pool, 0).Item}},
			{Items: []*heliosv1.Item{stored(t, resource.KindListener, listener, 0).Item}},
		},
		releases: []*heliosv1.Release{
			{Number: 12, Revision: 8, Hash: "aa", Created: ago(time.Hour), Resources: 4, Bytes: 1000, Generation: gen(42), Current: true, Actor: "admin (eve@laptop)", Message: "a listener"},
			{Number: 11, Revision: 7, Hash: "bb", Created: ago(5 * time.Hour), Resources: 3, Bytes: 900, Actor: "local"},
		},
		records: []*heliosv1.AuditRecord{
			{Revision: 8, Time: ago(time.Hour), Actor: "admin (eve@laptop)", RequestId: "0123456789abcdef", Message: "a listener", Changes: []*heliosv1.AuditChange{
				{Action: heliosv1.Action_ACTION_CREATED, Kind: "Listener", Name: "extra"},
				{Action: heliosv1.Action_ACTION_UPDATED, Kind: "User", Name: "app", Fields: []string{"secret", "server_user"}},
				{Action: heliosv1.Action_ACTION_DELETED, Kind: "User", Name: "b"},
				{Action: heliosv1.Action_ACTION_DELETED, Kind: "User", Name: "c"},
			}, More: 5},
			{Revision: 7, Time: ago(5 * time.Hour), Actor: "local", RequestId: "1", UndoTo: 3},
		},
		events: []*heliosv1.ListEventsResponse{
			{Lost: 3, Events: []*heliosv1.Event{{Time: ago(1500 * time.Millisecond), Type: "released", Generation: gen(42), Message: "release 12, 4 resources, 1000 bytes"}}},
			{Events: []*heliosv1.Event{{Time: ago(time.Second), Type: "nacked", NodeId: "proxy-two", Generation: gen(42), Message: "warm"}}},
		},
	}
}

// TestGolden holds everything that is read against what it was; -update writes it.
func TestGolden(t *testing.T) {
	x, _ := serve(t, answers(t))
	for _, line := range []string{
		"get all", "get poolprofiles -o wide", "get pool web -o json", "get user app -o yaml", "get all -o json", "get all -o name", "get nodes", "get nodes -o json",
		"describe pool web", "describe listener extra", "describe proxy proxy-two",
		"fleet status", "fleet status -o json", "fleet status -o yaml", "fleet status -o name", "fleet status --watch", "fleet status --watch -o name",
		"node config proxy-two", "node config proxy-two -o json", "node config proxy-two -o yaml",
		"history", "history -o yaml", "history -o name", "audit", "audit -o json", "events", "events -f -o json",
	} {
		t.Run(line, func(t *testing.T) {
			var out bytes.Buffer
			p := command.Program{In: strings.NewReader(""), Out: &out, Err: &out, Env: func(k string) string { return x.env[k] }, Now: noon}
			code := p.Main(strings.Fields(line))
			got := fmt.Sprintf("$ helioctl %s\n%s", line, out.String())
			if code != 0 {
				t.Fatalf("exit code %d\n%s", code, got)
			}
			path := filepath.Join("testdata", strings.NewReplacer(" ", "_", "-", "").Replace(line)+".txt")
			if flag.Lookup("update").Value.String() == "true" {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
			}
		})
	}
}

// TestAuditOutcome: what became of a request of which there is no record.
func TestAuditOutcome(t *testing.T) {
	p := &plane{}
	x, _ := serve(t, p)
	p.outcome = &heliosv1.GetOutcomeResponse{Done: true}
	x.want(0, "", words("audit --request r"), `^request r was carried out and changed nothing$`)
	p.outcome = &heliosv1.GetOutcomeResponse{Done: true, Revision: 5}
	x.want(0, "", words("audit --request r"), `^request r was carried out, revision 5; its record is no longer kept$`)
	p.outcome = &heliosv1.GetOutcomeResponse{}
	x.want(1, "", words("audit --request r"), `^helioctl: request r was not carried out`)
}

// TestWriteAnswers: the exit code of each answer that a write may get, and what is said.
func TestWriteAnswers(t *testing.T) {
	p := &plane{}
	x, _ := serve(t, p)
	detailed := func(code codes.Code, d proto.Message) error {
		s, err := status.New(code, "sentence").WithDetails(protoadapt.MessageV1Of(d))
		if err != nil {
			t.Fatal(err)
		}
		return s.Err()
	}
	for _, tt := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"faults", detailed(codes.InvalidArgument, &heliosv1.Faults{Faults: []*heliosv1.Fault{{Kind: "User", Name: "app", Field: "server_user", Reason: "x"}, {Reason: "y"}, {Kind: "Node", Name: "n", Reason: "z"}}}), 1, "(?s)nothing was changed:\n  -:20: User \"app\": spec.serverUser: x\n  y\n  Node \"n\": z\n"},
		{"invalid", status.Error(codes.InvalidArgument, "sentence"), 1, `^helioctl: sentence$`},
		{"conflict", detailed(codes.Aborted, &heliosv1.Conflict{Kind: "User", Name: "app"}), 3, `conflict, nothing was changed: sentence`},
		{"destruction", detailed(codes.FailedPrecondition, &heliosv1.Destruction{}), 1, `sentence`},
		{"read-only", status.Error(codes.FailedPrecondition, "sentence"), 1, `sentence`},
		{"large", status.Error(codes.ResourceExhausted, "sentence"), 1, `sentence`},
		{"missing", status.Error(codes.NotFound, "sentence"), 1, `sentence`},
		{"old", status.Error(codes.Unimplemented, "sentence"), 1, `older than helioctl`},
		{"unauthenticated", status.Error(codes.Unauthenticated, "sentence"), 1, `sentence`},
		{"store away", detailed(codes.Unavailable, &heliosv1.Outcome{SurelyNot: true}), 4, `nothing was changed: sentence`},
		{"store away, perhaps", detailed(codes.Unknown, &heliosv1.Outcome{}), 5, `audit --request [0-9a-f]{16}`},
		{"lost", status.Error(codes.Unavailable, "sentence"), 5, `audit --request [0-9a-f]{16}`},
		{"fault there", status.Error(codes.Internal, "sentence"), 5, `audit --request`},
		{"no outcome", nil, 5, `audit --request`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x.t = t
			p.write = func(heliosv1.AdminService_WriteServer) error { return tt.err }
			x.want(tt.code, resources, words("apply -f -"), tt.want)
		})
	}
}

// TestConnectionCut: after a connection broke nobody knows what became of the commit.
func TestConnectionCut(t *testing.T) {
	p := &plane{}
	x, server := serve(t, p)
	p.write = func(s heliosv1.AdminService_WriteServer) error {
		go server.Stop()
		<-s.Context().Done()
		return s.Context().Err()
	}
	x.want(5, resources, words("apply -f -"), `audit --request [0-9a-f]{16}`)
}
