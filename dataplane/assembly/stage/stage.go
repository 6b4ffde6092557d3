// Package stage is what the tests of a whole proxy are played on: its configuration, the proxy itself, and those who come to it. It is
// for tests only and holds none.
package stage

import (
	"flag"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Run runs the tests of a package and returns the exit code. It lets twice as many of them run side by side as there are processors, unless
// it is said how many: most of them wait for servers.
func Run(m *testing.M) int {
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = p.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	return m.Run()
}

// Secret is a password or a verifier.
func Secret(s string) *heliosv1.Secret { return &heliosv1.Secret{Value: s} }

// Config is a configuration in front of one server; tests change what they are about.
func Config(srv *pgcluster.Server, mode heliosv1.PoolMode, max uint32) *resource.Set {
	return ConfigAt(srv.Addr(), mode, max)
}

// ConfigAt is [Config] for whatever there is at an address.
func ConfigAt(addr string, mode heliosv1.PoolMode, max uint32) *resource.Set {
	at := netip.MustParseAddrPort(addr)
	return &resource.Set{
		Clusters: map[string]*heliosv1.Cluster{"main": {Name: "main"}},
		Nodes: map[string]*heliosv1.Node{"n1": {
			Name: "n1", Cluster: "main", Host: at.Addr().String(), Port: uint32(at.Port()), Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY,
		}},
		PoolProfiles: map[string]*heliosv1.PoolProfile{"default": {
			Name: "default", Mode: mode, MaxConnections: max, IdleTimeout: durationpb.New(time.Minute),
			AcquireTimeout: durationpb.New(10 * time.Second), ConnectTimeout: durationpb.New(5 * time.Second),
		}},
		Listeners: map[string]*heliosv1.Listener{"main": {Name: "main", Address: "127.0.0.1:0", Auth: heliosv1.AuthMethod_AUTH_METHOD_TRUST}},
		Databases: map[string]*heliosv1.Database{"*": {Name: "*", Cluster: "main", PoolProfile: "default"}},
		Users:     map[string]*heliosv1.User{},
		Limits: map[string]*heliosv1.Limits{"default": {
			Name: "default", MaxPreparedStatements: 8192, MaxPreparedPerServer: 100, MaxPreparedBytes: 64 << 20, MaxStatementBytes: 4 << 20,
			LoginTimeout: durationpb.New(30 * time.Second), MaxFailedLogins: proto.Uint32(10), FailedLoginWindow: durationpb.New(time.Minute), MaxWaitingLogins: 256,
		}},
	}
}

// Start runs a proxy with the configuration for the length of a test and returns its address.
func Start(t testing.TB, set *resource.Set, edit ...func(*assembly.Options)) (*assembly.Proxy, string) {
	t.Helper()
	o := assembly.Options{Log: zap.NewNop(), Loops: 1, Reactor: reactor.Options{Poison: true}}
	if testing.Verbose() {
		o.Log = zaptest.NewLogger(t, zaptest.Level(zap.InfoLevel))
	}
	for _, e := range edit {
		e(&o)
	}
	p, err := assembly.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	return p, p.Addresses()["main"]
}
