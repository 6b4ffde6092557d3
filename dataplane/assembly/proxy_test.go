package assembly

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// config is a configuration in front of one server; tests change what they are about.
func config(srv *pgcluster.Server, mode heliosv1.PoolMode, max uint32) *resource.Set {
	return configAt(srv.Addr(), mode, max)
}

// configAt is config for whatever there is at an address.
func configAt(addr string, mode heliosv1.PoolMode, max uint32) *resource.Set {
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

// start runs a proxy with the configuration for the length of a test and returns its address.
func start(t testing.TB, set *resource.Set, edit ...func(*Options)) (*Proxy, string) {
	t.Helper()
	o := Options{Log: zap.NewNop(), Loops: 1, Reactor: reactor.Options{Poison: true}}
	if testing.Verbose() {
		o.Log = zaptest.NewLogger(t, zaptest.Level(zap.InfoLevel))
	}
	for _, e := range edit {
		e(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	return p, p.Addresses()["main"]
}

func pgbench(t testing.TB, addr string, args ...string) string {
	t.Helper()
	host, port := split(addr)
	c := exec.Command("pgbench", append([]string{"-h", host, "-p", port, "-U", "postgres", "postgres"}, args...)...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func split(addr string) (host, port string) {
	var n int
	for n = len(addr) - 1; addr[n] != ':'; n-- {
	}
	return addr[:n], addr[n+1:]
}

func TestPgbench(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 5))
	pgbench(t, addr, "-i", "-s", "1", "-q")
	script := filepath.Join(t.TempDir(), "pipe.sql")
	text := "\\startpipeline\n"
	for i := range 10 {
		text += fmt.Sprintf("SELECT abalance + %d FROM pgbench_accounts WHERE aid = 17;\n", i)
	}
	if err := os.WriteFile(script, []byte(text+"\\endpipeline\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"simple", "extended", "prepared"} {
		t.Log(pgbench(t, addr, "-n", "-c", "20", "-t", "8", "-M", mode))
		if mode != "simple" {
			t.Log(pgbench(t, addr, "-n", "-c", "20", "-t", "8", "-M", mode, "-f", script))
		}
	}
}
