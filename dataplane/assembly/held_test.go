package assembly_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// waiting is how many clients wait.
func waiting(t *testing.T, console *pgconn.PgConn) (n int) {
	t.Helper()
	for _, c := range stage.Rows(t, console, "SHOW CLIENTS") {
		if c["state"] == "waiting" {
			n++
		}
	}
	return n
}

// TestDrainHeld: a proxy whose clients are held ends: those who wait with a statement or at log-in are told, for nothing of it has reached a
// server. An administrator who watches is told when everybody else has left.
func TestDrainHeld(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	for _, hold := range []string{"PAUSE", "PAUSE postgres", "SUSPEND"} {
		p, addr := stage.Start(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3), func(o *assembly.Options) { o.Loops = 2 })
		pg.Exec(t, "DROP TABLE IF EXISTS done", "CREATE TABLE done (a int)")
		console, c := stage.ConsoleAt(t, addr), stage.Connect(t, addr, "postgres")
		stage.Want(t, c, "SELECT 1", "1")
		if got := stage.Tell(console, hold); got != "" {
			t.Fatal(got)
		}
		said := make(chan string, 2)
		go func() { said <- stage.Ask(c, "INSERT INTO done VALUES (1)") }()
		go func() {
			late, err := stage.TryConnect(addr, "postgres", "work_mem", "3MB") // which a server has to be asked about
			if err == nil {
				said <- "is let in, and then: " + stage.Ask(late, "SELECT 1")
				return
			}
			said <- stage.TurnedDown(err)
		}()
		stage.Eventually(t, 20*time.Second, "both wait", func() bool { return waiting(t, console) == 2 })

		ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
		defer stop()
		if err := p.Drain(ctx); err != nil {
			t.Fatalf("%s: %v", hold, err)
		}
		for range 2 {
			if got := <-said; got != "57P01 terminating connection: the proxy is shutting down" {
				t.Errorf("%s: %s", hold, got)
			}
		}
		if got := stage.Tell(console, "SHOW STATE"); !strings.HasPrefix(got, "57P01 ") {
			t.Errorf("%s: the administrator: %q", hold, got)
		}
		if n := pg.Query(t, "SELECT count(*) FROM done")[0][0]; n != "0" {
			t.Errorf("%s: the statement was carried out", hold)
		}
	}
}

// TestLogInHeld: who comes to be held when the others have been told is told too.
func TestLogInHeld(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	p, addr := stage.Start(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3))
	if got := stage.Tell(stage.ConsoleAt(t, addr), "PAUSE"); got != "" {
		t.Fatal(got)
	}
	p.Become(serve.Ends)
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if _, err := pgconn.Connect(ctx, "postgres://postgres@"+addr+"/postgres?sslmode=disable&work_mem=3MB"); stage.TurnedDown(err) != "57P01 terminating connection: the proxy is shutting down" {
		t.Errorf("got %v", err)
	}
}

// TestPauseOne: a PAUSE of a database waits for its clients only, while one of all waits for others.
func TestPauseOne(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, patient(stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3), time.Minute))
	all, one, busy := stage.ConsoleAt(t, addr), stage.ConsoleAt(t, addr), stage.Connect(t, addr, "postgres")
	other, err := stage.From("127.0.0.1", addr, "postgres", "template1", "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	stage.Want(t, other, "SELECT 1", "1")
	stage.Want(t, busy, "BEGIN", "")
	paused := make(chan string, 1)
	go func() { paused <- stage.Tell(all, "PAUSE") }()
	stage.Eventually(t, 20*time.Second, "all are held", func() bool { return held(p) })
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if _, err := one.Exec(ctx, "PAUSE template1").ReadAll(); err != nil {
		t.Errorf("PAUSE of a database at rest: %v", err)
	}
	stage.Want(t, busy, "COMMIT", "")
	if got := <-paused; got != "" {
		t.Errorf("PAUSE: %s", got)
	}
}

// TestConsoleAtFullDoor: who may use the console gets in where the proxy is full, and takes nobody's place.
func TestConsoleAtFullDoor(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, bound := range []string{"all", "address"} {
		set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4)
		if bound == "all" {
			set.Limits["default"].MaxClients = 2
		} else {
			set.Limits["default"].MaxClientsPerAddress = 2
		}
		p, addr := stage.Start(t, set)
		first := stage.ConsoleAt(t, addr)
		stage.Connect(t, addr, "postgres")
		stage.Connect(t, addr, "postgres")
		for range 40 { // more than may claim it at the same time
			stage.Want(t, stage.ConsoleAt(t, addr), "SHOW server_version", "1.25.0/bouncer")
		}
		stage.Want(t, first, "SHOW server_version", "1.25.0/bouncer")
		if _, err := stage.From("127.0.0.1", addr, "postgres", "postgres", ""); !strings.HasPrefix(stage.TurnedDown(err), "53300 ") {
			t.Errorf("%s: a client at a full door: %v", bound, err)
		}
		if in, consoles := p.Hub().Clients.In(), p.Hub().Clients.Consoles(); in != 2 || consoles != 41 {
			t.Errorf("%s: %d are in, %d use the console", bound, in, consoles)
		}
	}
}

// TestSocketFile: the file of a unix socket that a proxy has made is removed by the last one that has the socket, and not while another goes
// on. One that somebody else has made stays.
func TestSocketFile(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	for name, own := range map[string]bool{"a proxy's": true, "a service manager's": false} {
		path := filepath.Join(t.TempDir(), "s")
		there := func() bool { _, err := os.Stat(path); return err == nil }
		set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
		set.Listeners["main"].Address = "unix:" + path
		s := succeedable(t, set, time.Minute, func(o *assembly.Options) {
			if !own {
				o.Inherited = map[int]string{bound(t, path): "main"}
			}
		})
		second := s.next(t, func(o *assembly.Options) { o.HandedOver = func() { s.done <- struct{}{} } })
		s.gone(t)
		stage.Eventually(t, 20*time.Second, "the second has everything", func() bool { return second.Succession().Refusal() == "" })
		third := s.next(t)
		s.old = second
		s.gone(t)
		stage.Eventually(t, 20*time.Second, "the third has everything", func() bool { return third.Succession().Refusal() == "" })
		if !there() {
			t.Fatalf("%s: the file is gone while the third serves", name)
		}
		third.Shut() // which is the last thing that happens to a listener
		if there() == own {
			t.Errorf("%s: the file is there after the end: %t", name, there())
		}
	}
}

// TestSocketFileLate: a proxy that is told to end, when it has handed over and still has clients, leaves the file to its successor.
func TestSocketFileLate(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	path := filepath.Join(t.TempDir(), "s")
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
	set.Listeners["door"] = &heliosv1.Listener{Name: "door", Address: "unix:" + path, Auth: heliosv1.AuthMethod_AUTH_METHOD_TRUST}
	s := succeedable(t, set, 0)
	busy := stage.Connect(t, s.addr, "postgres")
	stage.Want(t, busy, "BEGIN", "")
	s.next(t)
	stage.Eventually(t, 20*time.Second, "the window is over", func() bool { return s.old.Fate() == serve.Ends })
	s.old.Shut()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file of the new one: %v", err)
	}
	stage.Want(t, busy, "COMMIT", "")
	s.gone(t)
}

// bound is a descriptor of a unix socket that listens.
func bound(t *testing.T, path string) int {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
