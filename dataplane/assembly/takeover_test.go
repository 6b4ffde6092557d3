package assembly

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/handover"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// succeeded is a proxy that a second one can follow, and how it is known that the first has handed over everything.
type succeeded struct {
	set  *resource.Set
	dir  string
	old  *Proxy
	addr string
	done chan Shutdown
}

func succeedable(t *testing.T, set *resource.Set, window time.Duration, edit ...func(*Options)) *succeeded {
	s := &succeeded{set: set, dir: t.TempDir(), done: make(chan Shutdown, 1)}
	s.old, s.addr = start(t, set, append(edit, func(o *Options) {
		o.StateDir, o.Loops = s.dir, 2
		o.TakeoverWindow = func() time.Duration { return window }
		o.Shutdown = func(how Shutdown) { s.done <- how }
	})...)
	return s
}

// next starts the proxy that takes the place of the first.
func (s *succeeded) next(t *testing.T, edit ...func(*Options)) *Proxy {
	p, _ := start(t, s.set, append(edit, func(o *Options) { o.StateDir, o.Takeover, o.Loops = s.dir, true, 2 })...)
	return p
}

// gone waits until the first proxy has handed over everything.
func (s *succeeded) gone(t *testing.T) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the old proxy does not end")
	}
	if err := s.old.Close(); err != nil {
		t.Error(err)
	}
}

// TestTakenOver goes on in another proxy with what a session has: settings, statements, what it was told of them, its key to cancel by.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, "CREATE TABLE things (a int)", "INSERT INTO things VALUES (1)", "CREATE ROLE clerk LOGIN", "GRANT SELECT ON things TO clerk")
	s := succeedable(t, config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3), time.Minute)
	c, busy := connect(t, s.addr, "postgres"), connect(t, s.addr, "postgres")
	want(t, c, "SET application_name = 'before'; SET ROLE clerk; SET work_mem = '5MB'", "")
	prepare(t, c, "all", "SELECT * FROM things")
	prepare(t, c, "plus", "SELECT $1::int + 1")
	if got := execute(t, c, "all"); got != "1" {
		t.Fatal(got)
	}
	want(t, busy, "BEGIN", "")
	s.next(t)
	eventually(t, 20*time.Second, "the session that rests has moved", func() bool { return s.old.clients() == 1 })
	want(t, busy, "SELECT 1", "1")
	want(t, busy, "COMMIT", "")
	s.gone(t)

	want(t, busy, "SELECT 2", "2")
	want(t, c, "SELECT current_setting('application_name') || current_setting('work_mem') || current_user", "before5MBclerk")
	if got := execute(t, c, "plus", "41"); got != "42" {
		t.Errorf("a statement of before: %s", got)
	}
	want(t, c, "RESET ALL; SELECT current_setting('work_mem')", "4MB")
	answer := make(chan string, 1)
	go func() { answer <- ask(busy, "SELECT pg_sleep(60)") }()
	eventually(t, 15*time.Second, "the statement runs", func() bool {
		return pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'")[0][0] == "1"
	})
	if err := busy.CancelRequest(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got != "57014 canceling statement due to user request" {
		t.Errorf("cancelled by the key of before: %s", got)
	}
	want(t, connect(t, s.addr, "postgres"), "SELECT 3", "3")
}

// TestTakenOverLate leaves with the old proxy who cannot move: it serves on, its cancels arrive, and at the end of the window it is told.
func TestTakenOverLate(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	s := succeedable(t, config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2), 2*time.Second)
	pinned := connect(t, s.addr, "postgres")
	want(t, pinned, "CREATE TEMP TABLE mine (a int)", "")
	s.next(t)
	want(t, connect(t, s.addr, "postgres"), "SELECT 1", "1")
	answer := make(chan string, 1)
	go func() { answer <- ask(pinned, "SELECT pg_sleep(60) FROM generate_series(1, 1)") }()
	eventually(t, 15*time.Second, "the statement is cancelled", func() bool {
		_ = pinned.CancelRequest(context.Background())
		return len(answer) == 1
	})
	if got := <-answer; got != "57014 canceling statement due to user request" {
		t.Errorf("cancelled at the new proxy: %s", got)
	}
	s.gone(t)
	if got := ask(pinned, "SELECT 1"); got != "57P01 terminating connection: the proxy is shutting down" {
		t.Errorf("behind the window: %s", got)
	}
}

// TestTakeoverFails has a process that is about to take over go away: before it is ready, and in the middle of it. Nobody notices.
func TestTakeoverFails(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	s := succeedable(t, config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1), time.Minute)
	c := connect(t, s.addr, "postgres")
	for _, ready := range []bool{false, true} {
		var heir *handover.Predecessor
		eventually(t, 10*time.Second, "the socket is there", func() bool {
			var err error
			heir, err = handover.Meet(filepath.Join(s.dir, takeoverSocket))
			return err == nil
		})
		granted := make(chan bool, 1)
		heir.Read(deaf{})
		heir.Ask("n1", "postgres", "postgres", func() { granted <- true })
		if ready {
			<-granted // the only place that there is
			if err := heir.Ready(); err != nil {
				t.Fatal(err)
			}
			eventually(t, 10*time.Second, "the session is on its way", func() bool { return s.old.succession.underWay() > 0 })
		}
		heir.Close()
		want(t, c, "SELECT 1", "1")
		want(t, connect(t, s.addr, "postgres"), "SELECT 2", "2")
	}
	if err := s.old.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "a proxy that holds its clients says so", func() bool {
		_, err := handover.Meet(filepath.Join(s.dir, takeoverSocket))
		return err != nil && strings.HasSuffix(err.Error(), "RESUME on its console lets them go on")
	})
	s.old.Resume()
	s.next(t)
	s.gone(t)
	want(t, c, "SELECT 3", "3")
}

// deaf takes nothing in.
type deaf struct{}

func (deaf) Take(*heliosv1.CarriedSession, int) { select {} }
func (deaf) Alone(error)                        {}

func (s *succession) underWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.given)
}

// clients is how many a proxy has.
func (p *Proxy) clients() (n int) {
	for _, l := range p.group.Loops() {
		n += l.Load()
	}
	return n
}
