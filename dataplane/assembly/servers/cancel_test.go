package servers

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestCancelRunning cancels a statement that runs, and the connection serves on.
func TestCancelRunning(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, mode := range []heliosv1.PoolMode{heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.PoolMode_POOL_MODE_SESSION} {
		_, addr := stage.Start(t, stage.Config(pg.Primary, mode, 1))
		c := stage.Connect(t, addr, "postgres")
		done := make(chan string, 1)
		go func() { done <- stage.Ask(c, "SELECT pg_sleep(60)") }()
		stage.Eventually(t, 15*time.Second, "the statement runs", func() bool {
			return pg.Primary.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'")[0][0] == "1"
		})
		if err := c.CancelRequest(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := <-done; got != "57014 canceling statement due to user request" {
			t.Errorf("%s: %s", mode, got)
		}
		stage.Want(t, c, "SELECT 5", "5")
		c.Close(context.Background())
	}
}

// TestCancelInQueue cancels a statement that waits for a server connection: it alone is answered, and it never runs.
func TestCancelInQueue(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE TABLE proof (a int)")
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	holder, waiter := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, holder, "BEGIN", "")
	for _, extended := range []bool{false, true} {
		done := make(chan string, 1)
		go func() {
			if !extended {
				done <- stage.Ask(waiter, "INSERT INTO proof VALUES (1)")
				return
			}
			_, err := waiter.ExecParams(context.Background(), "INSERT INTO proof VALUES ($1)", [][]byte{[]byte("2")}, nil, nil, nil).Close()
			var pe *pgconn.PgError
			if stage.AsPg(err, &pe) {
				done <- pe.Code + " " + pe.Message
				return
			}
			done <- "no error"
		}()
		var got string
		stage.Eventually(t, 15*time.Second, "the cancel arrives", func() bool {
			if err := waiter.CancelRequest(context.Background()); err != nil {
				t.Fatal(err)
			}
			select {
			case got = <-done:
				return true
			case <-time.After(20 * time.Millisecond):
				return false
			}
		})
		if got != "57014 canceling statement due to user request" {
			t.Errorf("extended %v: %s", extended, got)
		}
	}
	stage.Want(t, holder, "COMMIT", "")
	stage.Want(t, waiter, "SELECT count(*) FROM proof", "0")
}

// TestCancelHeldUp cancels a statement that the proxy has and the server does not yet: the connection is still looked through after the one
// before, or is still brought to the session's settings.
func TestCancelHeldUp(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, "CREATE ROLE clerk", "CREATE FUNCTION waits() RETURNS int LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN 7; END'")
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_CATALOG
	_, addr := stage.Start(t, set)
	watch := stage.Connect(t, pg.Addr(), "postgres") // nobody logs in while pg_authid is locked
	held := func() bool {
		return stage.Ask(watch, "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND NOT granted") != "0"
	}
	for _, c := range []struct{ name, first, lock, free string }{
		{"looked through", "SELECT waits()", "SELECT pg_advisory_lock(1); LOCK pg_depend", "SELECT pg_advisory_unlock(1)"},
		{"brought over", "SET ROLE clerk", "ALTER ROLE clerk CONNECTION LIMIT 5; COMMIT; BEGIN; LOCK pg_authid", ""},
	} {
		a, b := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres", "application_name", "b")
		locker := stage.Connect(t, pg.Addr(), "postgres")
		answers := make(chan string, 2)
		if c.free == "" {
			stage.Want(t, a, c.first, "")
			stage.Want(t, b, "SELECT 1", "1")
			stage.Ask(locker, "BEGIN; "+c.lock)
		} else {
			stage.Ask(locker, "BEGIN; "+c.lock)
			go func() { answers <- stage.Ask(a, c.first) }()
			stage.Eventually(t, 15*time.Second, "the function waits", func() bool {
				return pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'")[0][0] == "1"
			})
			stage.Ask(locker, c.free)
			if got := <-answers; got != "7" {
				t.Errorf("%s: %s", c.name, got)
			}
		}
		a.Frontend().SendQuery(&pgproto3.Query{String: "SELECT pg_sleep(60)"})
		if err := a.Frontend().Flush(); err != nil {
			t.Fatal(err)
		}
		stage.Eventually(t, 15*time.Second, c.name+": the server waits", held)
		through := make(chan error, 1)
		go func() { through <- a.CancelRequest(context.Background()) }()
		select {
		case err := <-through:
			t.Fatalf("%s: the cancel is through before what it is for is under way: %v", c.name, err)
		case <-time.After(100 * time.Millisecond):
			stage.Ask(locker, "ROLLBACK")
			<-through
		}
		stage.Ask(locker, "ROLLBACK")
		for {
			m, err := a.ReceiveMessage(t.Context())
			if e, failed := m.(*pgproto3.ErrorResponse); failed && e.Code == "57014" {
				break
			}
			if _, over := m.(*pgproto3.ReadyForQuery); over || err != nil {
				t.Fatalf("%s: not cancelled: %v", c.name, err)
			}
		}
		for _, conn := range []*pgconn.PgConn{a, b, locker} {
			conn.Close(context.Background())
		}
	}
}

// TestCancelStorm has sessions that are cancelled at random moments, waiting ones too, beside sessions that
// nobody cancels: those never see it.
func TestCancelStorm(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 5), func(o *assembly.Options) { o.Loops = 2 })
	ctx, stop := context.WithTimeout(context.Background(), 4*time.Second)
	defer stop()
	var canceled, served atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		c := stage.Connect(t, addr, "postgres")
		victim := i%2 == 0
		wg.Go(func() {
			for ctx.Err() == nil {
				sql := "SELECT pg_sleep(0.01)"
				if victim {
					sql = "SELECT pg_sleep(0.1)"
				}
				switch got := stage.Ask(c, sql); got {
				case "":
					served.Add(1)
				case "57014 canceling statement due to user request":
					canceled.Add(1)
					if !victim {
						t.Error("a session that nobody cancelled was cancelled")
						return
					}
				default:
					t.Errorf("session %d: %s", i, got)
					return
				}
			}
		})
		if victim {
			wg.Go(func() {
				for ctx.Err() == nil {
					select {
					case <-ctx.Done():
					case <-time.After(time.Duration(rand.IntN(150)) * time.Millisecond):
					}
					_ = c.CancelRequest(context.Background())
				}
			})
		}
	}
	wg.Wait()
	if canceled.Load() == 0 || served.Load() == 0 {
		t.Errorf("%d cancelled, %d served: the test has shown nothing", canceled.Load(), served.Load())
	}
}
