package leaks

import (
	"context"
	"crypto/tls"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/faultconn"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

var secured = flag.Bool("leaks.tls", false, "speak TLS at both sides of the proxy, and log in by SCRAM")

const password = "a password"

// wires is how sessions reach the proxy and PostgreSQL, and the proxy PostgreSQL. The zero wires is without TLS, for who is trusted.
type wires struct {
	client        *tls.Config
	relay         string // an address of PostgreSQL
	ca, cert, key string // files: the authority's certificate, the proxy's, and its key
	dials         atomic.Uint64
}

// chosen is what the flag says.
func chosen(t testing.TB) *wires {
	if *secured {
		return encrypted(t)
	}
	return &wires{}
}

// encrypted makes everybody speak TLS for the length of a test. What is sent is cut within records and between them.
func encrypted(t testing.TB) *wires {
	t.Helper()
	ca, dir := certs.NewAuthority(t), t.TempDir()
	pair := ca.Server("127.0.0.1")
	w := &wires{client: &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}, ca: filepath.Join(dir, "ca.crt")}
	if err := os.WriteFile(w.ca, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	w.cert, w.key = pair.Files(t, dir, "server")
	cluster.Primary.Exec(t, "SET password_encryption = 'scram-sha-256'; ALTER ROLE worker PASSWORD '"+password+"'")
	cluster.Primary.SpeakTLS(t, pair.Cert, pair.Key, nil)
	t.Cleanup(func() { cluster.Primary.Exec(t, "ALTER SYSTEM SET ssl = off", "SELECT pg_reload_conf()") })
	w.relay = faultconn.Relay(t, cluster.Primary.Addr())
	return w
}

// configure makes a proxy use them.
func (w *wires) configure(set *resource.Set) {
	if w.client == nil {
		return
	}
	host, port, _ := net.SplitHostPort(w.relay)
	at, _ := strconv.ParseUint(port, 10, 16)
	set.Nodes["n1"].Host, set.Nodes["n1"].Port = host, uint32(at)
	set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: heliosv1.SSLMode_SSL_MODE_VERIFY_CA, CaFile: w.ca}
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: w.cert, KeyFile: w.key}
	set.Users = map[string]*heliosv1.User{"worker": {Name: "worker", Secret: &heliosv1.Secret{Value: password}}}
}

// use makes a session use them.
func (w *wires) use(cfg *pgconn.Config) {
	if w.client == nil {
		return
	}
	cfg.TLSConfig, cfg.Password = w.client, password
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return faultconn.NewCutter(c, w.dials.Add(1)), nil
	}
}

// TestTLS is a part of TestLeaks over TLS.
func TestTLS(t *testing.T) {
	if *secured {
		t.Skip("the others are all of it")
	}
	databases(t)
	if w, wrong := interleave(t, encrypted(t), heliosv1.LeakGuard_LEAK_GUARD_CATALOG, min(*interleaving, 15), units()); wrong != "" {
		w.tell(t, wrong)
	}
}
