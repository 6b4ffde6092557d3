package assembly_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestPauseTimeout gives up where a transaction does not end, and lets everybody go on.
func TestPauseTimeout(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, patient(stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2), 300*time.Millisecond))
	c, busy, other := stage.ConsoleAt(t, addr), stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, busy, "BEGIN", "")
	for _, sql := range []string{"PAUSE", "PAUSE postgres", "SUSPEND"} {
		if got := stage.Tell(c, sql); !strings.HasPrefix(got, "57014 "+strings.Fields(sql)[0]+" has given up after 300ms: 1 clients ") {
			t.Errorf("%s: %s", sql, got)
		}
		stage.Want(t, other, "SELECT 1", "1")
	}
	stage.Want(t, busy, "SELECT 2", "2")
	stage.Want(t, busy, "COMMIT", "")
	if got := stage.Tell(c, "PAUSE"); got != "" {
		t.Errorf("without a transaction: %s", got)
	}
	if got := stage.Rows(t, c, "SHOW STATE"); got[1]["value"] != "yes" {
		t.Errorf("%v", got)
	}
}

// held says whether all clients are.
func held(p *assembly.Proxy) bool {
	all, _ := p.Hub().Gates.Held()
	return all
}

// TestPauseResumed ends a PAUSE by RESUME, by the administrator's cancel, and by his death.
func TestPauseResumed(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2))
	c, busy, other := stage.ConsoleAt(t, addr), stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, busy, "BEGIN", "")
	for name, end := range map[string]func(a *pgconn.PgConn){
		"55000 PAUSE was ended by RESUME before it was complete": func(*pgconn.PgConn) { stage.Tell(c, "RESUME") },
		"57014 canceling statement due to user request":          func(a *pgconn.PgConn) { a.CancelRequest(context.Background()) },
		"gone": func(a *pgconn.PgConn) { a.Conn().Close() },
	} {
		a := stage.ConsoleAt(t, addr)
		said := make(chan string, 1)
		go func() { said <- stage.Tell(a, "PAUSE") }()
		stage.Eventually(t, 15*time.Second, "all are held", func() bool { return held(p) })
		end(a)
		if got := <-said; got != name && name != "gone" {
			t.Errorf("%s: %s", name, got)
		}
		stage.Eventually(t, 15*time.Second, "nobody is held", func() bool { return !held(p) })
		stage.Want(t, other, "SELECT 1", "1")
	}
}

// TestPause holds clients under load while the server is restarted: none of them has an error.
func TestPause(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4), func(o *assembly.Options) { o.Loops = 2 })
	c := stage.ConsoleAt(t, addr)
	done := make(chan struct{})
	var n atomic.Int64
	var load sync.WaitGroup
	for range 16 {
		x := stage.Connect(t, addr, "postgres")
		load.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-done:
					return
				default:
				}
				for _, sql := range []string{"BEGIN", "SELECT 1", "COMMIT"} {
					if got := stage.Ask(x, sql); len(got) > 1 {
						t.Errorf("%s: %s", sql, got)
						return
					}
				}
				n.Add(1)
			}
		})
	}
	for _, db := range []string{"", " postgres"} {
		before := n.Load()
		stage.Eventually(t, 10*time.Second, "there is load", func() bool { return n.Load() > before+20 })
		if got := stage.Tell(c, "PAUSE"+db); got != "" {
			t.Fatal(got)
		}
		if n := len(stage.Rows(t, c, "SHOW SERVERS")); n != 0 {
			t.Errorf("%d server connections are left", n)
		}
		pg.Primary.Stop(t)
		pg.Primary.Start(t)
		if got := stage.Tell(c, "RESUME"+db); got != "" {
			t.Fatal(got)
		}
	}
	before := n.Load()
	stage.Eventually(t, 10*time.Second, "there is load again", func() bool { return n.Load() > before+20 })
	close(done)
	load.Wait()
}

// TestConsoleStorm has four administrators give random commands under load. Nothing hangs, and nobody has an error but by KILL.
func TestConsoleStorm(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := patient(stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4), 2*time.Second)
	var p atomic.Pointer[assembly.Proxy]
	made, addr := stage.Start(t, set, func(o *assembly.Options) {
		o.Loops = 2
		o.Reload = func(context.Context) error { _, err := p.Load().Apply(set, nil); return err }
	})
	p.Store(made)
	done := make(chan struct{})
	var load, admins sync.WaitGroup
	var killed atomic.Int64
	for range 16 {
		load.Go(func() {
			var x *pgconn.PgConn
			for {
				select {
				case <-done:
					if x != nil {
						x.Close(context.Background())
					}
					return
				default:
				}
				var err error
				if x == nil || x.IsClosed() {
					if x, err = stage.From("127.0.0.1", addr, "postgres", "postgres", ""); err != nil {
						if got := stage.TurnedDown(err); !strings.HasPrefix(got, "57P01") {
							t.Errorf("log-in: %v", err)
							return
						}
						killed.Add(1)
						continue
					}
				}
				switch got := stage.Ask(x, "SELECT 1"); {
				case strings.HasPrefix(got, "57P01"):
					killed.Add(1)
				case got != "1":
					t.Errorf("under load: %s", got)
					return
				}
			}
		})
	}
	var resumed atomic.Int64
	for a := range 4 {
		c := stage.ConsoleAt(t, addr)
		random := rand.New(rand.NewPCG(uint64(a), 7))
		admins.Go(func() {
			for range 60 {
				sql := []string{
					"PAUSE", "PAUSE postgres", "RESUME", "RESUME postgres", "RESUME", "KILL postgres", "RECONNECT", "RELOAD",
					"SET default_pool_size = " + fmt.Sprint(2+random.IntN(4)), "SUSPEND", "SHOW POOLS", "WAIT_CLOSE",
				}[random.IntN(12)]
				switch got := stage.Tell(c, sql); {
				case got == "":
				case strings.HasPrefix(got, "55000"), strings.HasPrefix(got, "57014"): // resumed by another, or held up by one
					resumed.Add(1)
				default:
					t.Errorf("%s: %s", sql, got)
				}
			}
		})
	}
	stuck := time.AfterFunc(40*time.Second, func() { panic("the consoles hang") })
	c := stage.ConsoleAt(t, addr)
	load.Go(func() { // nobody is held for long
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-tick.C:
				stage.Tell(c, "RESUME")
			case <-done:
				stage.Tell(c, "RESUME")
				return
			}
		}
	})
	admins.Wait()
	stuck.Stop()
	close(done)
	load.Wait()
	stage.Want(t, stage.Connect(t, addr, "postgres"), "SELECT 1", "1")
	t.Logf("%d clients were ended, %d commands by others", killed.Load(), resumed.Load())
}

// TestPausedAndSuspended: what both PAUSE and SUSPEND hold is said to be held by both, until RESUME, and one that comes to nothing changes nothing.
func TestPausedAndSuspended(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, patient(stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2), 300*time.Millisecond))
	c, busy := stage.ConsoleAt(t, addr), stage.Connect(t, addr, "postgres")
	check := func(after, paused, suspended string) {
		t.Helper()
		if got := stage.Rows(t, c, "SHOW STATE"); got[1]["value"] != paused || got[2]["value"] != suspended {
			t.Errorf("after %s: %v", after, got)
		}
	}
	for _, both := range [][2]string{{"SUSPEND", "PAUSE"}, {"PAUSE", "SUSPEND"}} {
		for _, sql := range both {
			if got := stage.Tell(c, sql); got != "" {
				t.Fatalf("%s: %s", sql, got)
			}
		}
		check(both[0]+", "+both[1], "yes", "yes")
		stage.Tell(c, "RESUME")
		check("RESUME", "no", "no")
		stage.Want(t, busy, "SELECT 1", "1")
	}
	stage.Want(t, busy, "BEGIN", "")
	for _, sql := range []string{"PAUSE", "SUSPEND"} {
		if got := stage.Tell(c, sql); !strings.HasPrefix(got, "57014 ") {
			t.Errorf("%s: %s", sql, got)
		}
		check(sql+" in vain", "no", "no")
	}
	stage.Want(t, busy, "COMMIT", "")
	for _, alone := range [][3]string{{"PAUSE", "yes", "no"}, {"SUSPEND", "no", "yes"}} {
		stage.Tell(c, alone[0])
		check(alone[0], alone[1], alone[2])
		stage.Tell(c, "RESUME")
	}
}
