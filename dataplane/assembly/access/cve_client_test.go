package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/pgmd5"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// The holes of this file were open to clients, and to whoever is between a client and the server.

// CVE-2012-4575: PgBouncer crashed when a name of a database was longer than its buffer.
func TestCVE2012_4575(t *testing.T) {
	t.Parallel()
	addr := front(t, friendly, func(set *resource.Set) {
		set.Databases = map[string]*heliosv1.Database{"ann": {Name: "ann", Cluster: "main", PoolProfile: "default"}}
	})
	for _, n := range []int{64, 1000, 9000} {
		long := strings.Repeat("x", n)
		if got := rebuff(t, addr, pgscript.Startup(pgscript.Version30, "user", "ann", "database", long)); !strings.HasPrefix(got, "3D000") {
			t.Errorf("a database with a name of %d bytes: %s", n, got)
		}
		if got := rebuff(t, addr, pgscript.Startup(pgscript.Version30, "user", long)); !strings.HasPrefix(got, "3D000") {
			t.Errorf("a user with a name of %d bytes: %s", n, got)
		}
	}
	if got := rebuff(t, addr, pgscript.Startup(pgscript.Version30, "user", strings.Repeat("x", 10_000))); !strings.HasPrefix(got, "08P01") {
		t.Errorf("more than a packet may have: %s", got)
	}
	open(t, addr)
}

// CVE-2013-1899: PostgreSQL took a database's name that begins with - for switches of its command line, of which one writes to files.
func TestCVE2013_1899(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	addr := front(t, func(c *pgscript.Conn) error {
		m, err := c.Welcome(1, []byte("1234"))
		if err != nil {
			return nil
		}
		asked <- string(m.Body)
		c.Receive()
		return nil
	}, nil)
	c := pgscript.Dial(t, "tcp", addr)
	c.Login(pgscript.Login{User: "ann", Database: "-r/tmp/x", Password: "ann's"})
	if got := <-asked; !strings.Contains(got, "\x00database\x00-r/tmp/x\x00") || strings.Contains(got, "options") {
		t.Errorf("the server is sent %q", got)
	}
}

// CVE-2015-3165: PostgreSQL freed twice what a TLS connection had, where its end met the end of the time for the log-in.
func TestCVE2015_3165(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	const limit = 300 * time.Millisecond
	addr := front(t, friendly, func(set *resource.Set) {
		secureDoor(set, p, heliosv1.SSLMode_SSL_MODE_ALLOW)
		set.Limits["default"].LoginTimeout = durationpb.New(limit)
	})
	began := time.Now()
	done := make(chan error)
	const clients = 40
	for i := range clients {
		go func() {
			done <- func() error {
				c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: p.Pool(), ServerName: "localhost", NextProtos: []string{"postgresql"}})
				if err != nil {
					return nil // too late, on a machine that is busy
				}
				defer c.Close()
				<-time.After(time.Until(began.Add(limit + time.Duration(i-clients/2)*5*time.Millisecond)))
				return c.CloseWrite()
			}()
		}()
	}
	for range clients {
		<-done
	}
	stage.Eventually(t, 20*time.Second, "the door lets somebody in", func() bool {
		c, err := stage.TryConnect(addr, "ann")
		if err != nil {
			return false
		}
		c.Close(context.Background())
		return true
	})
}

// CVE-2015-4054: PgBouncer crashed when a password came before the StartupMessage.
func TestCVE2015_4054(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	addr := front(t, friendly, func(set *resource.Set) {
		bySCRAM(set)
		secureDoor(set, p, heliosv1.SSLMode_SSL_MODE_ALLOW)
	})
	for _, m := range [][]byte{pgscript.Password("ann's"), pgscript.SASLInitial(scram.Mechanism, "n,,n=,r=abc"), pgscript.SASLResponse("c=biws,r=abc,p=x")} {
		if got := rebuff(t, addr, m); !strings.HasPrefix(got, "08P01") {
			t.Errorf("%q: %s", m, got)
		}
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: p.Pool(), ServerName: "localhost", NextProtos: []string{"postgresql"}})
		if err != nil {
			t.Fatal(err)
		}
		secure := pgscript.NewClient(t, c)
		secure.Send(m)
		if got := stage.Words(secure); !strings.HasPrefix(got, "08P01") {
			t.Errorf("%q within TLS: %s", m, got)
		}
	}
	open(t, addr)
}

// CVE-2015-6817: with PgBouncer's auth_user, whoever came with a name that nobody has was logged in as auth_user.
func TestCVE2015_6817(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 trust"}})
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	for _, method := range []heliosv1.AuthMethod{
		heliosv1.AuthMethod_AUTH_METHOD_SCRAM, heliosv1.AuthMethod_AUTH_METHOD_MD5, heliosv1.AuthMethod_AUTH_METHOD_PASSWORD, heliosv1.AuthMethod_AUTH_METHOD_TRUST,
	} {
		set := stage.Asking(pg, time.Minute)
		set.Listeners["main"].Auth = method
		set.Databases["*"].AuthQuery.Password = stage.Secret("postgres's")
		_, addr := stage.Start(t, set)
		for range 2 { // the second time the answer is known
			for _, password := range []string{"postgres's", "", "ann's"} {
				c, err := stage.TryConnect(addr, "nobody", "password", password)
				if err == nil {
					t.Errorf("%v: nobody is let in, as %s", method, stage.Ask(c, "SELECT current_user"))
					c.Close(context.Background())
				} else if method != heliosv1.AuthMethod_AUTH_METHOD_TRUST && !strings.Contains(err.Error(), `password authentication failed for user "nobody"`) {
					t.Errorf("%v: nobody, with password %q: %v", method, password, err)
				}
			}
		}
		c := stage.Connect(t, addr, "ann", "password", "ann's")
		stage.Want(t, c, "SELECT current_user", "ann")
	}
}

// CVE-2025-12819: the search_path of a client's StartupMessage was in force where PgBouncer ran its auth_query as auth_user, who then
// called functions of the client's.
func TestCVE2025_12819(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	pg.Primary.Exec(t, "CREATE SCHEMA trap", "CREATE TABLE trap.caught (who name)", "GRANT ALL ON SCHEMA trap TO public", "GRANT ALL ON trap.caught TO public",
		"CREATE FUNCTION trap.lower(text) RETURNS text LANGUAGE sql AS $$INSERT INTO trap.caught VALUES (current_user); SELECT pg_catalog.lower($1)$$",
		"CREATE VIEW trap.pg_authid AS SELECT rolname, trap.lower('SCRAM') AS rolpassword, rolvaliduntil, rolcanlogin FROM pg_catalog.pg_authid")
	set := stage.Asking(pg, time.Millisecond)
	set.Databases["*"].AuthQuery.Query = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = lower($1)"
	_, addr := stage.Start(t, set)
	for _, path := range []string{" options='-c search_path=trap,pg_catalog'", " options='--search-path=trap,pg_catalog'"} {
		if got := stage.Psql(t, addr, stage.As("ann", "ann's")+path, "SELECT current_user"); got != "ann" {
			t.Errorf("%s: %s", path, got)
		}
	}
	if c, err := stage.TryConnect(addr, "ann", "password", "ann's", "search_path", "trap,pg_catalog"); err != nil {
		t.Error(err)
	} else {
		stage.Want(t, c, "SHOW search_path", "trap,pg_catalog") // it is the client's own
		c.Close(context.Background())
	}
	if caught := pg.Primary.Query(t, "SELECT DISTINCT who FROM trap.caught"); len(caught) > 0 {
		t.Errorf("the function was called as %v", caught)
	}
}

// CVE-2025-46801: where Pgpool-II had a server connection at hand, it took any password of whoever came for it (methods password and
// md5, of users whose secret was not in its own file).
func TestCVE2025_46801(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	for _, method := range []heliosv1.AuthMethod{heliosv1.AuthMethod_AUTH_METHOD_PASSWORD, heliosv1.AuthMethod_AUTH_METHOD_MD5, heliosv1.AuthMethod_AUTH_METHOD_SCRAM} {
		for _, known := range []bool{false, true} {
			set := stage.Asking(pg, time.Minute)
			set.Listeners["main"].Auth = method
			if known {
				set.Users["ann"] = &heliosv1.User{Name: "ann", Secret: stage.Secret(pgmd5.Hash("ann's", "ann")), ServerPassword: stage.Secret("ann's")}
				if method == heliosv1.AuthMethod_AUTH_METHOD_SCRAM {
					set.Users["ann"].Secret = stage.Secret("ann's")
				}
			}
			_, addr := stage.Start(t, set)
			first := stage.Connect(t, addr, "ann", "password", "ann's")
			stage.Want(t, first, "SELECT 1", "1") // there is a server connection, and it is free
			for _, password := range []string{"wrong", "", "ann's ", "postgres"} {
				c, err := stage.TryConnect(addr, "ann", "password", password)
				var pe *pgconn.PgError
				if err == nil {
					c.Close(context.Background())
				}
				if !stage.AsPg(err, &pe) || pe.Code != "28P01" {
					t.Errorf("%v, known %v: password %q: %v", method, known, password, err)
				}
			}
		}
	}
}

// CVE-2026-6664: an integer overflow in PgBouncer's reading of SCRAM messages let a client crash it.
func TestCVE2026_6664(t *testing.T) {
	t.Parallel()
	addr := front(t, friendly, bySCRAM)
	hello := pgscript.Startup(pgscript.Version30, "user", "ann")
	for _, n := range []uint32{0, 1, 12, 1 << 16, 0x7fffffff, 0x80000000, 0xfffffffb, 0xffffffff} {
		body := binary.BigEndian.AppendUint32([]byte(scram.Mechanism+"\x00"), n)
		if got := rebuff(t, addr, hello, pgscript.Frame('p', body, []byte("n,,n=,r=abc"))); !strings.HasPrefix(got, "08P01") {
			t.Errorf("%#x bytes are said to follow: %s", n, got)
		}
	}
	for _, body := range []string{"", "\x00", scram.Mechanism, scram.Mechanism + "\x00", scram.Mechanism + "\x00\x00\x00", strings.Repeat("x", 60_000)} {
		if got := rebuff(t, addr, hello, pgscript.Frame('p', []byte(body))); !strings.HasPrefix(got, "08P01") {
			t.Errorf("%.30q: %s", body, got)
		}
	}
	open(t, addr)
}

// lengths are those that no message has, of which some overflow.
func lengths() []uint32 {
	return []uint32{0, 1, 3, 0x40000000, 0x7fffffff, 0x80000000, 0x80000001, 0xc0000000, 0xfffffffc, 0xffffffff}
}

// CVE-2026-6668: a length that made PgBouncer's buffer grow over what an integer holds let it loop for ever.
func TestCVE2026_6668(t *testing.T) {
	t.Parallel()
	addr := front(t, friendly, nil)
	for _, n := range lengths() {
		for _, typ := range []byte{'Q', 'P', 'B', 'S', 'd'} {
			if n == 0x40000000 && typ != 'S' {
				continue // that is almost what PostgreSQL would read
			}
			c := pgscript.Dial(t, "tcp", addr)
			c.Login(pgscript.Login{User: "ann", Database: "ann"})
			c.Send(binary.BigEndian.AppendUint32([]byte{typ}, n))
			if got := stage.Words(c); !strings.HasPrefix(got, "08P01") {
				t.Errorf("%c of %#x bytes: %s", typ, n, got)
			}
			c.Close()
		}
	}
	open(t, addr)
}

// CVE-2026-107348: so did a length of more than 2^31 before the log-in, in another buffer.
func TestCVE2026_107348(t *testing.T) {
	t.Parallel()
	addr := front(t, friendly, bySCRAM)
	for _, n := range lengths() {
		header := binary.BigEndian.AppendUint32(nil, n)
		if got := rebuff(t, addr, header); !strings.HasPrefix(got, "08P01") {
			t.Errorf("a first packet of %#x bytes: %s", n, got)
		}
		if got := rebuff(t, addr, pgscript.Startup(pgscript.Version30, "user", "ann"), append([]byte{'p'}, header...)); !strings.HasPrefix(got, "08P01") {
			t.Errorf("a password of %#x bytes: %s", n, got)
		}
	}
	open(t, addr)
}

// CVE-2026-107349: an empty name in the options of a StartupMessage let PgBouncer loop for ever.
func TestCVE2026_107349(t *testing.T) {
	t.Parallel()
	addr := front(t, friendly, nil)
	for _, options := range []string{"-c=", "-c =", "--=", "--", "-c", "-c =x", "-c a=b -c=", "=", `-c \ `, "-"} {
		if got := rebuff(t, addr, pgscript.Startup(pgscript.Version30, "user", "ann", "options", options)); !strings.HasPrefix(got, "08P01") {
			t.Errorf("options %q: %s", options, got)
		}
	}
	open(t, addr)
}

// CVE-2026-107350: PgBouncer took a second StartupMessage while SCRAM went on for a database that is not there, and the proof of one user
// was good for the name in the second.
func TestCVE2026_107350(t *testing.T) {
	t.Parallel()
	addr := front(t, friendly, func(set *resource.Set) {
		bySCRAM(set)
		set.Databases = map[string]*heliosv1.Database{"ann": {Name: "ann", Cluster: "main", PoolProfile: "default"}}
		set.Users["admin"] = &heliosv1.User{Name: "admin", Secret: stage.Secret("admin's")}
	})
	admin := pgscript.Startup(pgscript.Version30, "user", "admin", "database", "ann")
	for _, database := range []string{"ann", "nowhere"} {
		hello := pgscript.Startup(pgscript.Version30, "user", "ann", "database", database)
		first := pgscript.SASLInitial(scram.Mechanism, "n,,n=,r=abc")
		for name, messages := range map[string][][]byte{
			"in the place of the first message":       {hello, admin},
			"in the place of the proof":               {hello, first, admin},
			"behind the first message, in its packet": {hello, append(append([]byte(nil), first...), admin...), first},
			"at once": {append(append([]byte(nil), hello...), admin...), first},
		} {
			if got := rebuff(t, addr, messages...); !strings.HasPrefix(got, "08P01") {
				t.Errorf("database %s, %s: %s", database, name, got)
			}
		}
	}
	open(t, addr)
}

// CVE-2009-4034: PostgreSQL read the name of a certificate up to a zero byte, and took the certificate of one for that of another.
func TestCVE2009_4034(t *testing.T) {
	t.Parallel()
	names(t, "CVE-2009-4034", "ann", "ann\x00.example.org", "\x00ann")
}

// CVE-2012-0867: PostgreSQL read the first 32 bytes of the name of a certificate, and took the certificate of one for that of another.
func TestCVE2012_0867(t *testing.T) {
	t.Parallel()
	ann := strings.Repeat("a", 32)
	names(t, "CVE-2012-0867", ann, ann+"a", ann+".example.org", ann[:31])
}

// names lets user in by a certificate of that name, and by none of the others.
func names(t *testing.T, cve, user string, others ...string) {
	t.Helper()
	p := stage.NewPKI(t)
	addr := front(t, friendly, func(set *resource.Set) {
		set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_CERT
		secureDoor(set, p, heliosv1.SSLMode_SSL_MODE_REQUIRE)
	})
	for _, name := range append(others, user) {
		cfg, err := pgconn.ParseConfig("postgres://" + user + "@" + addr + "/postgres?sslmode=disable")
		if err != nil {
			t.Fatal(err)
		}
		cfg.TLSConfig = &tls.Config{RootCAs: p.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{
			p.Issue(name, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }).TLS(t),
		}}
		c, err := pgconn.ConnectConfig(context.Background(), cfg)
		if err == nil {
			c.Close(context.Background())
		}
		if (err == nil) != (name == user) {
			t.Errorf("%s: user %q comes with a certificate of %q: %v", cve, user, name, err)
		}
	}
}

// CVE-2021-23214 of PostgreSQL, CVE-2021-3935 of PgBouncer, CVE-2021-43766 of Odyssey: what somebody in the middle put behind a
// client's request for TLS, in clear text, counted as said by the client within TLS. Where certificates log in that was SQL.
func TestCVE2021_23214(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	addr := front(t, friendly, func(set *resource.Set) {
		set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_CERT
		secureDoor(set, p, heliosv1.SSLMode_SSL_MODE_REQUIRE)
	})
	config := &tls.Config{RootCAs: p.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{p.Client("ann").TLS(t)}}
	injected := append(pgscript.Startup(pgscript.Version30, "user", "ann"), pgscript.Query("SELECT 'injected'")...)
	for what, attack := range map[string]func(c *pgscript.Client){
		"in one packet":     func(c *pgscript.Client) { c.Send(pgscript.SSLRequest(), injected) },
		"a byte":            func(c *pgscript.Client) { c.Send(pgscript.SSLRequest(), injected[:1]) },
		"in another packet": func(c *pgscript.Client) { c.SendPackets(pgscript.SSLRequest(), injected) },
		"behind a GSSENCRequest": func(c *pgscript.Client) {
			c.Send(pgscript.GSSENCRequest(), pgscript.SSLRequest(), injected)
		},
	} {
		c := pgscript.Dial(t, "tcp", addr)
		attack(c)
		// The client knows nothing of it, and goes on.
		b, err := c.ReceiveByte()
		if err == nil && b == 'S' {
			secure := tls.Client(c.Conn, config)
			secure.SetDeadline(time.Now().Add(20 * time.Second))
			if err := secure.Handshake(); err == nil {
				t.Errorf("%s: TLS is agreed on", what)
			}
		} else if err != nil || b != 'E' {
			t.Errorf("%s: answered by %q, %v", what, b, err)
		}
		c.Close()
	}
	cfg, err := pgconn.ParseConfig("postgres://ann@" + addr + "/postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLSConfig = config
	c, err := pgconn.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatalf("nobody is let in at all: %v", err)
	}
	c.Close(context.Background())
}

// CVE-2026-6479: requests for TLS and GSSAPI in turn, each refused, let PostgreSQL recurse until its stack was full.
func TestCVE2026_6479(t *testing.T) {
	t.Parallel()
	addr := front(t, friendly, nil)
	for _, requests := range [][][]byte{
		{pgscript.SSLRequest(), pgscript.GSSENCRequest(), pgscript.SSLRequest()},
		{pgscript.GSSENCRequest(), pgscript.SSLRequest(), pgscript.GSSENCRequest()},
		{pgscript.SSLRequest(), pgscript.SSLRequest()},
	} {
		c := pgscript.Dial(t, "tcp", addr)
		for _, r := range requests[:len(requests)-1] {
			c.Send(r)
			c.ExpectByte('N')
		}
		c.Send(requests[len(requests)-1])
		if got := stage.Words(c); !strings.HasPrefix(got, "08P01") {
			t.Errorf("the last of %d: %s", len(requests), got)
		}
		c.ExpectEOF()
	}
	open(t, addr)
}

// CVE-2026-14681: within TLS that had begun at once PostgreSQL agreed to GSSAPI, whose rules then counted, and encrypted nothing by it.
func TestCVE2026_14681(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	addr := front(t, friendly, func(set *resource.Set) { secureDoor(set, p, heliosv1.SSLMode_SSL_MODE_ALLOW) })
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: p.Pool(), ServerName: "localhost", NextProtos: []string{"postgresql"}})
	if err != nil {
		t.Fatal(err)
	}
	secure := pgscript.NewClient(t, c)
	secure.Send(pgscript.GSSENCRequest())
	if got := stage.Words(secure); !strings.HasPrefix(got, "08P01") {
		t.Error(got)
	}
	open(t, addr)
}
