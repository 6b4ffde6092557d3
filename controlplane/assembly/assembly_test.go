package assembly_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/assembly"
	"github.com/heliosproxy/heliosproxy/controlplane/keyspace"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/memory"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// plane is a control plane and a client of its services.
type plane struct {
	*assembly.ControlPlane
	heliosv1.AdminServiceClient
	heliosv1.ConfigServiceClient
	heliosv1.StatusServiceClient
}

func start(t *testing.T, s store.Store, edit ...func(*assembly.Options)) *plane {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	o := assembly.Options{
		Log: zap.NewNop(), Store: s, MaxConfigBytes: 1 << 20,
		Admin: []assembly.Door{{Listener: l, Role: "local"}}, Stream: []assembly.Door{{Listener: m, Role: "local"}},
	}
	for _, e := range edit {
		e(&o)
	}
	c, err := assembly.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	dial := func(l net.Listener) *grpc.ClientConn {
		conn, err := grpc.NewClient("unix:"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	proxies := dial(m)
	return &plane{c, heliosv1.NewAdminServiceClient(dial(l)), heliosv1.NewConfigServiceClient(proxies), heliosv1.NewStatusServiceClient(proxies)}
}

// set is a small configuration.
func set(max uint32) *resource.Set {
	return &resource.Set{
		Clusters:     map[string]*heliosv1.Cluster{"c": {Name: "c"}},
		Nodes:        map[string]*heliosv1.Node{"n": {Name: "n", Cluster: "c", Host: "db", Port: 1, Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY}},
		PoolProfiles: map[string]*heliosv1.PoolProfile{"p": {Name: "p", Mode: heliosv1.PoolMode_POOL_MODE_SESSION, MaxConnections: max}},
		Databases:    map[string]*heliosv1.Database{"d": {Name: "d", Cluster: "c", PoolProfile: "p"}},
		Users:        map[string]*heliosv1.User{"u": {Name: "u", Secret: &heliosv1.Secret{Value: "geheim"}}},
	}
}

// lossy is a store that can be taken away.
type lossy struct {
	*memory.Store
	gone atomic.Bool
}

func (l *lossy) List(ctx context.Context, r store.Range) (store.Page, error) {
	if l.gone.Load() {
		return store.Page{}, fmt.Errorf("test: %w", store.ErrUnavailable)
	}
	return l.Store.List(ctx, r)
}

func (l *lossy) Commit(ctx context.Context, t store.Txn) (store.Result, error) {
	if l.gone.Load() {
		return store.Result{}, fmt.Errorf("test: %w", store.ErrUnavailable)
	}
	return l.Store.Commit(ctx, t)
}

func (p *plane) write(t *testing.T, h *heliosv1.WriteHeader, changes ...*heliosv1.Change) (*heliosv1.WriteOutcome, error) {
	t.Helper()
	s, err := p.Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*heliosv1.WriteRequest{
		{Message: &heliosv1.WriteRequest_Header{Header: h}},
		{Message: &heliosv1.WriteRequest_Changes{Changes: &heliosv1.Changes{Changes: changes}}},
		{Message: &heliosv1.WriteRequest_Commit{Commit: &heliosv1.WriteCommit{}}},
	} {
		if s.Send(m) != nil {
			break
		}
	}
	for {
		m, err := s.Recv()
		if err != nil {
			return nil, err
		}
		if m.GetOutcome() != nil {
			return m.GetOutcome(), nil
		}
	}
}

func user(t *testing.T, name string) *heliosv1.Change {
	t.Helper()
	it, err := release.Encode(resource.KindUser, &heliosv1.User{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return &heliosv1.Change{Change: &heliosv1.Change_Put{Put: it}}
}

// TestStoreLost: without the store reads and streams go on, writes are refused with words and surely not done, and
// what was written before and after is there.
func TestStoreLost(t *testing.T) {
	s := &lossy{Store: memory.New()}
	p := start(t, s)
	hash, err := p.Replace(t.Context(), set(1), "test")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return p.Generation() != nil })
	s.gone.Store(true)
	list, err := p.List(t.Context(), &heliosv1.ListRequest{Kind: "User"})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := list.Recv(); err != nil || len(m.GetResources()) != 1 {
		t.Errorf("%v, %v", m, err)
	}
	_, err = p.write(t, &heliosv1.WriteHeader{RequestId: "r"}, user(t, "v"))
	st := status.Convert(err)
	if st.Code() != codes.Unavailable || len(st.Details()) != 1 || !st.Details()[0].(*heliosv1.Outcome).GetSurelyNot() {
		t.Errorf("got %v %v", err, st.Details())
	}
	stream, err := p.StreamConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&heliosv1.StreamConfigRequest{Message: &heliosv1.StreamConfigRequest_Hello{Hello: &heliosv1.ConfigHello{
		NodeId: "a", ProtocolVersion: 1, Kinds: []string{"Cluster", "Node", "PoolProfile", "Database", "User"},
	}}}); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if b := m.GetBegin(); b != nil {
			if b.GetHash() != hash {
				t.Errorf("got %v", b)
			}
			break
		}
	}
	s.gone.Store(false)
	if o, err := p.write(t, &heliosv1.WriteHeader{RequestId: "r"}, user(t, "v")); err != nil || o.GetRevision() != 2 {
		t.Errorf("%v, %v", o, err)
	}
}

// TestTwoControlPlanes on one store: what is written at one is there at the other, under the same generation.
func TestTwoControlPlanes(t *testing.T) {
	s := memory.New()
	a, b := start(t, s), start(t, s)
	hash, err := a.Replace(t.Context(), set(1), "test")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Replace(t.Context(), set(1), "test"); err != nil || again != hash {
		t.Errorf("%s and %s, %v", hash, again, err)
	}
	if o, err := b.write(t, &heliosv1.WriteHeader{RequestId: "r"}, user(t, "v")); err != nil || o.GetRevision() != 2 {
		t.Errorf("%v, %v", o, err)
	}
	eventually(t, func() bool { return a.Generation() != nil && proto.Equal(a.Generation(), b.Generation()) })
}

// TestMockSecret: the control planes of a store share what salts of unknown users are made from, also of a store that was made when
// there was no such thing, and it stays.
func TestMockSecret(t *testing.T) {
	s := memory.New()
	old, err := proto.Marshal(&heliosv1.StoreIdentity{Id: "old", Epoch: 7})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), store.Txn{Then: []store.Op{{Key: keyspace.Store, Value: old}}}); err != nil {
		t.Fatal(err)
	}
	var first string
	for range 3 {
		start(t, s)
		page, err := s.List(t.Context(), store.Range{Prefix: keyspace.Store})
		if err != nil || len(page.KVs) != 1 {
			t.Fatal(page, err)
		}
		id := &heliosv1.StoreIdentity{}
		if err := proto.Unmarshal(page.KVs[0].Value, id); err != nil {
			t.Fatal(err)
		}
		secret := id.GetMockSecret()
		if first == "" {
			first = secret
		}
		if len(secret) < 32 || secret != first || id.GetId() != "old" || id.GetEpoch() != 7 {
			t.Errorf("the store is %q of epoch %d with a secret of %d bytes, the first one: %v", id.GetId(), id.GetEpoch(), len(secret), secret == first)
		}
	}
}

// eventually waits for what happens in other goroutines.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 10 s")
		}
	}
}

// TestReadOnly: where a file is the source nobody writes, but may ask what a write would do.
func TestReadOnly(t *testing.T) {
	p := start(t, memory.New(), func(o *assembly.Options) { o.ReadOnly = "the file is the source" })
	if _, err := p.Replace(t.Context(), set(1), "file"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.write(t, &heliosv1.WriteHeader{RequestId: "r"}, user(t, "v")); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v", err)
	}
	if o, err := p.write(t, &heliosv1.WriteHeader{RequestId: "r", DryRun: true}, user(t, "v")); err != nil || !o.GetChanged() {
		t.Errorf("%v, %v", o, err)
	}
}

// TestWatch shows what is there, and then each change.
func TestWatch(t *testing.T) {
	p := start(t, memory.New())
	if _, err := p.Replace(t.Context(), set(1), "test"); err != nil {
		t.Fatal(err)
	}
	w, err := p.AdminServiceClient.Watch(t.Context(), &heliosv1.WatchRequest{Kind: "User"})
	if err != nil {
		t.Fatal(err)
	}
	next := func() *heliosv1.WatchResponse {
		m, err := w.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := next(); len(m.GetUpserts()) != 1 || m.GetUpserts()[0].GetItem().GetName() != "u" || m.GetRevision() != 1 {
		t.Errorf("got %v", m)
	}
	if !next().GetSynced() {
		t.Error("nobody says that this was all")
	}
	if _, err := p.write(t, &heliosv1.WriteHeader{RequestId: "r"}, user(t, "v")); err != nil {
		t.Fatal(err)
	}
	if m := next(); len(m.GetUpserts()) != 1 || m.GetUpserts()[0].GetItem().GetName() != "v" || m.GetRevision() != 2 {
		t.Errorf("got %v", m)
	}
	gone := &heliosv1.Change{Change: &heliosv1.Change_Delete{Delete: &heliosv1.Ref{Kind: "User", Name: "v"}}}
	if _, err := p.write(t, &heliosv1.WriteHeader{RequestId: "s", AllowDestructive: true}, gone); err != nil {
		t.Fatal(err)
	}
	if m := next(); len(m.GetRemoves()) != 1 || m.GetRemoves()[0].GetName() != "v" {
		t.Errorf("got %v", m)
	}
}

// TestNotServedUnread: a store that is not there is waited for, and nobody is served meanwhile.
func TestNotServedUnread(t *testing.T) {
	s := &lossy{Store: memory.New()}
	s.gone.Store(true)
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if c, err := assembly.Start(ctx, assembly.Options{Log: zap.NewNop(), Store: s}); err == nil {
		c.Close()
		t.Error("it has started without a store")
	}
}
