package servers

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestClientDies has clients that vanish in every state of a session. Soon, and well before the bound after which a connection is given up, nothing is left of
// them on the server, and every server connection is of use to others.
func TestClientDies(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE TABLE died (a int, b text)")
	const n = 2
	q := pgscript.Query
	for _, c := range []struct {
		name  string
		first []byte   // answered
		then  [][]byte // not waited for
	}{
		{"in a transaction", q("BEGIN; INSERT INTO died VALUES (1)"), nil},
		{"in a failed transaction", q("BEGIN; SELECT 1/0"), nil},
		{"while a statement runs", q("BEGIN"), [][]byte{q("SELECT pg_sleep(3600)")}},
		{"with a pipeline under way", q("BEGIN"), [][]byte{q("SELECT 1"), q("SELECT pg_sleep(3600)"), q("SELECT 2")}},
		{"in an extended unit", q("BEGIN"), [][]byte{pgscript.Parse("", "SELECT pg_sleep(3600)"), pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Flush()}},
		{"in an extended unit without Flush", q("SELECT 1"), [][]byte{pgscript.Parse("", "INSERT INTO died VALUES (2)"), pgscript.Bind("", ""), pgscript.Execute("", 0)}},
		{"within a message", q("BEGIN"), [][]byte{pgscript.Bind("", "", string(make([]byte, 40000)))[:20000]}},
		{"in COPY FROM STDIN", q("BEGIN"), [][]byte{q("COPY died FROM STDIN"), pgscript.CopyData("1\tx\n")}},
		{"with COPY on its way", q("BEGIN"), [][]byte{q("COPY died FROM STDIN")}},
		{"with an extended COPY on its way, Sync ahead", q("BEGIN"), [][]byte{
			pgscript.Parse("", "COPY died FROM STDIN"), pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Sync(),
		}},
		{"within a CopyData", q("BEGIN"), [][]byte{q("COPY died FROM STDIN"), pgscript.CopyData("1\tx\n"), pgscript.CopyData("2\tlong enough\n")[:9]}},
		{"in an extended COPY", q("BEGIN"), [][]byte{pgscript.Parse("", "COPY died FROM STDIN"), pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Flush()}},
		{"in COPY TO STDOUT", q("BEGIN"), [][]byte{q("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT")}},
		{"after a SET", q("BEGIN; SET TimeZone = 'Asia/Tokyo'; SET application_name = 'dead'"), nil},
	} {
		for _, mode := range []heliosv1.PoolMode{heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.PoolMode_POOL_MODE_SESSION} {
			t.Run(fmt.Sprintf("%s/%s", c.name, mode), func(t *testing.T) {
				_, addr := stage.Start(t, stage.Config(pg.Primary, mode, n))
				for range n {
					cl := pgscript.Dial(t, "tcp", addr)
					cl.Login(pgscript.Login{User: "postgres", Database: "postgres", Params: []string{"application_name", "victim"}})
					cl.Run(c.first)
					cl.Send(c.then...)
					if !strings.Contains(c.name, "on its way") {
						<-time.After(20 * time.Millisecond)
					}
					_ = cl.Conn.Conn.(*net.TCPConn).SetLinger(0) // as a process that is killed with bytes unread
					cl.Close()
				}
				stage.Eventually(t, 15*time.Second, "nothing is open on the server", func() bool {
					return pg.Primary.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND (state <> 'idle' OR xact_start IS NOT NULL)")[0][0] == "0"
				})
				for range n { // side by side: each has one of the connections
					c := stage.Connect(t, addr, "postgres")
					stage.Want(t, c, "BEGIN; SELECT current_setting('TimeZone')", "UTC")
					stage.Want(t, c, "SELECT current_setting('application_name')", "")
				}
			})
		}
	}
	if got := pg.Primary.Query(t, "SELECT count(*) FROM died")[0][0]; got != "0" {
		t.Errorf("%s rows of dead clients were committed", got)
	}
}

// TestSessionEndsItsServer leaves within a transaction: in pool mode session the server's process ends with it, and serves nobody
// else; at rest, and in pool mode transaction, it goes on.
func TestSessionEndsItsServer(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, c := range []struct {
		mode  heliosv1.PoolMode
		first string
		same  bool
	}{
		{heliosv1.PoolMode_POOL_MODE_SESSION, "BEGIN", false},
		{heliosv1.PoolMode_POOL_MODE_SESSION, "SELECT 1", true},
		{heliosv1.PoolMode_POOL_MODE_TRANSACTION, "BEGIN", true},
	} {
		_, addr := stage.Start(t, stage.Config(pg.Primary, c.mode, 1))
		pid := func(first string) string {
			cl := pgscript.Dial(t, "tcp", addr)
			defer cl.Close()
			cl.Login(pgscript.Login{User: "postgres", Database: "postgres"})
			cl.Run(pgscript.Query(first))
			return strings.Join(cl.Run(pgscript.Query("SELECT pg_backend_pid()")), " ")
		}
		a := pid(c.first)
		if b := pid(c.first); (a == b) != c.same {
			t.Errorf("%v, after %s: %s, and then %s", c.mode, c.first, a, b)
		}
	}
}

// TestCapHolds has clients die with statements that take their time to end: at no moment are there more
// server connections than the pool may have.
func TestCapHolds(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4))
	ctx, stop := context.WithCancel(context.Background())
	most := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			var k int
			fmt.Sscan(pg.Primary.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> '"+pgcluster.OwnConnections+"'")[0][0], &k)
			n = max(n, k)
		}
		most <- n
	}()
	for range 10 {
		var cls []*pgscript.Client
		for range 8 {
			cl := pgscript.Dial(t, "tcp", addr)
			cl.Login(pgscript.Login{User: "postgres", Database: "postgres"})
			cl.Send(pgscript.Query("BEGIN; SELECT pg_sleep(3600)"))
			cls = append(cls, cl)
		}
		<-time.After(30 * time.Millisecond)
		for _, cl := range cls {
			cl.Close()
		}
	}
	c := stage.Connect(t, addr, "postgres")
	stage.Want(t, c, "SELECT 1", "1")
	stop()
	if n := <-most; n > 4 || n < 2 {
		t.Errorf("%d server connections at a moment, want 2 to 4", n)
	}
}
