package access

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// The holes of this file were open to servers, and to whoever is between a proxy, or a client, and the server.

// overTLS makes the proxy demand TLS of servers.
func overTLS(p *stage.PKI, mode heliosv1.SSLMode) func(*resource.Set) {
	return func(set *resource.Set) { set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: mode, CaFile: p.CA} }
}

// told is what a client is told who connects.
func told(addr string) string {
	c, err := stage.TryConnect(addr, "ann", "password", "ann's")
	if err != nil {
		return err.Error()
	}
	defer c.Close(context.Background())
	return "in, " + stage.Ask(c, "SELECT 1")
}

// CVE-2021-23222 of libpq, CVE-2021-43767 of Odyssey: what somebody in the middle put behind a server's agreement to TLS, in clear text,
// counted as said by the server within TLS.
func TestCVE2021_23222(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	greeting := pgscript.Greeting(666, []byte("1234"))
	certificate := p.Server("127.0.0.1").TLS(t)
	for what, behind := range map[string][][]byte{
		"in one packet":     {append([]byte{'S'}, greeting...)},
		"a byte":            {[]byte("SR")},
		"in another packet": {[]byte("S"), greeting},
	} {
		addr := front(t, func(c *pgscript.Conn) error {
			if _, err := c.ReceiveOpening(); err != nil {
				return nil
			}
			if c.SendPackets(behind...) != nil {
				return nil
			}
			secure := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
			if err := secure.Handshake(); err == nil {
				t.Errorf("%s: TLS is agreed on", what)
			}
			return nil
		}, overTLS(p, heliosv1.SSLMode_SSL_MODE_VERIFY_FULL))
		if got := told(addr); !strings.Contains(got, "08001") {
			t.Errorf("%s: %s", what, got)
		}
	}
}

// CVE-2017-7485: libpq did not look at PGREQUIRESSL any more, and went on without TLS where the server, or somebody in the middle, had
// none.
func TestCVE2017_7485(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	for _, mode := range []heliosv1.SSLMode{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.SSLMode_SSL_MODE_VERIFY_CA, heliosv1.SSLMode_SSL_MODE_VERIFY_FULL} {
		addr := front(t, func(c *pgscript.Conn) error {
			if _, err := c.ReceiveOpening(); err != nil {
				return nil
			}
			if c.Send([]byte{'N'}) != nil {
				return nil
			}
			if m, err := c.ReceiveOpening(); err == nil {
				t.Errorf("%v: behind the server's no comes %q", mode, m.Body)
			}
			return nil
		}, overTLS(p, mode))
		if got := told(addr); !strings.Contains(got, "server does not support SSL, but SSL was required") {
			t.Errorf("%v: %s", mode, got)
		}
	}
}

// CVE-2024-10977: libpq showed what was said in the place of an answer to the request for TLS, by whoever, as an error of the server.
func TestCVE2024_10977(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	const lie = "please log in at evil.example.org"
	for _, mode := range []heliosv1.SSLMode{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.SSLMode_SSL_MODE_VERIFY_FULL} {
		addr := front(t, func(c *pgscript.Conn) error {
			if _, err := c.ReceiveOpening(); err == nil {
				c.Send(pgscript.ErrorResponse("FATAL", "28000", lie))
			}
			return nil
		}, overTLS(p, mode))
		if got := told(addr); strings.Contains(got, lie) || !strings.Contains(got, "08001") {
			t.Errorf("%v: %s", mode, got)
		}
	}
}

// CVE-2018-10915: libpq kept what it knew of one try to connect for the next.
func TestCVE2018_10915(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	addr := front(t, func(c *pgscript.Conn) error {
		if tries.Add(1) > 1 {
			return friendly(c)
		}
		if _, err := c.ReceiveOpening(); err == nil { // the refusal, and what would let in
			c.Send(pgscript.ErrorResponse("FATAL", "28000", "not without TLS"), pgscript.Auth(0), pgscript.ParameterStatus("server_version", "66.6"),
				pgscript.BackendKeyData(666, []byte("1234")), pgscript.ReadyForQuery('I'))
			c.Receive()
		}
		return nil
	}, func(set *resource.Set) {
		set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: heliosv1.SSLMode_SSL_MODE_ALLOW}
	})
	c := stage.Connect(t, addr, "ann")
	if got := c.ParameterStatus("server_version"); got != "15.0" || tries.Load() < 2 {
		t.Errorf("after %d tries the server's version is %s", tries.Load(), got)
	}
	stage.Want(t, c, "SELECT 1", "")
}

// CVE-2020-25694: programs that connected anew forgot what had been demanded of the first connection: TLS, channel binding.
func TestCVE2020_25694(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.Exec(t, "SET password_encryption = 'scram-sha-256'; ALTER ROLE postgres PASSWORD 'x'")
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	pair := p.Server("127.0.0.1")
	pg.Primary.SpeakTLS(t, pair.Cert, pair.Key, nil)
	server := pg.Primary.Addr()
	var conns atomic.Int64
	watch := pgscript.Serve(t, func(c *pgscript.Conn) error {
		far, err := net.Dial("tcp", server)
		if err != nil {
			return nil
		}
		defer far.Close()
		head := make([]byte, 9)
		if _, err := io.ReadFull(c.Conn, head[:8]); err != nil {
			return nil
		}
		conns.Add(1)
		if !bytes.Equal(head[:8], pgscript.SSLRequest()) {
			t.Errorf("a connection begins with %q", head[:8])
			return nil
		}
		var back sync.WaitGroup
		back.Go(func() { io.Copy(c.Conn, far); c.Conn.Close() })
		defer back.Wait()
		defer far.Close()
		far.Write(head[:8])
		if _, err := io.ReadFull(c.Conn, head[8:]); err != nil {
			return nil
		}
		if head[8] != 0x16 {
			t.Errorf("TLS begins with %q", head[8])
		}
		far.Write(head[8:])
		io.Copy(far, c.Conn)
		return nil
	})
	set := stage.Asking(pg, time.Minute)
	set.Databases["*"].AuthQuery.Password = stage.Secret("x")
	at := stage.ConfigAt(watch.Addr(), heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Nodes, set.Clusters = at.Nodes, at.Clusters
	set.Clusters["main"].Tls = &heliosv1.ServerTLS{Mode: heliosv1.SSLMode_SSL_MODE_VERIFY_FULL, CaFile: p.CA, ChannelBinding: heliosv1.ChannelBinding_CHANNEL_BINDING_REQUIRE}
	set.PoolProfiles["default"].Listen = heliosv1.Listen_LISTEN_SHARED
	_, addr := stage.Start(t, set)
	stage.Want(t, stage.Connect(t, addr, "ann", "password", "ann's"), "LISTEN news", "")
	for range 2 { // the server connections are lost, and come anew
		stage.Eventually(t, 10*time.Second, "ann is let in", func() bool { return told(addr) == "in, 1" })
		pg.Primary.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann'")
	}
	stage.Eventually(t, 10*time.Second, "ann is let in", func() bool { return told(addr) == "in, 1" })
	c := stage.Connect(t, addr, "ann", "password", "ann's")
	go func() {
		stage.Eventually(t, 20*time.Second, "the statement runs", func() bool {
			return len(pg.Primary.Query(t, "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'")) > 0
		})
		c.CancelRequest(context.Background())
	}()
	if got := stage.Ask(c, "SELECT pg_sleep(60)"); !strings.HasPrefix(got, "57014") {
		t.Errorf("cancelled: %s", got)
	}
	if n := conns.Load(); n < 5 { // who asks for users, those of the pool, who listens, the cancel
		t.Errorf("%d connections were seen", n)
	}
}

// rogue is a server that asks for SCRAM, and answers the first message as first says of its nonce. What it gets for that is handed to
// seen, nil where nothing comes.
func rogue(first func(nonce string) string, seen func(final []byte)) func(*pgscript.Conn) error {
	return func(c *pgscript.Conn) error {
		if _, err := c.ReceiveOpening(); err != nil {
			return nil
		}
		if c.Send(pgscript.AuthSASL(scram.Mechanism)) != nil {
			return nil
		}
		m, err := c.Receive()
		if err != nil {
			return nil
		}
		_, nonce, ok := bytes.Cut(m.Body, []byte(",r="))
		if !ok {
			return fmt.Errorf("a first message without a nonce: %q", m.Body)
		}
		if c.Send(pgscript.Auth(11, []byte(first(string(nonce))))) != nil {
			return nil
		}
		m, err = c.Receive()
		if err != nil {
			seen(nil)
			return nil
		}
		seen(m.Body)
		c.Send(pgscript.ErrorResponse("FATAL", "28P01", "no"))
		return nil
	}
}

// CVE-2019-10164: a password's verifier, or a server's SCRAM message, longer than a buffer of PostgreSQL and libpq overwrote the stack.
func TestCVE2019_10164(t *testing.T) {
	t.Parallel()
	salt := strings.Repeat("QUFB", 12_000)
	addr := front(t, rogue(func(nonce string) string { return "r=" + nonce + "x,s=" + salt + ",i=1" }, func(final []byte) {
		if len(final) == 0 {
			t.Error("a long salt is not answered")
		}
	}), nil)
	if got := told(addr); !strings.Contains(got, "28P01") {
		t.Errorf("a long salt: %s", got)
	}
	for what, verifier := range map[string]string{
		"a long salt":        "SCRAM-SHA-256$4096:" + salt + "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"long keys":          "SCRAM-SHA-256$4096:QUFB$" + salt + ":" + salt,
		"a long count":       "SCRAM-SHA-256$" + strings.Repeat("9", 10_000) + ":QUFB$" + salt + ":" + salt,
		"nothing but length": strings.Repeat("x", 100_000),
	} {
		addr := front(t, friendly, func(set *resource.Set) {
			bySCRAM(set)
			set.Users["eve"] = &heliosv1.User{Name: "eve", Secret: stage.Secret(verifier)}
		})
		if _, err := stage.TryConnect(addr, "eve", "password", "eve's"); err == nil {
			t.Errorf("%s: it is let in by another password", what)
		}
		open(t, addr)
	}
}

// CVE-2026-6665: a long nonce of a server overwrote PgBouncer's stack.
func TestCVE2026_6665(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 60_000)
	addr := front(t, rogue(func(nonce string) string { return "r=" + nonce + long + ",s=QUFB,i=1" }, func(final []byte) {
		if len(final) > 0 && !bytes.Contains(final, []byte(long)) {
			t.Errorf("a long nonce is answered with %d bytes", len(final))
		}
	}), nil)
	for range 3 {
		if got := told(addr); !strings.Contains(got, "28P01") && !strings.Contains(got, "28000") {
			t.Error(got)
		}
	}
}

// CVE-2026-6669 of PgBouncer, CVE-2026-42198 of pgjdbc: a server that asked for a great many iterations kept them busy, for all clients
// and servers.
func TestCVE2026_6669(t *testing.T) {
	t.Parallel()
	for _, n := range []string{"2147483647", "4294967297", "99999999999999999999", "-1", "0", strconv.Itoa(scram.MaxIterations + 1)} {
		addr := front(t, rogue(func(nonce string) string { return "r=" + nonce + "x,s=QUFB,i=" + n }, func(final []byte) {
			if final != nil {
				t.Errorf("%s iterations are made", n)
			}
		}), nil)
		if got := told(addr); !strings.Contains(got, "28000") {
			t.Errorf("%s iterations: %s", n, got)
		}
	}
	// As many as may be: others are served at the time, and the wait has its end.
	friend := pgscript.Serve(t, friendly)
	addr := front(t, rogue(func(nonce string) string { return fmt.Sprintf("r=%sx,s=QUFB,i=%d", nonce, scram.MaxIterations) }, func([]byte) {}), func(set *resource.Set) {
		at := stage.ConfigAt(friend.Addr(), heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
		set.Clusters["other"], set.Nodes["n2"] = &heliosv1.Cluster{Name: "other", Tls: set.Clusters["main"].Tls}, at.Nodes["n1"]
		set.Nodes["n2"].Name, set.Nodes["n2"].Cluster = "n2", "other"
		set.Databases["other"] = &heliosv1.Database{Name: "other", Cluster: "other", PoolProfile: "default"}
		set.PoolProfiles["default"].ConnectTimeout = durationpb.New(10 * time.Second)
	})
	slow := make(chan string, 1)
	go func() { slow <- told(addr) }()
	cfg, err := pgconn.ParseConfig("postgres://ann@" + addr + "/other?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		c, err := pgconn.ConnectConfig(context.Background(), cfg)
		if err != nil {
			t.Fatalf("another database: %v", err)
		}
		c.Close(context.Background())
	}
	if got := <-slow; strings.HasPrefix(got, "in") {
		t.Error(got)
	}
}

// CVE-2026-6666: a server's error without an SQLSTATE crashed PgBouncer.
func TestCVE2026_6666(t *testing.T) {
	t.Parallel()
	nameless := pgscript.Frame('E', []byte("SFATAL\x00Mno code\x00\x00"))
	for what, e := range map[string][]byte{
		"no SQLSTATE": nameless, "an empty one": pgscript.Frame('E', []byte("SFATAL\x00C\x00Mno code\x00\x00")), "nothing": pgscript.Frame('E', []byte{0}),
		"no body": pgscript.Frame('E'), "no end": pgscript.Frame('E', []byte("SFATAL")),
	} {
		var refuse atomic.Bool
		addr := front(t, func(c *pgscript.Conn) error {
			if refuse.Load() {
				if _, err := c.ReceiveOpening(); err == nil {
					c.Send(e)
				}
				return nil
			}
			if _, err := c.Welcome(1, []byte("1234")); err != nil {
				return nil
			}
			if _, err := c.Receive(); err == nil {
				refuse.Store(true)
				c.Send(e)
			}
			return nil
		}, nil)
		c := stage.Connect(t, addr, "ann")
		if got := stage.Ask(c, "SELECT 1"); got == "" {
			t.Errorf("%s, in a session: no error", what)
		}
		if got := told(addr); strings.HasPrefix(got, "in") {
			continue // its own settings were known, and its statement was answered by an error
		}
		var refused *pgconn.PgError
		if _, err := stage.TryConnect(addr, "ann"); err != nil && !errors.As(err, &refused) && what == "no SQLSTATE" {
			t.Errorf("%s, at the log-in: %v", what, err)
		}
	}
}

// CVE-2025-49146: with channelBinding=require pgjdbc logged in at servers, and proved itself to whoever was in the middle, by methods that
// bind nothing.
func TestCVE2025_49146(t *testing.T) {
	t.Parallel()
	p := stage.NewPKI(t)
	certificate := p.Server("127.0.0.1").TLS(t)
	for what, asks := range map[string][][]byte{ // the last is not to be answered
		"nothing":                   {pgscript.Greeting(1, []byte("1234"))},
		"a password":                {pgscript.Auth(3)},
		"md5":                       {pgscript.Auth(5, []byte("salt"))},
		"SCRAM, unbound":            {pgscript.AuthSASL(scram.Mechanism)},
		"a password, in the middle": {pgscript.AuthSASL(scram.MechanismPlus), pgscript.Auth(3)},
		"md5, in the middle":        {pgscript.AuthSASL(scram.MechanismPlus), pgscript.Auth(5, []byte("salt"))},
		"the end of it":             {pgscript.AuthSASL(scram.MechanismPlus), pgscript.Greeting(1, []byte("1234"))},
	} {
		addr := front(t, func(c *pgscript.Conn) error {
			if _, err := c.ReceiveOpening(); err != nil {
				return nil
			}
			if c.Send([]byte{'S'}) != nil {
				return nil
			}
			secure := tls.Server(c.Conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
			if secure.Handshake() != nil {
				return nil
			}
			s := &pgscript.Conn{Conn: secure}
			if _, err := s.ReceiveOpening(); err != nil {
				return nil
			}
			for i, a := range asks {
				if s.Send(a) != nil {
					return nil
				}
				if m, err := s.Receive(); err != nil {
					return nil
				} else if i == len(asks)-1 {
					t.Errorf("%s is asked for, and answered by %q", what, m.Frontend())
				}
			}
			return nil
		}, func(set *resource.Set) {
			set.Clusters["main"].Tls = &heliosv1.ServerTLS{
				Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, ChannelBinding: heliosv1.ChannelBinding_CHANNEL_BINDING_REQUIRE,
			}
		})
		if got := told(addr); !strings.Contains(got, "28000") && !strings.Contains(got, "08001") {
			t.Errorf("%s is asked for: %s", what, got)
		}
	}
}
