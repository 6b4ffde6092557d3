package assembly

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func secret(s string) *heliosv1.Secret { return &heliosv1.Secret{Value: s} }

// TestAuthentication logs in with every method and every form of secret, at servers that ask for a password.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	keys, _ := scram.NewKeys("ann's")
	for _, c := range []struct {
		method   heliosv1.AuthMethod
		secret   string
		server   string // server_password
		password string
		code     string // of the refusal
	}{
		{heliosv1.AuthMethod_AUTH_METHOD_SCRAM, "ann's", "", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_SCRAM, keys.String(), "ann's", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_SCRAM, keys.String(), "", "ann's", "28P01"}, // cannot open the server
		{heliosv1.AuthMethod_AUTH_METHOD_SCRAM, "ann's", "", "bob's", "28P01"},
		{heliosv1.AuthMethod_AUTH_METHOD_SCRAM, pgmd5.Hash("ann's", "ann"), "ann's", "ann's", "28P01"}, // nothing that SCRAM could use
		{heliosv1.AuthMethod_AUTH_METHOD_MD5, "ann's", "", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_MD5, pgmd5.Hash("ann's", "ann"), "ann's", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_MD5, keys.String(), "ann's", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_MD5, "ann's", "", "bob's", "28P01"},
		{heliosv1.AuthMethod_AUTH_METHOD_PASSWORD, "ann's", "", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_PASSWORD, pgmd5.Hash("ann's", "ann"), "ann's", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_PASSWORD, keys.String(), "ann's", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_PASSWORD, keys.String(), "ann's", "bob's", "28P01"},
		{heliosv1.AuthMethod_AUTH_METHOD_TRUST, "ann's", "", "", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_UNSPECIFIED, "ann's", "", "ann's", ""},
		{heliosv1.AuthMethod_AUTH_METHOD_UNSPECIFIED, "ann's", "", "", "28P01"},
	} {
		t.Run(fmt.Sprintf("%s/%.3s/%s", c.method, c.secret, c.password), func(t *testing.T) {
			set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
			set.Listeners["main"].Auth = c.method
			set.Users["ann"] = &heliosv1.User{Name: "ann", Secret: secret(c.secret), ServerPassword: secret(c.server)}
			_, addr := start(t, set)
			conn, err := tryConnect(addr, "ann", "password", c.password)
			if c.code != "" {
				var pe *pgconn.PgError
				if !asPg(err, &pe) || pe.Code != c.code {
					t.Fatalf("%v, want %s", err, c.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			want(t, conn, "SELECT current_user", "ann")
			if c.method != heliosv1.AuthMethod_AUTH_METHOD_TRUST {
				_, err := tryConnect(addr, "eve", "password", c.password)
				var pe *pgconn.PgError
				if !asPg(err, &pe) || pe.Code != "28P01" || pe.Message != `password authentication failed for user "eve"` {
					t.Errorf("a user that is not there: %v", err)
				}
			}
		})
	}
}

// TestServerAuthentication logs in at servers in every way they ask for.
func TestServerAuthentication(t *testing.T) {
	t.Parallel()
	for method, encryption := range map[string]string{"password": "scram-sha-256", "md5": "md5", "scram-sha-256": "scram-sha-256", "trust": "md5"} {
		pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all all 127.0.0.1/32 " + method}})
		pg.Primary.CreateRole(t, "ann", "right", encryption)
		for password, code := range map[string]string{"right": "", "wrong": "28P01", "": "28P01"} {
			if method == "trust" {
				code = ""
			}
			set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
			set.Users["app"] = &heliosv1.User{Name: "app", ServerUser: "ann", ServerPassword: secret(password)}
			_, addr := start(t, set)
			c, err := tryConnect(addr, "app")
			var pe *pgconn.PgError
			switch {
			case code == "" && err != nil:
				t.Errorf("%s, password %q: %v", method, password, err)
			case code == "":
				want(t, c, "SELECT current_user", "ann")
				c.Close(context.Background())
			case !asPg(err, &pe) || pe.Code != code:
				t.Errorf("%s, password %q: %v, want %s", method, password, err, code)
			case password == "" && !strings.Contains(pe.Message, "set server_password for app"):
				t.Errorf("%s, no password: %s", method, pe.Message)
			}
		}
	}
}

// TestServerMethod logs in at servers that ask for what the proxy does not have, or cannot prove themselves.
func TestServerMethod(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for what, ask := range map[string][]byte{
		"method 7":                 pgscript.Auth(7),
		"no SASL mechanism":        pgscript.AuthSASL("FANCY-1"),
		"before it began":          pgscript.Auth(11, []byte("r=x,s=eA==,i=1")),
		"ends before it began":     pgscript.Auth(12, []byte("v=x")),
		"malformed authentication": pgscript.Frame('R', []byte{0}),
	} {
		fake := pgscript.Serve(t, func(c *pgscript.Conn) error {
			if _, err := c.ReceiveOpening(); err != nil {
				return err
			}
			if err := c.Send(ask); err != nil {
				return err
			}
			return c.ExpectEOF()
		})
		set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
		set.Users["postgres"] = &heliosv1.User{Name: "postgres", Secret: secret("x")}
		set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: heliosv1.SSLMode_SSL_MODE_DISABLE}
		host, port := split(fake.Addr())
		set.Nodes["n1"].Host = host
		fmt.Sscan(port, &set.Nodes["n1"].Port)
		_, addr := start(t, set)
		_, err := tryConnect(addr, "postgres", "password", "x")
		var pe *pgconn.PgError
		if !asPg(err, &pe) || pe.Code != "28000" || !strings.Contains(pe.Message, what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestUnknownDatabase connects to a database that the configuration does not have.
func TestUnknownDatabase(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Databases = map[string]*heliosv1.Database{"shop": {Name: "shop", Cluster: "main", PoolProfile: "default", ServerName: "postgres"}}
	_, addr := start(t, set)
	_, err := tryConnect(addr, "postgres")
	var pe *pgconn.PgError
	if !asPg(err, &pe) || pe.Code != "3D000" {
		t.Errorf("%v, want 3D000", err)
	}
	c, err := pgconn.Connect(context.Background(), "postgres://postgres@"+addr+"/shop?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	want(t, c, "SELECT current_database()", "postgres")
}

// TestServerUnreachable has nobody listening where the server should be: clients hear it soon.
func TestServerUnreachable(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	pg.Primary.Stop(t)
	_, addr := start(t, set)
	began := time.Now()
	_, err := tryConnect(addr, "postgres")
	var pe *pgconn.PgError
	if !asPg(err, &pe) || pe.Code != "08001" || !strings.Contains(pe.Message, "connection refused") {
		t.Errorf("%v, want 08001", err)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("the client heard it after %s", d)
	}
	pg.Primary.Start(t)
	c := connect(t, addr, "postgres")
	want(t, c, "SELECT 1", "1")
	pg.Primary.Stop(t)
	eventually(t, 15*time.Second, "the error is told", func() bool { return strings.HasPrefix(ask(c, "SELECT 1"), "08001 ") })
	pg.Primary.Start(t)
	want(t, c, "SELECT 1", "1") // the session has outlived its server
}

// TestServerLost kills a server connection under a session.
func TestServerLost(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2))
	c := connect(t, addr, "postgres")
	pid := ask(c, "BEGIN; SELECT pg_backend_pid()")
	pg.Primary.Query(t, "SELECT pg_terminate_backend("+pid+")")
	if got := ask(c, "SELECT 1"); !strings.HasPrefix(got, "57P01 ") && !strings.Contains(got, "EOF") {
		t.Errorf("in a transaction: %q, want what the server said", got)
	}
	d := connect(t, addr, "postgres")
	pid = ask(d, "SELECT pg_backend_pid()")
	pg.Primary.Query(t, "SELECT pg_terminate_backend("+pid+")")
	eventually(t, 15*time.Second, "the proxy has noticed", func() bool {
		n := 0
		p.hub.Pools.Each(func(p *pool.Pool) { n, _ = p.Total() })
		return n == 0
	})
	want(t, d, "SELECT 1", "1")
	fake := pgscript.Serve(t, func(c *pgscript.Conn) error {
		if _, err := c.Welcome(1, []byte("1234")); err != nil {
			return err
		}
		_, err := c.Receive() // the statement; then it is gone without a word
		return err
	})
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	host, port := split(fake.Addr())
	set.Nodes["n1"].Host = host
	fmt.Sscan(port, &set.Nodes["n1"].Port)
	_, addr = start(t, set)
	e := pgscript.Dial(t, "tcp", addr)
	e.Login(pgscript.Login{User: "postgres", Database: "postgres"})
	e.Send(pgscript.Query("SELECT 1"))
	e.Expect("E 08006 server closed the connection unexpectedly; whether the statement was carried out is not known")
	e.ExpectEOF()
}

// TestProtocolVersion lets a client speak the newest version that the server behind speaks too, from when that is known.
func TestProtocolVersion(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	length := func(addr string) int {
		cfg, err := pgconn.ParseConfig(fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable&max_protocol_version=3.2", addr))
		if err != nil {
			t.Fatal(err)
		}
		c, err := pgconn.ConnectConfig(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		if err := c.CancelRequest(context.Background()); err != nil {
			t.Errorf("cancel: %v", err)
		}
		return len(c.SecretKey())
	}
	direct := length(pg.Primary.Addr())
	for _, mode := range []heliosv1.PoolMode{heliosv1.PoolMode_POOL_MODE_SESSION, heliosv1.PoolMode_POOL_MODE_TRANSACTION} {
		_, addr := start(t, config(pg.Primary, mode, 2))
		if got := length(addr); got != 32 {
			t.Errorf("%v: a key of %d bytes while the server is not known", mode, got)
		}
		if got := length(addr); got != direct {
			t.Errorf("%v: a key of %d bytes, directly %d", mode, got, direct)
		}
	}
}

// TestQueueTimeout waits longer than the pool allows.
func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].AcquireTimeout = durationpb.New(500 * time.Millisecond)
	_, addr := start(t, set)
	holder, c := connect(t, addr, "postgres"), connect(t, addr, "postgres")
	want(t, holder, "BEGIN", "")
	want(t, c, "SELECT 1", "53300 no server connection became free within 500ms")
	_, err := c.Prepare(context.Background(), "s", "SELECT 1", nil)
	var pe *pgconn.PgError
	if !asPg(err, &pe) || pe.Code != "53300" {
		t.Errorf("extended: %v", err)
	}
	want(t, holder, "COMMIT", "")
	want(t, c, "SELECT 1", "1")
}

// TestDrain stops the proxy: sessions at rest end at once, those in a transaction with it.
func TestDrain(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, mode := range []heliosv1.PoolMode{heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.PoolMode_POOL_MODE_SESSION} {
		p, addr := start(t, config(pg.Primary, mode, 3))
		idle := pgscript.Dial(t, "tcp", addr)
		idle.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		busy := connect(t, addr, "postgres")
		want(t, busy, "BEGIN", "")
		done := make(chan error, 1)
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		go func() { done <- p.Drain(ctx) }()
		idle.Expect("E 57P01 terminating connection: the proxy is shutting down")
		idle.ExpectEOF()
		want(t, busy, "SELECT 7", "7")
		select {
		case err := <-done:
			t.Fatalf("%s: drained (%v) with a transaction open", mode, err)
		default:
		}
		if c, err := tryConnect(addr, "postgres"); err == nil && ask(c, "SHOW port") == fmt.Sprint(pg.Primary.Port()) { // and not somebody else's who has the port now
			t.Errorf("%s: a new client was let in", mode)
		}
		want(t, busy, "COMMIT", "")
		if err := <-done; err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestReload changes the configuration under sessions.
func TestReload(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	p, addr := start(t, set)
	port := addr[strings.LastIndex(addr, ":"):]
	a, b := connect(t, addr, "postgres"), connect(t, addr, "postgres")
	want(t, b, "BEGIN", "")
	bad := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	bad.Listeners["other"] = &heliosv1.Listener{Name: "other", Address: "127.0.0.1" + port}
	if _, err := p.Apply(bad, nil); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port that is taken: %v", err)
	}
	want(t, a, "SELECT 1", "1")
	next := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	next.Databases = map[string]*heliosv1.Database{"other": {Name: "other", Cluster: "main", PoolProfile: "default"}}
	if _, err := p.Apply(next, nil); err != nil {
		t.Fatal(err)
	}
	want(t, b, "SELECT 2", "2") // its transaction began before
	want(t, b, "COMMIT", "")
	for _, c := range []*pgconn.PgConn{a, b} {
		if got := ask(c, "SELECT 1"); !strings.HasPrefix(got, "57P01 ") {
			t.Errorf("a session of a database that was removed: %s", got)
		}
	}
}

// TestGarbage feeds the door what is not the protocol, and what is too much of it: it costs that client.
func TestGarbage(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Limits["default"].LoginTimeout = durationpb.New(300 * time.Millisecond)
	p, addr := start(t, set)
	good := connect(t, addr, "postgres")
	junk := make([]byte, 1<<16)
	rand.Read(junk)
	for _, first := range [][]byte{junk, {0, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0}, []byte("GET / HTTP/1.1\r\n\r\n"), pgscript.Startup(pgscript.Version30, "user")} {
		c := pgscript.Dial(t, "tcp", addr)
		c.Send(first)
		if m := c.Until("E"); m[len(m)-1].Field('C') != "08P01" && m[len(m)-1].Field('C') != "0A000" {
			t.Errorf("%.20q: %s", first, m[len(m)-1].Backend())
		}
	}
	logged := func() *pgscript.Client {
		c := pgscript.Dial(t, "tcp", addr)
		c.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		return c
	}
	for _, m := range [][]byte{{'Q', 0, 0, 0, 0}, {'Q', 0x40, 0, 0, 4}, {'S', 0x40, 0, 0, 0}, {'Y', 0, 0, 0, 4}, {0, 1, 2, 3, 4, 5}} {
		c := logged()
		c.Send(m)
		if e := c.Until("E"); e[len(e)-1].Field('C') != "08P01" || e[len(e)-1].Field('S') != "FATAL" {
			t.Errorf("%v: %s", m, e[len(e)-1].Backend())
		}
		c.ExpectEOF()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	half := logged()
	half.Send([]byte{'Q', 0x3f, 0xff, 0xff, 0xff, 'S', 'E'}) // 1 GB to come
	silent := pgscript.Dial(t, "tcp", addr)
	part := pgscript.Dial(t, "tcp", addr)
	part.Send(pgscript.Startup(pgscript.Version30, "user", "x")[:9])
	silent.Expect("E 08006 log-in took longer than 300ms")
	part.Expect("E 08006 log-in took longer than 300ms")
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 200<<20 { // other tests have theirs
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	half.Close()
	want(t, good, "SELECT 1", "1")
	eventually(t, 15*time.Second, "the door is clear", func() bool { return p.group.Loops()[0].Load() == 1 })
}

// TestPasswordAtOnce logs in a client that sends its password together with its first packet.
func TestPasswordAtOnce(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_PASSWORD
	set.Users["postgres"] = &heliosv1.User{Name: "postgres", Secret: secret("right")}
	_, addr := start(t, set)
	for password, want := range map[string]byte{"right": 'Z', "wrong": 'E'} {
		c := pgscript.Dial(t, "tcp", addr)
		c.Send(append(pgscript.Startup(pgscript.Version30, "user", "postgres", "database", "postgres"), pgscript.Frame('p', []byte(password+"\x00"))...))
		if got := c.Until("ZE"); got[len(got)-1].Type != want {
			t.Errorf("%s: %v", password, got)
		}
		c.Close()
	}
}
