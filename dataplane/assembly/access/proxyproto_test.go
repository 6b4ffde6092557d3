package access

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// passed connects from an address as a balancer does: a header comes first. It is sent in pieces, cut where it says |, the last of them
// together with what the client says.
func passed(network, from, to, header, database string, secure bool) (*pgconn.PgConn, error) {
	c, err := pgconn.ParseConfig("host=127.0.0.1 port=1 user=ann sslmode=disable dbname=" + database)
	if err != nil {
		return nil, err
	}
	if secure {
		c.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	}
	c.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{}
		if from != "" {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
		}
		conn, err := d.DialContext(ctx, network, to)
		if err != nil {
			return nil, err
		}
		pieces := strings.Split(header, "|")
		for _, p := range pieces[:len(pieces)-1] {
			if _, err := conn.Write([]byte(p)); err != nil {
				return nil, err
			}
			<-time.After(20 * time.Millisecond)
		}
		return &headed{conn, pieces[len(pieces)-1]}, nil
	}
	return pgconn.ConnectConfig(context.Background(), c)
}

// headed is a connection that sends something before what is sent first.
type headed struct {
	net.Conn
	head string
}

func (h *headed) Write(p []byte) (int, error) {
	if h.head == "" {
		return h.Conn.Write(p)
	}
	n, err := h.Conn.Write(append([]byte(h.head), p...))
	n = max(0, n-len(h.head))
	h.head = ""
	return n, err
}

// TestProxyProtocol: the address that a trusted sender says is the client's, for rules and on the console; who says nothing or is not trusted
// is told so.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE ann LOGIN")
	p := stage.NewPKI(t)
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	socket := filepath.Join(t.TempDir(), "s")
	set.Listeners["main"].ProxyProtocol = []string{"127.0.0.1"}
	set.Listeners["main"].Hba = "host all all 203.0.113.0/24 trust\nhost all all 2001:db8::/32 trust\nhost all all 127.0.0.2/32 trust\n"
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_PREFER, CertFile: p.Cert, KeyFile: p.Key}
	set.Listeners["open"] = &heliosv1.Listener{Name: "open", Address: "127.0.0.1:0", ProxyProtocol: []string{"127.0.0.0/8"}} // lets in who is near
	set.Listeners["unix"] = &heliosv1.Listener{
		Name: "unix", Address: "unix:" + socket, ProxyProtocol: []string{"unix"}, Hba: "local all all peer\nhost all all 203.0.113.0/24 trust\n",
		Tls: &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_PREFER, CertFile: p.Cert, KeyFile: p.Key},
	}
	set.Consoles = map[string]*heliosv1.Console{"default": {Name: "default", AdminUsers: []string{"ann"}}}
	proxy, main := stage.Start(t, set)
	open := proxy.Addresses()["open"]
	const (
		v2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x0a\x00\x00\x02\x30\x39\x15\x38" // 203.0.113.9:12345
		v6 = "PROXY TCP6 2001:db8::7 ::1 6 5432\r\n"
	)
	admin, err := passed("tcp", "127.0.0.1", main, v2, "pgbouncer", false)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	for _, tt := range []struct {
		name, network, from, to, header string
		secure                          bool
		want                            string // the address on the console, or of the refusal what it contains
	}{
		{"v1", "tcp", "127.0.0.1", main, "PROXY TCP4 203.0.113.9 10.0.0.2 12345 5432\r\n", false, "203.0.113.9"},
		{"v1 in pieces", "tcp", "127.0.0.1", main, "PROXY TC|P4 203.0.113.9 10.0.0.2 12345 5432\r|\n", false, "203.0.113.9"},
		{"v1 alone", "tcp", "127.0.0.1", main, v6 + "|", false, "2001:db8::7"},
		{"v2", "tcp", "127.0.0.1", main, v2, false, "203.0.113.9"},
		{"v2 and TLS", "tcp", "127.0.0.1", main, v2, true, "203.0.113.9"},
		{"by another rule", "tcp", "127.0.0.1", main, "PROXY TCP4 198.51.100.1 10.0.0.2 12345 5432\r\n", false, "198.51.100.1"},
		{"none", "tcp", "127.0.0.1", main, "", false, "invalid PROXY protocol header: there is none (SQLSTATE 08P01)"},
		{"a wrong one", "tcp", "127.0.0.1", main, "PROXY TCP5 1 2 3 4\r\n", false, "invalid PROXY protocol header: version 1"},
		{"not trusted, none", "tcp", "127.0.0.2", main, "", false, "127.0.0.2"},
		{"not trusted, one", "tcp", "127.0.0.2", main, v2, false, "invalid startup packet"},
		{"UNKNOWN is not near", "tcp", "127.0.0.1", open, "PROXY UNKNOWN\r\n", false, "SQLSTATE 28000"},
		{"loopback there is not near", "tcp", "127.0.0.1", open, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", false, "SQLSTATE 28000"},
		{"unix", "unix", "", socket, v2, false, "203.0.113.9"},
		{"unix and TLS", "unix", "", socket, v2, true, "203.0.113.9"},
		{"unix, not known", "unix", "", socket, "PROXY UNKNOWN\r\n", false, "peer"},
		{"unix, none", "unix", "", socket, "", false, "there is none"},
	} {
		c, err := passed(tt.network, tt.from, tt.to, tt.header, "postgres", tt.secure)
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v; want %s", tt.name, err, tt.want)
			}
			continue
		}
		all := stage.Rows(t, admin, "SHOW CLIENTS")
		if !slices.ContainsFunc(all, func(r map[string]string) bool { return r["addr"] == tt.want && (r["tls"] != "") == tt.secure }) {
			t.Errorf("%s: %v; want %s", tt.name, all, tt.want)
		}
		c.Close(context.Background())
	}
}

// TestShared: two proxies listen at one port, as each of them says that it may be shared.
func TestShared(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].SoReuseport = true
	_, addr := stage.Start(t, set)
	set = stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Address = addr
	alone, err := assembly.New(assembly.Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	if _, err := alone.Apply(set, nil); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("who does not share: %v", err)
	}
	set.Listeners["main"].SoReuseport = true
	second, _ := stage.Start(t, set)
	for range 50 {
		stage.Want(t, stage.Connect(t, addr, "postgres"), "SELECT 1", "1")
	}
	if n := second.Metrics().Counted.Logins; n == 0 || n == 50 {
		t.Errorf("%d of 50 clients came to the second", n)
	}
}
