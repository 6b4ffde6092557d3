package access

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestSSLModes lets psql come in with each sslmode, at listeners of each mode.
func TestSSLModes(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p := stage.NewPKI(t)
	const noTLS = "connection requires TLS"
	for mode, wants := range map[heliosv1.SSLMode]map[string]string{
		heliosv1.SSLMode_SSL_MODE_DISABLE: {"disable": "ann", "prefer": "ann", "require": "server does not support SSL"},
		heliosv1.SSLMode_SSL_MODE_ALLOW:   {"disable": "ann", "allow": "ann", "prefer": "ann", "require": "ann"},
		heliosv1.SSLMode_SSL_MODE_REQUIRE: {"disable": noTLS, "allow": "ann", "prefer": "ann", "require": "ann", "verify-ca": "ann", "verify-full": "ann"},
	} {
		set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
		set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: mode, CertFile: p.Cert, KeyFile: p.Key}
		pg.Primary.Exec(t, "DO $$BEGIN CREATE ROLE ann LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$")
		_, addr := stage.Start(t, set)
		for sslmode, want := range wants {
			if got := stage.Psql(t, addr, "user=ann sslrootcert="+p.CA+" sslmode="+sslmode, "SELECT current_user"); got != want && (want == "ann" || !strings.Contains(got, want)) {
				t.Errorf("%v, sslmode %s: %s; want %s", mode, sslmode, got, want)
			}
		}
		if mode != heliosv1.SSLMode_SSL_MODE_REQUIRE {
			continue
		}
		if got := stage.Psql(t, addr, "user=ann sslmode=require", "SELECT repeat('x', 300000)"); got != strings.Repeat("x", 300_000) {
			t.Errorf("a long text comes back with %d bytes", len(got))
		}
		if got := stage.Psql(t, addr, "user=ann sslmode=require ssl_max_protocol_version=TLSv1.2", "SELECT 1"); got != "1" {
			t.Errorf("TLS 1.2: %s", got)
		}
	}
}

// TestAlternativeNames lets those in by clientname=SAN one of whose alternative names the map has, or is the user.
func TestAlternativeNames(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE ann LOGIN", `CREATE ROLE "ann.example.com" LOGIN`)
	p := stage.NewPKI(t)
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Auth = 0
	set.Listeners["main"].Hba = "hostssl all ann all cert clientname=SAN map=mail\nhostssl all all all cert clientname=SAN\n"
	set.Listeners["main"].Ident = `mail /^([a-z]+)@example\.com$ \1` + "\n"
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.Cert, KeyFile: p.Key, CaFile: p.CA}
	_, addr := stage.Start(t, set)
	named := p.Issue("somebody", func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"other.example.com", "ann.example.com"}, []string{"ann@example.com"}
	})
	for user, want := range map[string]string{"ann": "ann", "ann.example.com": "ann.example.com", "somebody": "certificate authentication failed", "postgres": "certificate authentication failed"} {
		if got := stage.Psql(t, addr, "user="+user+" sslmode=require"+p.Conninfo(t, "named", named), "SELECT current_user"); !strings.Contains(got, want) {
			t.Errorf("%s: %s", user, got)
		}
	}
	if got := stage.Psql(t, addr, "user=ann sslmode=require"+p.Conninfo(t, "common", p.Client("ann")), "SELECT 1"); !strings.Contains(got, "certificate authentication failed") {
		t.Errorf("by the common name: %s", got)
	}
}

// TestReadFiles reads a list that has become longer when it is told to, and says each time of one that cannot be read.
func TestReadFiles(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p := stage.NewPKI(t)
	ann, crl := p.Client("postgres"), filepath.Join(t.TempDir(), "crl.pem")
	write := func(pem []byte) {
		t.Helper()
		if err := os.WriteFile(crl, pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(p.Revoke())
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_CERT
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.Cert, KeyFile: p.Key, CaFile: p.CA, CrlFile: crl}
	px, addr := stage.Start(t, set, func(o *assembly.Options) { o.FilesPeriod = time.Hour })
	conninfo := "user=postgres sslmode=require" + p.Conninfo(t, "client", ann)
	if got := stage.Psql(t, addr, conninfo, "SELECT 1"); got != "1" {
		t.Fatal(got)
	}
	write(p.Revoke(ann.Leaf(t)))
	if err := px.ReadFiles(); err != nil {
		t.Error(err)
	}
	if got := stage.Psql(t, addr, conninfo, "SELECT 1"); !strings.Contains(got, "certificate revoked") {
		t.Errorf("after that: %s", got)
	}
	write([]byte("rubbish"))
	for range 2 {
		if err := px.ReadFiles(); err == nil || !strings.Contains(err.Error(), "listener main: ") {
			t.Errorf("of a file that cannot be read: %v", err)
		}
	}
	if got := stage.Psql(t, addr, conninfo, "SELECT 1"); !strings.Contains(got, "certificate revoked") {
		t.Errorf("with a list that cannot be read: %s", got)
	}
}

// TestCertificateReplaced gives a listener another certificate, file by file, while clients are at work and others come: nobody is
// dropped or turned away, and who comes after that sees the new one.
func TestCertificateReplaced(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, abalance int); CREATE TABLE pgbench_branches AS SELECT 1 AS bid; INSERT INTO pgbench_accounts SELECT g, g FROM generate_series(1, 100000) g")
	p := stage.NewPKI(t)
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4)
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.Cert, KeyFile: p.Key}
	_, addr := stage.Start(t, set, func(o *assembly.Options) { o.FilesPeriod = 5 * time.Millisecond })
	host, port := stage.Split(addr)
	var at [2]*exec.Cmd
	var said [2]bytes.Buffer
	for i, how := range []string{"-c4", "-Cc2"} {
		at[i] = exec.Command("pgbench", "-n", "-S", "-T3", how, "-h", host, "-p", port, "-U", "postgres", "postgres")
		at[i].Env = append(os.Environ(), "PGSSLMODE=verify-ca", "PGSSLROOTCERT="+p.CA)
		at[i].Stdout, at[i].Stderr = &said[i], &said[i]
		if err := at[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		pair := p.Server("localhost", "127.0.0.1")
		cert, key := pair.Files(t, t.TempDir(), "server")
		for from, to := range map[string]string{cert: p.Cert, key: p.Key} { // in either order
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
		stage.Eventually(t, 10*time.Second, "the new certificate", func() bool {
			c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"postgresql"}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			return c.ConnectionState().PeerCertificates[0].SerialNumber.Cmp(pair.Leaf(t).SerialNumber) == 0
		})
	}
	for i := range at {
		if err := at[i].Wait(); err != nil || !strings.Contains(said[i].String(), "number of failed transactions: 0") {
			t.Errorf("%v\n%s", err, &said[i])
		}
	}
}

// TestServerTLS opens servers with each mode of TLS, with a certificate alone, and with log-ins that are bound to the connection.
func TestServerTLS(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{
		"hostssl all certified 127.0.0.1/32 cert", "hostssl all ann 127.0.0.1/32 scram-sha-256", "hostnossl all bob 127.0.0.1/32 scram-sha-256",
		"hostssl all postgres 127.0.0.1/32 trust",
	}})
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	pg.Primary.CreateRole(t, "bob", "bob's", "scram-sha-256")
	pg.Primary.Exec(t, "CREATE ROLE certified LOGIN")
	pair := p.Server("127.0.0.1")
	pg.Primary.SpeakTLS(t, pair.Cert, pair.Key, p.PEM)
	elsewhere := stage.NewPKI(t)
	ownCert, ownKey := p.Client("certified").Files(t, p.Dir, "own")
	const disable, allow, prefer, require = heliosv1.SSLMode_SSL_MODE_DISABLE, heliosv1.SSLMode_SSL_MODE_ALLOW, heliosv1.SSLMode_SSL_MODE_PREFER, heliosv1.SSLMode_SSL_MODE_REQUIRE
	const ca, full = heliosv1.SSLMode_SSL_MODE_VERIFY_CA, heliosv1.SSLMode_SSL_MODE_VERIFY_FULL
	const bound = heliosv1.ChannelBinding_CHANNEL_BINDING_REQUIRE
	const encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
	for _, c := range []struct {
		user string
		tls  *heliosv1.ServerTLS
		want string // what encrypted says, or a part of the error
	}{
		{"ann", nil, "t"},
		{"bob", nil, "f"}, // with TLS he is refused
		{"ann", &heliosv1.ServerTLS{Mode: disable}, "no encryption"},
		{"bob", &heliosv1.ServerTLS{Mode: disable}, "f"},
		{"ann", &heliosv1.ServerTLS{Mode: allow}, "t"},
		{"bob", &heliosv1.ServerTLS{Mode: allow}, "f"},
		{"ann", &heliosv1.ServerTLS{Mode: prefer}, "t"},
		{"ann", &heliosv1.ServerTLS{Mode: require}, "t"},
		{"bob", &heliosv1.ServerTLS{Mode: require}, "SSL encryption"},
		{"ann", &heliosv1.ServerTLS{Mode: require, CaFile: elsewhere.CA}, "TLS handshake"},
		{"ann", &heliosv1.ServerTLS{Mode: ca, CaFile: p.CA}, "t"},
		{"ann", &heliosv1.ServerTLS{Mode: ca, CaFile: elsewhere.CA}, "TLS handshake"},
		{"ann", &heliosv1.ServerTLS{Mode: full, CaFile: p.CA}, "t"},
		{"ann", &heliosv1.ServerTLS{Mode: full, CaFile: p.CA, ChannelBinding: bound}, "t"},
		{"bob", &heliosv1.ServerTLS{Mode: prefer, ChannelBinding: bound}, "SSL encryption"},
		{"postgres", &heliosv1.ServerTLS{Mode: full, CaFile: p.CA, ChannelBinding: bound}, "does not ask for SCRAM"},
		{"certified", &heliosv1.ServerTLS{Mode: full, CaFile: p.CA, CertFile: ownCert, KeyFile: ownKey}, "t"},
		{"certified", &heliosv1.ServerTLS{Mode: full, CaFile: p.CA}, "connection requires a valid client certificate"},
	} {
		set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
		set.Clusters["main"].Tls = c.tls
		set.Users[c.user] = &heliosv1.User{Name: c.user, ServerPassword: stage.Secret(c.user + "'s")}
		_, addr := stage.Start(t, set)
		got := stage.Psql(t, addr, "user="+c.user, encrypted)
		if got != c.want && (len(c.want) == 1 || !strings.Contains(got, c.want)) {
			t.Errorf("%s with %v: %s; want %s", c.user, c.tls, got, c.want)
		}
	}

	// The name of the host is looked at, and a cancel goes over TLS too.
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: full, CaFile: p.CA}
	set.Nodes["n1"].Host = "localhost"
	set.Users["ann"] = &heliosv1.User{Name: "ann", ServerPassword: stage.Secret("ann's")}
	_, addr := stage.Start(t, set)
	if got := stage.Psql(t, addr, "user=ann", "SELECT 1"); !strings.Contains(got, `does not match host name "localhost"`) {
		t.Errorf("a certificate of another host: %s", got)
	}
	set = stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: full, CaFile: p.CA}
	set.Users["ann"] = &heliosv1.User{Name: "ann", ServerPassword: stage.Secret("ann's")}
	_, addr = stage.Start(t, set)
	c, err := stage.TryConnect(addr, "ann")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	go func() {
		stage.Eventually(t, 20*time.Second, "the statement runs", func() bool {
			return len(pg.Primary.Query(t, "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'")) > 0
		})
		c.CancelRequest(context.Background())
	}()
	if got := stage.Ask(c, "SELECT pg_sleep(60)"); !strings.HasPrefix(got, "57014") {
		t.Errorf("cancelled over TLS: %s", got)
	}
}

// TestBound binds log-ins at both sides: the client to the proxy, and what it has proved to PostgreSQL.
func TestBound(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 scram-sha-256", "hostssl all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.Exec(t, "SET password_encryption = 'scram-sha-256'; ALTER ROLE postgres PASSWORD 'x'")
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	pair := p.Server("127.0.0.1")
	pg.Primary.SpeakTLS(t, pair.Cert, pair.Key, nil)
	set := stage.Asking(pg, time.Minute)
	set.Databases["*"].AuthQuery.Password = stage.Secret("x")
	set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: heliosv1.SSLMode_SSL_MODE_VERIFY_FULL, CaFile: p.CA, ChannelBinding: heliosv1.ChannelBinding_CHANNEL_BINDING_REQUIRE}
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM_PLUS
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_PREFER, CertFile: p.Cert, KeyFile: p.Key}
	_, addr := stage.Start(t, set)
	for conninfo, want := range map[string]string{
		stage.As("ann", "ann's") + " sslmode=verify-full channel_binding=require sslrootcert=" + p.CA: "ann",
		stage.As("ann", "ann's") + " sslmode=require":                                                 "ann",
		stage.As("ann", "ann's") + " sslmode=require channel_binding=disable":                         "SASL authentication mechanisms are supported",
		stage.As("ann", "ann's") + " sslmode=disable":                                                 "log-in must be bound to a TLS connection, and there is none",
		stage.As("ann", "wrong") + " sslmode=require":                                                 "password authentication failed",
	} {
		if got := stage.Psql(t, addr, conninfo, "SELECT current_user"); got != want && (want == "ann" || !strings.Contains(got, want)) {
			t.Errorf("%s: %s; want %s", conninfo, got, want)
		}
	}
}

// TestDirectTLS begins with TLS at once, as sslnegotiation=direct does: with PostgreSQL's name in ALPN, and not without.
func TestDirectTLS(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p := stage.NewPKI(t)
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.Cert, KeyFile: p.Key}
	_, addr := stage.Start(t, set)
	for _, c := range []struct {
		alpn []string
		want string
	}{{[]string{"postgresql"}, "1"}, {nil, "without ALPN protocol negotiation extension"}} {
		cfg, err := pgconn.ParseConfig("postgres://postgres@" + addr + "/postgres?sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			d := tls.Dialer{Config: &tls.Config{RootCAs: p.Pool(), ServerName: "localhost", NextProtos: c.alpn}}
			return d.DialContext(ctx, network, addr)
		}
		got := ""
		conn, err := pgconn.ConnectConfig(context.Background(), cfg)
		if err != nil {
			got = err.Error()
		} else {
			got = stage.Ask(conn, "SELECT 1")
			conn.Close(context.Background())
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("ALPN %q: %s; want %s", c.alpn, got, c.want)
		}
	}
}

// TestOpenSSL shakes hands with openssl, which is no Go: with ALPN from the first byte on, and behind an SSLRequest, in each version.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p := stage.NewPKI(t)
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.Cert, KeyFile: p.Key}
	_, addr := stage.Start(t, set)
	for _, c := range []struct{ how, want string }{
		{"-alpn postgresql", "ALPN protocol: postgresql"},
		{"-alpn postgresql -tls1_2", "ALPN protocol: postgresql"},
		{"-alpn h2", "no application protocol"},
		{"-starttls postgres -tls1_3", "Verification: OK"},
		{"-starttls postgres -tls1_2", "Verification: OK"},
		{"-starttls postgres -tls1_1 -cipher ALL:@SECLEVEL=0", "protocol version"},
	} {
		args := append([]string{"s_client", "-connect", addr, "-CAfile", p.CA, "-verify_hostname", "localhost"}, strings.Fields(c.how)...)
		out, _ := exec.Command("openssl", args...).CombinedOutput()
		if !strings.Contains(string(out), c.want) {
			t.Errorf("openssl %s: want %s, got\n%s", c.how, c.want, out)
		}
	}
}

// TestPeer lets a client in at a unix socket under the name that the operating system has for it.
func TestPeer(t *testing.T) {
	t.Parallel()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, `CREATE ROLE ann LOGIN`, `CREATE ROLE "`+me.Username+`" LOGIN`)
	dir := t.TempDir()
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"] = &heliosv1.Listener{
		Name: "main", Address: "unix:" + dir + "/.s.PGSQL.6432",
		Hba: "local all ann peer map=m\nlocal all all peer\n", Ident: "m " + me.Username + " ann\n",
	}
	stage.Start(t, set)
	for name, want := range map[string]string{me.Username: me.Username, "ann": "ann", "postgres": `peer authentication failed for user "postgres"`} {
		c := exec.CommandContext(t.Context(), "psql", "-XAtw", "-c", "SELECT current_user", "host="+dir+" port=6432 dbname=postgres user="+name)
		out, _ := c.CombinedOutput()
		if got := strings.TrimSpace(string(out)); got != want && !strings.Contains(got, want) {
			t.Errorf("%s: %s; want %s", name, got, want)
		}
	}
}
