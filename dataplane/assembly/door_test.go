package assembly_test

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

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestServerLost kills a server connection under a session.
func TestServerLost(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2))
	c := stage.Connect(t, addr, "postgres")
	pid := stage.Ask(c, "BEGIN; SELECT pg_backend_pid()")
	pg.Primary.Query(t, "SELECT pg_terminate_backend("+pid+")")
	if got := stage.Ask(c, "SELECT 1"); !strings.HasPrefix(got, "57P01 ") && !strings.Contains(got, "EOF") {
		t.Errorf("in a transaction: %q, want what the server said", got)
	}
	d := stage.Connect(t, addr, "postgres")
	pid = stage.Ask(d, "SELECT pg_backend_pid()")
	pg.Primary.Query(t, "SELECT pg_terminate_backend("+pid+")")
	stage.Eventually(t, 15*time.Second, "the proxy has noticed", func() bool {
		n := 0
		p.Hub().Pools.Each(func(p *pool.Pool) { n, _ = p.Total() })
		return n == 0
	})
	stage.Want(t, d, "SELECT 1", "1")
	fake := pgscript.Serve(t, func(c *pgscript.Conn) error {
		if _, err := c.Welcome(1, []byte("1234")); err != nil {
			return err
		}
		_, err := c.Receive() // the statement; then it is gone without a word
		return err
	})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	host, port := stage.Split(fake.Addr())
	set.Nodes["n1"].Host = host
	fmt.Sscan(port, &set.Nodes["n1"].Port)
	_, addr = stage.Start(t, set)
	e := pgscript.Dial(t, "tcp", addr)
	e.Login(pgscript.Login{User: "postgres", Database: "postgres"})
	e.Send(pgscript.Query("SELECT 1"))
	e.Expect("E 08006 server closed the connection unexpectedly; whether the statement was carried out is not known")
	e.ExpectEOF()
}

// TestDrain stops the proxy: sessions at rest end at once, those in a transaction with it.
func TestDrain(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, mode := range []heliosv1.PoolMode{heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.PoolMode_POOL_MODE_SESSION} {
		p, addr := stage.Start(t, stage.Config(pg.Primary, mode, 3))
		idle := pgscript.Dial(t, "tcp", addr)
		idle.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		busy := stage.Connect(t, addr, "postgres")
		stage.Want(t, busy, "BEGIN", "")
		done := make(chan error, 1)
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		go func() { done <- p.Drain(ctx) }()
		idle.Expect("E 57P01 terminating connection: the proxy is shutting down")
		idle.ExpectEOF()
		stage.Want(t, busy, "SELECT 7", "7")
		select {
		case err := <-done:
			t.Fatalf("%s: drained (%v) with a transaction open", mode, err)
		default:
		}
		if c, err := stage.TryConnect(addr, "postgres"); err == nil && stage.Ask(c, "SHOW port") == fmt.Sprint(pg.Primary.Port()) { // and not somebody else's who has the port now
			t.Errorf("%s: a new client was let in", mode)
		}
		stage.Want(t, busy, "COMMIT", "")
		if err := <-done; err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestReload changes the configuration under sessions.
func TestReload(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	p, addr := stage.Start(t, set)
	port := addr[strings.LastIndex(addr, ":"):]
	a, b := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, b, "BEGIN", "")
	bad := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	bad.Listeners["other"] = &heliosv1.Listener{Name: "other", Address: "127.0.0.1" + port}
	if _, err := p.Apply(bad, nil); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port that is taken: %v", err)
	}
	stage.Want(t, a, "SELECT 1", "1")
	next := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	next.Databases = map[string]*heliosv1.Database{"other": {Name: "other", Cluster: "main", PoolProfile: "default"}}
	if _, err := p.Apply(next, nil); err != nil {
		t.Fatal(err)
	}
	stage.Want(t, b, "SELECT 2", "2") // its transaction began before
	stage.Want(t, b, "COMMIT", "")
	for _, c := range []*pgconn.PgConn{a, b} {
		if got := stage.Ask(c, "SELECT 1"); !strings.HasPrefix(got, "57P01 ") {
			t.Errorf("a session of a database that was removed: %s", got)
		}
	}
}

// TestGarbage feeds the door what is not the protocol, and what is too much of it: it costs that client.
func TestGarbage(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Limits["default"].LoginTimeout = durationpb.New(300 * time.Millisecond)
	p, addr := stage.Start(t, set)
	good := stage.Connect(t, addr, "postgres")
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
	stage.Want(t, good, "SELECT 1", "1")
	stage.Eventually(t, 15*time.Second, "the door is clear", func() bool { return p.Group().Loops()[0].Load() == 1 })
}
