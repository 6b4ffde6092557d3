package assembly_test

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/handover"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// succeeded is a proxy that a second one can follow, and how it is known that the first has handed over everything.
type succeeded struct {
	set  *resource.Set
	dir  string
	old  *assembly.Proxy
	addr string
	done chan struct{}
}

func succeedable(t *testing.T, set *resource.Set, window time.Duration, edit ...func(*assembly.Options)) *succeeded {
	s := &succeeded{set: set, dir: t.TempDir(), done: make(chan struct{}, 1)}
	s.old, s.addr = stage.Start(t, set, append(edit, func(o *assembly.Options) {
		o.StateDir, o.Loops = s.dir, 2
		o.TakeoverWindow = func() time.Duration { return window }
		o.HandedOver = func() { s.done <- struct{}{} }
	})...)
	return s
}

// next starts the proxy that takes the place of the first.
func (s *succeeded) next(t *testing.T, edit ...func(*assembly.Options)) *assembly.Proxy {
	p, _ := stage.Start(t, s.set, append(edit, func(o *assembly.Options) { o.StateDir, o.Takeover, o.Loops = s.dir, true, 2 })...)
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
	s := succeedable(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3), time.Minute)
	c, busy := stage.Connect(t, s.addr, "postgres"), stage.Connect(t, s.addr, "postgres")
	stage.Want(t, c, "SET application_name = 'before'; SET ROLE clerk; SET work_mem = '5MB'", "")
	stage.Prepare(t, c, "all", "SELECT * FROM things")
	stage.Prepare(t, c, "plus", "SELECT $1::int + 1")
	if got := stage.Execute(t, c, "all"); got != "1" {
		t.Fatal(got)
	}
	stage.Want(t, busy, "BEGIN", "")
	s.next(t)
	stage.Eventually(t, 20*time.Second, "the session that rests has moved", func() bool { return s.old.Clients() == 1 })
	stage.Want(t, busy, "SELECT 1", "1")
	stage.Want(t, busy, "COMMIT", "")
	s.gone(t)

	stage.Want(t, busy, "SELECT 2", "2")
	stage.Want(t, c, "SELECT current_setting('application_name') || current_setting('work_mem') || current_user", "before5MBclerk")
	if got := stage.Execute(t, c, "plus", "41"); got != "42" {
		t.Errorf("a statement of before: %s", got)
	}
	stage.Want(t, c, "RESET ALL; SELECT current_setting('work_mem')", "4MB")
	answer := make(chan string, 1)
	go func() { answer <- stage.Ask(busy, "SELECT pg_sleep(60)") }()
	stage.Eventually(t, 15*time.Second, "the statement runs", func() bool {
		return pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'")[0][0] == "1"
	})
	if err := busy.CancelRequest(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got != "57014 canceling statement due to user request" {
		t.Errorf("cancelled by the key of before: %s", got)
	}
	stage.Want(t, stage.Connect(t, s.addr, "postgres"), "SELECT 3", "3")
}

// TestTakenOverKept goes on in another proxy with the server connection that a session keeps: in pool mode session, and for what it has
// there. The connection is the same one, and nobody else gets it before it is clean.
func TestTakenOverKept(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, "CREATE SEQUENCE numbers", "CREATE TABLE things (a int)", "INSERT INTO things VALUES (1)")
	const left = "SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') + (SELECT count(*) FROM pg_class WHERE relname = 'mine')"
	for _, mode := range []heliosv1.PoolMode{heliosv1.PoolMode_POOL_MODE_SESSION, heliosv1.PoolMode_POOL_MODE_TRANSACTION} {
		s := succeedable(t, stage.Config(pg, mode, 3), time.Minute)
		c, idle := stage.Connect(t, s.addr, "postgres", "work_mem", "3MB"), stage.Connect(t, s.addr, "postgres")
		stage.Prepare(t, c, "things", "SELECT * FROM things")
		stage.Prepare(t, c, "moment", "SELECT 'now'::timestamptz::text")
		stage.Prepare(t, c, "resets", "RESET work_mem")
		for _, sql := range []string{
			"SET application_name = 'before'", "SET work_mem = '5MB'", "CREATE TEMP TABLE mine AS SELECT 7 AS a", "PREPARE own AS SELECT 8", "LISTEN news",
			"BEGIN; DECLARE cur CURSOR WITH HOLD FOR SELECT 9; COMMIT",
		} {
			stage.Want(t, c, sql, "")
		}
		stage.Want(t, c, "SELECT count(pg_advisory_lock(7))", "1")
		stage.Want(t, c, "SELECT nextval('numbers') > 0", "t")
		pid, moment := stage.Ask(c, "SELECT pg_backend_pid()"), stage.Execute(t, c, "moment")
		stage.Want(t, idle, "SELECT 1", "1")
		next := s.next(t)
		s.gone(t)

		stage.Want(t, c, "SELECT pg_backend_pid()", pid)
		stage.Want(t, c, "SELECT a FROM mine", "7")
		stage.Want(t, c, "EXECUTE own", "8")
		stage.Want(t, c, "FETCH cur", "9")
		stage.Want(t, c, "SELECT currval('numbers') > 0", "t")
		stage.Want(t, c, "SELECT current_setting('application_name') || current_setting('work_mem')", "before5MB")
		stage.Want(t, c, "SELECT pg_listening_channels()", "news")
		if got := stage.Execute(t, c, "moment"); got != moment {
			t.Errorf("%v: a statement was parsed again: at %s, first at %s", mode, got, moment)
		}
		if got := stage.Execute(t, c, "things"); got != "1" {
			t.Errorf("%v: %s", mode, got)
		}
		if r := c.ExecPrepared(t.Context(), "resets", nil, nil, nil).Read(); r.Err != nil {
			t.Error(r.Err)
		}
		stage.Want(t, c, "SHOW work_mem", "3MB")
		stage.Want(t, idle, "SELECT 2", "2")
		answer := make(chan string, 1)
		go func() { answer <- stage.Ask(c, "SELECT pg_sleep(60)") }()
		stage.Eventually(t, 15*time.Second, "the statement is cancelled", func() bool {
			_ = c.CancelRequest(context.Background())
			return len(answer) == 1
		})
		if got := <-answer; got != "57014 canceling statement due to user request" {
			t.Errorf("%v: cancelled by the key of before: %s", mode, got)
		}
		c.Close(t.Context())
		stage.Eventually(t, 15*time.Second, "what the session has had is gone", func() bool { return pg.Query(t, left)[0][0] == "0" })
		if err := next.Close(); err != nil {
			t.Error(err)
		}
		stage.Eventually(t, 15*time.Second, "all connections are closed", func() bool {
			return pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE client_port > 0")[0][0] == "0"
		})
	}
}

// TestTakenOverOtherwise has the new proxy's configuration know another pool mode: a session that keeps its server connection is told so, and
// both places are free.
func TestTakenOverOtherwise(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	s := succeedable(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_SESSION, 1), time.Minute)
	c := stage.Connect(t, s.addr, "postgres")
	stage.Want(t, c, "SELECT 1", "1")
	s.set = stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	s.next(t)
	s.gone(t)
	if got := stage.Ask(c, "SELECT 1"); got != "57P01 terminating connection: the pool of its server connection was removed from the proxy's configuration" {
		t.Errorf("it is told %s", got)
	}
	stage.Want(t, stage.Connect(t, s.addr, "postgres"), "SELECT 2", "2")
	if n := pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE client_port > 0 AND application_name NOT LIKE 'heliosproxy %'")[0][0]; n != "1" {
		t.Errorf("%s server connections", n)
	}
}

// TestTakenOverListening goes on listening in another proxy, and is told that it may have missed something.
func TestTakenOverListening(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	s := succeedable(t, stage.Sharing(pg, 2), time.Minute)
	e := stage.NewEar(t, s.addr)
	stage.Want(t, e.PgConn, "LISTEN news", "")
	stage.Want(t, e.PgConn, "LISTEN more", "")
	pg.Exec(t, "NOTIFY news, 'one'")
	e.Until(t, "news:one")
	s.next(t)
	s.gone(t)
	stage.Eventually(t, 20*time.Second, "the new proxy listens", func() bool { return len(pg.Query(t, stage.Listens)) == 1 })
	pg.Exec(t, "NOTIFY more, 'two'")
	if got := e.Until(t, "more:two"); got != "01000 more:two" {
		t.Errorf("heard %s", got)
	}
	stage.Want(t, e.PgConn, "UNLISTEN news", "")
	pg.Exec(t, "NOTIFY news, 'three'; NOTIFY more, 'four'")
	if got := e.Until(t, "more:four"); got != "more:four" {
		t.Errorf("heard %s", got)
	}
}

// TestTakenOverLate leaves with the old proxy who cannot move: it serves on, its cancels arrive, and at the end of the window it is told.
func TestTakenOverLate(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := stage.NewPKI(t)
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_PREFER, CertFile: p.Cert, KeyFile: p.Key}
	s := succeedable(t, set, 2*time.Second)
	secure, err := pgconn.Connect(t.Context(), "postgres://postgres@"+s.addr+"/postgres?sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	defer secure.Close(context.Background())
	console := stage.ConsoleAt(t, s.addr) // which the old one does not wait for either
	s.next(t)
	stage.Want(t, stage.Connect(t, s.addr, "postgres"), "SELECT 1", "1")
	answer := make(chan string, 1)
	go func() { answer <- stage.Ask(secure, "SELECT pg_sleep(60) FROM generate_series(1, 1)") }()
	stage.Eventually(t, 15*time.Second, "the statement is cancelled", func() bool {
		_ = secure.CancelRequest(context.Background())
		return len(answer) == 1
	})
	if got := <-answer; got != "57014 canceling statement due to user request" {
		t.Errorf("cancelled at the new proxy: %s", got)
	}
	s.gone(t)
	if got := stage.Ask(secure, "SELECT 1"); got != "57P01 terminating connection: the proxy is shutting down" {
		t.Errorf("behind the window: %s", got)
	}
	if got := stage.Tell(console, "SHOW STATE"); !strings.HasPrefix(got, "57P01 ") {
		t.Errorf("an administrator behind the window: %s", got)
	}
}

// TestTakenOverShared has clients in both processes that want the one server connection all the time: each gets it in turn.
func TestTakenOverShared(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	p := stage.NewPKI(t)
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_PREFER, CertFile: p.Cert, KeyFile: p.Key}
	s := succeedable(t, set, time.Minute)
	var all []*pgconn.PgConn
	for _, mode := range []string{"require", "require", "disable", "disable"} {
		c, err := pgconn.Connect(t.Context(), "postgres://postgres@"+s.addr+"/postgres?sslmode="+mode)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		all = append(all, c)
	}
	s.next(t)
	stage.Eventually(t, 20*time.Second, "two have moved", func() bool { return s.old.Clients() == 2 })
	var counts [4]atomic.Int64
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
				}
				if got := stage.Ask(c, "SELECT 1"); got != "1" {
					t.Errorf("client %d: %s", i, got)
					return
				}
				counts[i].Add(1)
			}
		})
	}
	stage.Eventually(t, time.Minute, "all have had their turns", func() bool {
		for i := range counts {
			if counts[i].Load() < 20 {
				return t.Failed()
			}
		}
		return true
	})
	close(enough)
	wg.Wait()
	if n := pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE client_port > 0 AND application_name NOT LIKE 'heliosproxy %'")[0][0]; n != "1" {
		t.Errorf("%s server connections", n)
	}
	all[0].Close(t.Context())
	all[1].Close(t.Context())
	s.gone(t)
	stage.Want(t, all[2], "SELECT 2", "2")
}

// TestTakeoverFails has a process that is about to take over go away: before it is ready, and in the middle of it. Nobody notices.
func TestTakeoverFails(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	s := succeedable(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1), time.Minute)
	c := stage.Connect(t, s.addr, "postgres")
	for _, ready := range []bool{false, true} {
		s.fail(t, func(m *mute) {
			m.say(t, &heliosv1.FromSuccessor{Message: &heliosv1.FromSuccessor_PlaceWanted{PlaceWanted: &heliosv1.PlaceWanted{
				Id: 1, Pool: &heliosv1.PoolName{Node: "n1", Database: "postgres", User: "postgres"},
			}}})
			if ready {
				stage.Eventually(t, 10*time.Second, "it has the only place that there is", func() bool { return s.old.Succession().Lent() == 1 })
				m.ready(t, s)
			}
		})
		stage.Want(t, c, "SELECT 1", "1")
		stage.Want(t, stage.Connect(t, s.addr, "postgres"), "SELECT 2", "2")
	}
	if err := s.old.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := handover.Meet(filepath.Join(s.dir, assembly.TakeoverSocket)); err == nil || !strings.HasSuffix(err.Error(), "RESUME on its console lets them go on") {
		t.Errorf("a proxy that holds its clients says %v", err)
	}
	s.old.Resume()
	s.next(t)
	s.gone(t)
	stage.Want(t, c, "SELECT 3", "3")
}

// TestTakeoverFailsLate has a process go away when the one before it has been told to end: that ends all the same.
func TestTakeoverFailsLate(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	s := succeedable(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2), time.Minute)
	c, busy := stage.Connect(t, s.addr, "postgres"), stage.Connect(t, s.addr, "postgres")
	stage.Want(t, busy, "BEGIN", "")
	ended := make(chan error, 1)
	s.fail(t, func(m *mute) {
		m.ready(t, s)
		go func() { ended <- s.old.Drain(context.Background()) }()
		stage.Eventually(t, 10*time.Second, "it is about to end", func() bool { return s.old.Fate() == serve.Ends })
	})
	if got := stage.Ask(c, "SELECT 1"); got != "57P01 terminating connection: the proxy is shutting down" {
		t.Errorf("a session that came back: %s", got)
	}
	if ok, reason := s.old.Readiness(); ok || reason != "the proxy is shutting down" {
		t.Errorf("ready: %t, %s", ok, reason)
	}
	stage.Want(t, busy, "COMMIT", "")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestTakeoverFailsKept has a process go away that was sent a session with its server connection: both go on, and the next one gets both.
// If it has taken them before, they are lost with it, and the place is free.
func TestTakeoverFailsKept(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	s := succeedable(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_SESSION, 2), time.Minute)
	c, busy := stage.Connect(t, s.addr, "postgres"), stage.Connect(t, s.addr, "postgres")
	pid := stage.Ask(c, "SELECT pg_backend_pid()")
	stage.Want(t, busy, "BEGIN", "")
	s.fail(t, func(m *mute) { m.ready(t, s) })
	stage.Want(t, c, "SELECT pg_backend_pid()", pid)

	s.fail(t, func(m *mute) {
		m.ready(t, s)
		taken := s.old.Succession().Given()
		m.say(t, &heliosv1.FromSuccessor{Message: &heliosv1.FromSuccessor_Taken{Taken: taken[0]}})
		stage.Eventually(t, 10*time.Second, "the session is the other process's", func() bool { return s.old.Clients() == 1 })
	})
	if got := stage.Ask(c, "SELECT 1"); got == "1" {
		t.Error("a session that was lost with its process is there")
	}
	d := stage.Connect(t, s.addr, "postgres")
	stage.Want(t, d, "SELECT pg_backend_pid() <> "+pid, "t")
	s.next(t)
	stage.Want(t, busy, "COMMIT", "")
	s.gone(t)
	stage.Want(t, d, "SELECT 3", "3")
	stage.Want(t, busy, "SELECT 4", "4")
}

// mute is a process that is about to take over, and does not listen.
type mute struct{ net.Conn }

// fail lets f be such a process, which then goes away, and waits until another one may try.
func (s *succeeded) fail(t *testing.T, f func(*mute)) {
	t.Helper()
	path := filepath.Join(s.dir, assembly.TakeoverSocket)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	m := &mute{c}
	m.say(t, &heliosv1.FromSuccessor{Message: &heliosv1.FromSuccessor_Hello{Hello: &heliosv1.SuccessorHello{Understands: 1}}})
	f(m)
	m.Close()
	stage.Eventually(t, 10*time.Second, "another process may try", func() bool {
		now, err := os.Stat(path)
		return err == nil && !os.SameFile(before, now)
	})
}

// ready says that sessions may come, and waits until one has.
func (m *mute) ready(t *testing.T, s *succeeded) {
	t.Helper()
	m.say(t, &heliosv1.FromSuccessor{Message: &heliosv1.FromSuccessor_Ready{Ready: &heliosv1.SuccessorReady{}}})
	stage.Eventually(t, 10*time.Second, "a session is on its way", func() bool { return len(s.old.Succession().Given()) > 0 })
}

// say says something as processes do.
func (m *mute) say(t *testing.T, what *heliosv1.FromSuccessor) {
	t.Helper()
	p, err := proto.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...)); err != nil {
		t.Fatal(err)
	}
}

// TestTakeoverOfNobody starts a proxy that is to take the place of one that is not there, or that is gone and has left its socket: it starts as
// any does, and can be followed.
func TestTakeoverOfNobody(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	for _, left := range []bool{false, true} {
		s := &succeeded{set: stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1), dir: t.TempDir(), done: make(chan struct{}, 1)}
		if left {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(s.dir, assembly.TakeoverSocket), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		}
		core, log := observer.New(zap.InfoLevel)
		s.old, s.addr = stage.Start(t, s.set, func(o *assembly.Options) {
			o.StateDir, o.Takeover, o.Loops, o.Log = s.dir, true, 2, zap.New(core)
			o.TakeoverWindow = func() time.Duration { return time.Minute }
			o.HandedOver = func() { s.done <- struct{}{} }
		})
		if n := log.FilterMessage("old process not found, try to continue normally").Len(); n != 1 {
			t.Errorf("left %v: it is said %d times", left, n)
		}
		c := stage.Connect(t, s.addr, "postgres")
		stage.Want(t, c, "SELECT 1", "1")
		s.next(t)
		s.gone(t)
		stage.Want(t, c, "SELECT 2", "2")
	}
}
