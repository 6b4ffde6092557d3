package assembly_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// onGoroutines makes a proxy wait as it does where there is no epoll.
func onGoroutines(o *assembly.Options) { o.Reactor.Engine, o.Loops = reactor.Goroutines, 2 }

// TestGoroutines runs a proxy with the engine of other platforms through what an engine can spoil: all protocols at once, bulk in both directions, TLS,
// a cancel, peers that go away.
func TestGoroutines(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := stage.NewPKI(t)
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4)
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_ALLOW, CertFile: p.Cert, KeyFile: p.Key}
	px, addr := stage.Start(t, set, onGoroutines)
	c := stage.Connect(t, addr, "postgres")

	stage.Pgbench(t, addr, "-i", "-s", "1", "-q", "-n")
	for _, mode := range []string{"simple", "extended", "prepared"} {
		stage.Pgbench(t, addr, "-n", "-c", "8", "-t", "10", "-M", mode)
	}

	stage.Want(t, c, "CREATE TABLE bulk (t text)", "")
	line := strings.Repeat("x", 999) + "\n"
	const lines = 10_000
	if tag, err := c.CopyFrom(context.Background(), strings.NewReader(strings.Repeat(line, lines)), "COPY bulk FROM STDIN"); err != nil || tag.RowsAffected() != lines {
		t.Errorf("copied in: %s, %v", tag, err)
	}
	var out bytes.Buffer
	if _, err := c.CopyTo(context.Background(), &out, "COPY bulk TO STDOUT"); err != nil || out.Len() != lines*len(line) {
		t.Errorf("copied out: %d bytes, %v", out.Len(), err)
	}
	if got := stage.Psql(t, addr, "user=postgres sslmode=require", "SELECT repeat('x', 1000000)"); len(got) != 1_000_000 {
		t.Errorf("over TLS %d bytes come: %.100s", len(got), got)
	}

	running := func(n int) {
		t.Helper()
		stage.Eventually(t, 15*time.Second, fmt.Sprintf("%d statements run", n), func() bool {
			return pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'")[0][0] == fmt.Sprint(n)
		})
	}
	answer := make(chan string, 1)
	go func() { answer <- stage.Ask(c, "SELECT pg_sleep(60)") }()
	running(1)
	if err := c.CancelRequest(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got != "57014 canceling statement due to user request" {
		t.Errorf("cancelled: %s", got)
	}
	dying := stage.Connect(t, addr, "postgres")
	go stage.Ask(dying, "SELECT pg_sleep(60)")
	running(1)
	_ = dying.Conn().(*net.TCPConn).SetLinger(0)
	dying.Conn().Close()
	running(0) // who asked is gone: the server is told
	go func() { answer <- stage.Ask(c, "SELECT pg_sleep(60)") }()
	running(1)
	pg.Query(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'")
	if got := <-answer; !strings.HasPrefix(got, "57P01") {
		t.Errorf("its server is terminated: %s", got)
	}
	stage.Want(t, stage.Connect(t, addr, "postgres"), "SELECT 7", "7")
	stage.Eventually(t, 10*time.Second, "nobody is left who is gone", func() bool { return px.Clients() <= 2 })
}

// TestGoroutinesTakenOver hands sessions over between the engines, both ways.
func TestGoroutinesTakenOver(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	for _, engines := range [][2]reactor.Engine{{reactor.Goroutines, reactor.Goroutines}, {reactor.Native, reactor.Goroutines}, {reactor.Goroutines, reactor.Native}} {
		s := succeedable(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3), time.Minute, func(o *assembly.Options) { o.Reactor.Engine = engines[0] })
		c := stage.Connect(t, s.addr, "postgres")
		stage.Want(t, c, "SET work_mem = '5MB'", "")
		s.next(t, func(o *assembly.Options) { o.Reactor.Engine = engines[1] })
		s.gone(t)
		stage.Want(t, c, "SHOW work_mem", "5MB")
		stage.Want(t, stage.Connect(t, s.addr, "postgres"), "SELECT 3", "3")
	}
}
