package assembly

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// psql runs one statement with libpq's connection string, and returns what it prints, errors too.
func psql(t *testing.T, addr, conninfo, sql string) string {
	t.Helper()
	host, port := split(addr)
	c := exec.CommandContext(t.Context(), "psql", "-XAtw", "-c", sql, fmt.Sprintf("host=localhost hostaddr=%s port=%s dbname=postgres %s", host, port, conninfo))
	c.Env = append(os.Environ(), "HOME=/nonexistent", "PGCONNECT_TIMEOUT=20")
	out, _ := c.CombinedOutput()
	return strings.TrimSpace(string(out))
}

// pki is an authority and what it has signed, in files.
type pki struct {
	*certs.Authority
	dir, ca, cert, key string
}

func newPKI(t *testing.T) *pki {
	p := &pki{Authority: certs.NewAuthority(t), dir: t.TempDir()}
	p.ca = filepath.Join(p.dir, "ca.crt")
	if err := os.WriteFile(p.ca, p.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	p.cert, p.key = p.Server("localhost", "127.0.0.1").Files(t, p.dir, "server")
	return p
}

// client is the part of a connection string that presents a certificate.
func (p *pki) client(t *testing.T, name string, pair certs.Pair) string {
	cert, key := pair.Files(t, p.dir, name)
	return " sslcert=" + cert + " sslkey=" + key
}

// TestSSLModes lets psql come in with each sslmode, at listeners of each mode.
func TestSSLModes(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p := newPKI(t)
	const noTLS = "connection requires TLS"
	for mode, wants := range map[heliosv1.SSLMode]map[string]string{
		heliosv1.SSLMode_SSL_MODE_DISABLE: {"disable": "ann", "prefer": "ann", "require": "server does not support SSL"},
		heliosv1.SSLMode_SSL_MODE_ALLOW:   {"disable": "ann", "allow": "ann", "prefer": "ann", "require": "ann"},
		heliosv1.SSLMode_SSL_MODE_REQUIRE: {"disable": noTLS, "allow": "ann", "prefer": "ann", "require": "ann", "verify-ca": "ann", "verify-full": "ann"},
	} {
		set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
		set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: mode, CertFile: p.cert, KeyFile: p.key}
		pg.Primary.Exec(t, "DO $$BEGIN CREATE ROLE ann LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$")
		_, addr := start(t, set)
		for sslmode, want := range wants {
			if got := psql(t, addr, "user=ann sslrootcert="+p.ca+" sslmode="+sslmode, "SELECT current_user"); got != want && (want == "ann" || !strings.Contains(got, want)) {
				t.Errorf("%v, sslmode %s: %s; want %s", mode, sslmode, got, want)
			}
		}
		if mode != heliosv1.SSLMode_SSL_MODE_REQUIRE {
			continue
		}
		if got := psql(t, addr, "user=ann sslmode=require", "SELECT repeat('x', 300000)"); got != strings.Repeat("x", 300_000) {
			t.Errorf("a long text comes back with %d bytes", len(got))
		}
		if got := psql(t, addr, "user=ann sslmode=require ssl_max_protocol_version=TLSv1.2", "SELECT 1"); got != "1" {
			t.Errorf("TLS 1.2: %s", got)
		}
	}
}

// TestClientCertificates lets clients in by their certificates, tells the others in words why not, and notices when a file
// changes.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE ann LOGIN")
	p := newPKI(t)
	stranger := certs.NewAuthority(t)
	good, revoked := p.Client("ann"), p.Client("ann")
	old := p.Issue("ann", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	crl := filepath.Join(p.dir, "crl")
	write := func(path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(crl, p.Revoke(revoked.Leaf(t)))
	for _, c := range []struct {
		mode heliosv1.SSLMode
		auth heliosv1.AuthMethod
		pair certs.Pair // none if it is empty
		want string
	}{
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, good, "ann"},
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, p.Client("eve"), `certificate authentication failed for user "ann"`},
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, certs.Pair{}, "connection requires a valid client certificate"},
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, old, "client certificate was refused: certificate has expired"},
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, revoked, "client certificate was refused: certificate revoked"},
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, stranger.Client("ann"), "client certificate was refused: "},
		{heliosv1.SSLMode_SSL_MODE_VERIFY_CA, heliosv1.AuthMethod_AUTH_METHOD_TRUST, good, "ann"},
		{heliosv1.SSLMode_SSL_MODE_VERIFY_CA, heliosv1.AuthMethod_AUTH_METHOD_TRUST, p.Client("eve"), "ann"},
		{heliosv1.SSLMode_SSL_MODE_VERIFY_CA, heliosv1.AuthMethod_AUTH_METHOD_TRUST, certs.Pair{}, "client certificate was refused: peer did not return a certificate"},
		{heliosv1.SSLMode_SSL_MODE_VERIFY_FULL, heliosv1.AuthMethod_AUTH_METHOD_TRUST, good, "ann"},
		{heliosv1.SSLMode_SSL_MODE_VERIFY_FULL, heliosv1.AuthMethod_AUTH_METHOD_TRUST, p.Client("eve"), `authentication failed for user "ann"`},
	} {
		set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
		set.Listeners["main"].Auth = c.auth
		set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: c.mode, CertFile: p.cert, KeyFile: p.key, CaFile: p.ca, CrlFile: crl}
		_, addr := start(t, set)
		conninfo := "user=ann sslmode=require"
		if c.pair.Cert != nil {
			conninfo += p.client(t, "client", c.pair)
		}
		if got := psql(t, addr, conninfo, "SELECT current_user"); got != c.want && (c.want == "ann" || !strings.Contains(got, c.want)) {
			t.Errorf("%v, %v: %s; want %s", c.mode, c.auth, got, c.want)
		}
	}

	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_CERT
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.cert, KeyFile: p.key, CaFile: p.ca, CrlFile: crl}
	px, addr := start(t, set, func(o *Options) { o.FilesPeriod = 10 * time.Millisecond })
	conninfo := "user=ann sslmode=require" + p.client(t, "client", good)
	if got := psql(t, addr, conninfo, "SELECT 1"); got != "1" {
		t.Fatal(got)
	}
	write(crl, p.Revoke(revoked.Leaf(t), good.Leaf(t)))
	eventually(t, 10*time.Second, "the list that has become longer", func() bool {
		return strings.Contains(psql(t, addr, conninfo, "SELECT 1"), "certificate revoked")
	})
	write(crl, []byte("rubbish"))
	eventually(t, 10*time.Second, "a file that cannot be read", func() bool { return !px.secrets.Door("main").Changed() })
	if got := psql(t, addr, conninfo, "SELECT 1"); !strings.Contains(got, "certificate revoked") {
		t.Errorf("with a list that cannot be read: %s", got)
	}
	if _, err := px.Apply(set, nil); err == nil || !strings.Contains(err.Error(), "crl") {
		t.Errorf("a configuration with a list that cannot be read is taken: %v", err)
	}
}

// TestAlternativeNames lets those in by clientname=SAN one of whose alternative names the map has, or is the user.
func TestAlternativeNames(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE ann LOGIN", `CREATE ROLE "ann.example.com" LOGIN`)
	p := newPKI(t)
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Auth = 0
	set.Listeners["main"].Hba = "hostssl all ann all cert clientname=SAN map=mail\nhostssl all all all cert clientname=SAN\n"
	set.Listeners["main"].Ident = `mail /^([a-z]+)@example\.com$ \1` + "\n"
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.cert, KeyFile: p.key, CaFile: p.ca}
	_, addr := start(t, set)
	named := p.Issue("somebody", func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"other.example.com", "ann.example.com"}, []string{"ann@example.com"}
	})
	for user, want := range map[string]string{"ann": "ann", "ann.example.com": "ann.example.com", "somebody": "certificate authentication failed", "postgres": "certificate authentication failed"} {
		if got := psql(t, addr, "user="+user+" sslmode=require"+p.client(t, "named", named), "SELECT current_user"); !strings.Contains(got, want) {
			t.Errorf("%s: %s", user, got)
		}
	}
	if got := psql(t, addr, "user=ann sslmode=require"+p.client(t, "common", p.Client("ann")), "SELECT 1"); !strings.Contains(got, "certificate authentication failed") {
		t.Errorf("by the common name: %s", got)
	}
}

// TestReadFiles reads a list that has become longer when it is told to, and says each time of one that cannot be read.
func TestReadFiles(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p := newPKI(t)
	ann, crl := p.Client("postgres"), filepath.Join(t.TempDir(), "crl.pem")
	write := func(pem []byte) {
		t.Helper()
		if err := os.WriteFile(crl, pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(p.Revoke())
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_CERT
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.cert, KeyFile: p.key, CaFile: p.ca, CrlFile: crl}
	px, addr := start(t, set, func(o *Options) { o.FilesPeriod = time.Hour })
	conninfo := "user=postgres sslmode=require" + p.client(t, "client", ann)
	if got := psql(t, addr, conninfo, "SELECT 1"); got != "1" {
		t.Fatal(got)
	}
	write(p.Revoke(ann.Leaf(t)))
	if err := px.ReadFiles(); err != nil {
		t.Error(err)
	}
	if got := psql(t, addr, conninfo, "SELECT 1"); !strings.Contains(got, "certificate revoked") {
		t.Errorf("after that: %s", got)
	}
	write([]byte("rubbish"))
	for range 2 {
		if err := px.ReadFiles(); err == nil || !strings.Contains(err.Error(), "listener main: ") {
			t.Errorf("of a file that cannot be read: %v", err)
		}
	}
	if got := psql(t, addr, conninfo, "SELECT 1"); !strings.Contains(got, "certificate revoked") {
		t.Errorf("with a list that cannot be read: %s", got)
	}
}

// TestCertificateReplaced gives a listener another certificate, file by file, while clients are at work and others come: nobody is
// dropped or turned away, and who comes after that sees the new one.
func TestCertificateReplaced(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, abalance int); CREATE TABLE pgbench_branches AS SELECT 1 AS bid; INSERT INTO pgbench_accounts SELECT g, g FROM generate_series(1, 100000) g")
	p := newPKI(t)
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4)
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.cert, KeyFile: p.key}
	_, addr := start(t, set, func(o *Options) { o.FilesPeriod = 5 * time.Millisecond })
	host, port := split(addr)
	var at [2]*exec.Cmd
	var said [2]bytes.Buffer
	for i, how := range []string{"-c4", "-Cc2"} {
		at[i] = exec.Command("pgbench", "-n", "-S", "-T3", how, "-h", host, "-p", port, "-U", "postgres", "postgres")
		at[i].Env = append(os.Environ(), "PGSSLMODE=verify-ca", "PGSSLROOTCERT="+p.ca)
		at[i].Stdout, at[i].Stderr = &said[i], &said[i]
		if err := at[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		pair := p.Server("localhost", "127.0.0.1")
		cert, key := pair.Files(t, t.TempDir(), "server")
		for from, to := range map[string]string{cert: p.cert, key: p.key} { // in either order
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, 10*time.Second, "the new certificate", func() bool {
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
	p := newPKI(t)
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{
		"hostssl all certified 127.0.0.1/32 cert", "hostssl all ann 127.0.0.1/32 scram-sha-256", "hostnossl all bob 127.0.0.1/32 scram-sha-256",
		"hostssl all postgres 127.0.0.1/32 trust",
	}})
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	pg.Primary.CreateRole(t, "bob", "bob's", "scram-sha-256")
	pg.Primary.Exec(t, "CREATE ROLE certified LOGIN")
	pair := p.Server("127.0.0.1")
	pg.Primary.SpeakTLS(t, pair.Cert, pair.Key, p.PEM)
	elsewhere := newPKI(t)
	ownCert, ownKey := p.Client("certified").Files(t, p.dir, "own")
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
		{"ann", &heliosv1.ServerTLS{Mode: require, CaFile: elsewhere.ca}, "TLS handshake"},
		{"ann", &heliosv1.ServerTLS{Mode: ca, CaFile: p.ca}, "t"},
		{"ann", &heliosv1.ServerTLS{Mode: ca, CaFile: elsewhere.ca}, "TLS handshake"},
		{"ann", &heliosv1.ServerTLS{Mode: full, CaFile: p.ca}, "t"},
		{"ann", &heliosv1.ServerTLS{Mode: full, CaFile: p.ca, ChannelBinding: bound}, "t"},
		{"bob", &heliosv1.ServerTLS{Mode: prefer, ChannelBinding: bound}, "SSL encryption"},
		{"postgres", &heliosv1.ServerTLS{Mode: full, CaFile: p.ca, ChannelBinding: bound}, "does not ask for SCRAM"},
		{"certified", &heliosv1.ServerTLS{Mode: full, CaFile: p.ca, CertFile: ownCert, KeyFile: ownKey}, "t"},
		{"certified", &heliosv1.ServerTLS{Mode: full, CaFile: p.ca}, "connection requires a valid client certificate"},
	} {
		set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
		set.Clusters["main"].Tls = c.tls
		set.Users[c.user] = &heliosv1.User{Name: c.user, ServerPassword: secret(c.user + "'s")}
		_, addr := start(t, set)
		got := psql(t, addr, "user="+c.user, encrypted)
		if got != c.want && (len(c.want) == 1 || !strings.Contains(got, c.want)) {
			t.Errorf("%s with %v: %s; want %s", c.user, c.tls, got, c.want)
		}
	}

	// The name of the host is looked at, and a cancel goes over TLS too.
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: full, CaFile: p.ca}
	set.Nodes["n1"].Host = "localhost"
	set.Users["ann"] = &heliosv1.User{Name: "ann", ServerPassword: secret("ann's")}
	_, addr := start(t, set)
	if got := psql(t, addr, "user=ann", "SELECT 1"); !strings.Contains(got, `does not match host name "localhost"`) {
		t.Errorf("a certificate of another host: %s", got)
	}
	set = config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: full, CaFile: p.ca}
	set.Users["ann"] = &heliosv1.User{Name: "ann", ServerPassword: secret("ann's")}
	_, addr = start(t, set)
	c, err := tryConnect(addr, "ann")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	go func() {
		eventually(t, 20*time.Second, "the statement runs", func() bool {
			return len(pg.Primary.Query(t, "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'")) > 0
		})
		c.CancelRequest(context.Background())
	}()
	if got := ask(c, "SELECT pg_sleep(60)"); !strings.HasPrefix(got, "57014") {
		t.Errorf("cancelled over TLS: %s", got)
	}
}

// TestBound binds log-ins at both sides: the client to the proxy, and what it has proved to PostgreSQL.
func TestBound(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 scram-sha-256", "hostssl all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.Exec(t, "SET password_encryption = 'scram-sha-256'; ALTER ROLE postgres PASSWORD 'x'")
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	pair := p.Server("127.0.0.1")
	pg.Primary.SpeakTLS(t, pair.Cert, pair.Key, nil)
	set := asking(pg, time.Minute)
	set.Databases["*"].AuthQuery.Password = secret("x")
	set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: heliosv1.SSLMode_SSL_MODE_VERIFY_FULL, CaFile: p.ca, ChannelBinding: heliosv1.ChannelBinding_CHANNEL_BINDING_REQUIRE}
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM_PLUS
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_PREFER, CertFile: p.cert, KeyFile: p.key}
	_, addr := start(t, set)
	for conninfo, want := range map[string]string{
		as("ann", "ann's") + " sslmode=verify-full channel_binding=require sslrootcert=" + p.ca: "ann",
		as("ann", "ann's") + " sslmode=require":                                                 "ann",
		as("ann", "ann's") + " sslmode=require channel_binding=disable":                         "SASL authentication mechanisms are supported",
		as("ann", "ann's") + " sslmode=disable":                                                 "log-in must be bound to a TLS connection, and there is none",
		as("ann", "wrong") + " sslmode=require":                                                 "password authentication failed",
	} {
		if got := psql(t, addr, conninfo, "SELECT current_user"); got != want && (want == "ann" || !strings.Contains(got, want)) {
			t.Errorf("%s: %s; want %s", conninfo, got, want)
		}
	}
}

// TestDirectTLS begins with TLS at once, as sslnegotiation=direct does: with PostgreSQL's name in ALPN, and not without.
func TestDirectTLS(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p := newPKI(t)
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.cert, KeyFile: p.key}
	_, addr := start(t, set)
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
			got = ask(conn, "SELECT 1")
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
	p := newPKI(t)
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.cert, KeyFile: p.key}
	_, addr := start(t, set)
	for _, c := range []struct{ how, want string }{
		{"-alpn postgresql", "ALPN protocol: postgresql"},
		{"-alpn postgresql -tls1_2", "ALPN protocol: postgresql"},
		{"-alpn h2", "no application protocol"},
		{"-starttls postgres -tls1_3", "Verification: OK"},
		{"-starttls postgres -tls1_2", "Verification: OK"},
		{"-starttls postgres -tls1_1 -cipher ALL:@SECLEVEL=0", "protocol version"},
	} {
		args := append([]string{"s_client", "-connect", addr, "-CAfile", p.ca, "-verify_hostname", "localhost"}, strings.Fields(c.how)...)
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
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"] = &heliosv1.Listener{
		Name: "main", Address: "unix:" + dir + "/.s.PGSQL.6432",
		Hba: "local all ann peer map=m\nlocal all all peer\n", Ident: "m " + me.Username + " ann\n",
	}
	start(t, set)
	for name, want := range map[string]string{me.Username: me.Username, "ann": "ann", "postgres": `peer authentication failed for user "postgres"`} {
		c := exec.CommandContext(t.Context(), "psql", "-XAtw", "-c", "SELECT current_user", "host="+dir+" port=6432 dbname=postgres user="+name)
		out, _ := c.CombinedOutput()
		if got := strings.TrimSpace(string(out)); got != want && !strings.Contains(got, want) {
			t.Errorf("%s: %s; want %s", name, got, want)
		}
	}
}
