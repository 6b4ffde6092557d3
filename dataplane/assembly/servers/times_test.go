package servers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestQueryTimeout cancels statements that run too long, and nothing else: in each mode, within a transaction, in a pipeline where each
// has its own time, and not what waits for a connection. The session goes on.
func TestQueryTimeout(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	const canceled = "57014 canceling statement due to user request"
	for _, mode := range []heliosv1.PoolMode{heliosv1.PoolMode_POOL_MODE_SESSION, heliosv1.PoolMode_POOL_MODE_TRANSACTION} {
		set := stage.Config(pg.Primary, mode, 1)
		set.PoolProfiles["default"].QueryTimeout = durationpb.New(400 * time.Millisecond)
		_, addr := stage.Start(t, set)
		c, notices := stage.Noticed(t, addr, "postgres")
		stage.Want(t, c, "SELECT 1", "1")
		stage.Want(t, c, "SELECT pg_sleep(60)", canceled)
		if got := fmt.Sprint(*notices); got != "[WARNING 57014 canceling statement: it has run for 400ms]" {
			t.Errorf("told is %s", got)
		}
		stage.Want(t, c, "SELECT 2", "2")
		stage.Want(t, c, "BEGIN", "")
		stage.Want(t, c, "SELECT pg_sleep(60)", canceled)
		stage.Want(t, c, "SELECT 1", "25P02 current transaction is aborted, commands ignored until end of transaction block")
		stage.Want(t, c, "ROLLBACK", "")
		rr := c.ExecParams(context.Background(), "SELECT pg_sleep(60)", nil, nil, nil, nil).Read()
		if stage.TurnedDown(rr.Err) != canceled {
			t.Errorf("extended: %v", rr.Err)
		}
		pipe := c.StartPipeline(context.Background())
		for range 9 { // each takes less than it may, all together more
			pipe.SendQueryParams("SELECT 1 FROM pg_sleep(0.05)", nil, nil, nil, nil)
			if err := pipe.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if err := pipe.Close(); err != nil {
			t.Errorf("statements in a pipeline: %v", err)
		}
		if n := len(*notices); n != 3 {
			t.Errorf("%d warnings of 3 statements", n)
		}
	}
}

// TestQueryTimeoutInQueue does not count what a statement has waited for its connection, and what is held up by a statement that is
// cancelled is not cancelled itself.
func TestQueryTimeoutInQueue(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].QueryTimeout = durationpb.New(200 * time.Millisecond)
	set.Users["slow"] = &heliosv1.User{Name: "slow", ServerUser: "postgres", Pool: &heliosv1.PoolOverrides{QueryTimeout: durationpb.New(0)}}
	_, addr := stage.Start(t, set)
	slow, c := stage.Connect(t, addr, "slow"), stage.Connect(t, addr, "postgres")
	done := make(chan string, 1)
	go func() { done <- stage.Ask(slow, "SELECT 1 FROM pg_sleep(0.4)") }()
	stage.Eventually(t, 15*time.Second, "it runs", func() bool {
		return pg.Primary.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(0.4)' AND state = 'active'")[0][0] == "1"
	})
	stage.Want(t, c, "SELECT 1 FROM pg_sleep(0.1)", "1")
	if got := <-done; got != "1" {
		t.Errorf("a user who may take longer: %s", got)
	}
}

// TestQueryStuck ends the session of a statement that goes on after the server has taken the cancel, or whose cancel it does not take.
func TestQueryStuck(t *testing.T) {
	t.Parallel()
	for takes, after := range map[bool]string{true: "1.05s", false: "5.05s"} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			srv := pgscript.Serve(t, func(c *pgscript.Conn) error {
				m, err := c.Welcome(1, []byte("1234"))
				if err != nil || takes && strings.Contains(m.Frontend(), "CancelRequest") {
					return err
				}
				for {
					if _, err := c.Receive(); err != nil { // what never answers
						return nil
					}
				}
			})
			set := stage.ConfigAt(srv.Addr(), heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
			set.PoolProfiles["default"].QueryTimeout, set.PoolProfiles["default"].LeakGuard = durationpb.New(50*time.Millisecond), heliosv1.LeakGuard_LEAK_GUARD_TEXT
			_, addr := stage.Start(t, set)
			c := stage.Connect(t, addr, "postgres")
			if got, want := stage.Ask(c, "SELECT 1"), "57014 terminating connection: a statement has run for "+after+" and does not end when it is canceled"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestTransactionTimeouts ends sessions that take too long for a transaction, or do nothing for too long, in words, and what they have
// begun is rolled back. Others go on.
func TestTransactionTimeouts(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE TABLE t (i int)")
	short := durationpb.New(120 * time.Millisecond)
	for _, c := range []struct {
		name string
		edit func(*heliosv1.PoolProfile)
		walk []string // what the client does before it does nothing
		why  string
	}{
		{"transaction", func(p *heliosv1.PoolProfile) { p.TransactionTimeout = short }, []string{"BEGIN", "INSERT INTO t VALUES (1)"}, "25P04 terminating connection due to transaction timeout"},
		{"transaction at work", func(p *heliosv1.PoolProfile) { p.TransactionTimeout = short }, []string{"BEGIN", "INSERT INTO t VALUES (1)", "SELECT pg_sleep(60)"}, "25P04 terminating connection due to transaction timeout"},
		{"idle in transaction", func(p *heliosv1.PoolProfile) { p.IdleTransactionTimeout = short }, []string{"BEGIN", "INSERT INTO t VALUES (1)", "SELECT pg_sleep(0.2)"}, "25P03 terminating connection due to idle-in-transaction timeout"},
		{"idle in a deferred transaction", func(p *heliosv1.PoolProfile) { p.IdleTransactionTimeout, p.DeferredBegin = short, true }, []string{"BEGIN"}, "25P03 terminating connection due to idle-in-transaction timeout"},
		{"idle", func(p *heliosv1.PoolProfile) { p.ClientIdleTimeout = short }, []string{"BEGIN", "SELECT pg_sleep(0.2)", "COMMIT"}, "57P05 terminating connection due to idle-session timeout"},
		{"idle from the start", func(p *heliosv1.PoolProfile) { p.ClientIdleTimeout = short }, nil, "57P05 terminating connection due to idle-session timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
			c.edit(set.PoolProfiles["default"])
			set.Users["patient"] = &heliosv1.User{Name: "patient", ServerUser: "postgres", Pool: &heliosv1.PoolOverrides{
				TransactionTimeout: durationpb.New(0), IdleTransactionTimeout: durationpb.New(0), ClientIdleTimeout: durationpb.New(0),
			}}
			_, addr := stage.Start(t, set)
			patient := stage.Connect(t, addr, "patient")
			stage.Want(t, patient, "BEGIN", "")
			stage.Want(t, patient, "SELECT 1", "1")
			x := pgscript.Dial(t, "tcp", addr)
			x.Login(pgscript.Login{User: "postgres", Database: "postgres"})
			for _, sql := range c.walk {
				x.Send(pgscript.Query(sql))
				if !strings.HasSuffix(sql, "(60)") {
					x.Until("Z")
				}
			}
			if got := stage.Words(x); got != c.why {
				t.Errorf("the end is %q, want %q", got, c.why)
			}
			stage.Want(t, patient, "SELECT 2", "2")
			stage.Want(t, patient, "COMMIT", "")
			if n := pg.Primary.Query(t, "SELECT count(*) FROM t")[0][0]; n != "0" {
				t.Errorf("%s rows are left", n)
			}
		})
	}
}

// TestTimesChange takes bounds for what sessions do that are there already, and takes them away.
func TestTimesChange(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	p, addr := stage.Start(t, set)
	c := stage.Connect(t, addr, "postgres")
	put := func(d time.Duration) {
		set = &resource.Set{
			Clusters: set.Clusters, Nodes: set.Nodes, Listeners: set.Listeners, Databases: set.Databases, Users: set.Users, Limits: set.Limits,
			PoolProfiles: map[string]*heliosv1.PoolProfile{"default": proto.Clone(set.PoolProfiles["default"]).(*heliosv1.PoolProfile)},
		}
		set.PoolProfiles["default"].QueryTimeout = durationpb.New(d)
		if _, err := p.Apply(set, nil); err != nil {
			t.Fatal(err)
		}
	}
	stage.Want(t, c, "SELECT 1 FROM pg_sleep(0.1)", "1")
	put(50 * time.Millisecond)
	stage.Want(t, c, "SELECT 1 FROM pg_sleep(60)", "57014 canceling statement due to user request")
	put(0)
	stage.Want(t, c, "SELECT 1 FROM pg_sleep(0.1)", "1")
}
