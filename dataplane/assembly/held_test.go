package assembly

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

	"github.com/heliosproxy/heliosproxy/dataplane/serve"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// waiting is how many clients wait.
func waiting(t *testing.T, console *pgconn.PgConn) (n int) {
	t.Helper()
	for _, c := range rows(t, console, "SHOW CLIENTS") {
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
		p, addr := start(t, config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3), func(o *Options) { o.Loops = 2 })
		pg.Exec(t, "DROP TABLE IF EXISTS done", "CREATE TABLE done (a int)")
		console, c := consoleAt(t, addr), connect(t, addr, "postgres")
		want(t, c, "SELECT 1", "1")
		if got := tell(console, hold); got != "" {
			t.Fatal(got)
		}
		said := make(chan string, 2)
		go func() { said <- ask(c, "INSERT INTO done VALUES (1)") }()
		go func() {
			late, err := tryConnect(addr, "postgres", "work_mem", "3MB") // which a server has to be asked about
			if err == nil {
				said <- "is let in, and then: " + ask(late, "SELECT 1")
				return
			}
			said <- turnedDown(err)
		}()
		eventually(t, 20*time.Second, "both wait", func() bool { return waiting(t, console) == 2 })

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
		if got := tell(console, "SHOW STATE"); !strings.HasPrefix(got, "57P01 ") {
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
	p, addr := start(t, config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3))
	if got := tell(consoleAt(t, addr), "PAUSE"); got != "" {
		t.Fatal(got)
	}
	p.become(serve.Ends)
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if _, err := pgconn.Connect(ctx, "postgres://postgres@"+addr+"/postgres?sslmode=disable&work_mem=3MB"); turnedDown(err) != "57P01 terminating connection: the proxy is shutting down" {
		t.Errorf("got %v", err)
	}
}

// TestPauseOne: a PAUSE of a database waits for its clients only, while one of all waits for others.
func TestPauseOne(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := start(t, patient(config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3), time.Minute))
	all, one, busy := consoleAt(t, addr), consoleAt(t, addr), connect(t, addr, "postgres")
	other, err := from("127.0.0.1", addr, "postgres", "template1", "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	want(t, other, "SELECT 1", "1")
	want(t, busy, "BEGIN", "")
	paused := make(chan string, 1)
	go func() { paused <- tell(all, "PAUSE") }()
	eventually(t, 20*time.Second, "all are held", func() bool { return held(p) })
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if _, err := one.Exec(ctx, "PAUSE template1").ReadAll(); err != nil {
		t.Errorf("PAUSE of a database at rest: %v", err)
	}
	want(t, busy, "COMMIT", "")
	if got := <-paused; got != "" {
		t.Errorf("PAUSE: %s", got)
	}
}

// TestConsoleAtFullDoor: who may use the console gets in where the proxy is full, and takes nobody's place.
func TestConsoleAtFullDoor(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, bound := range []string{"all", "address"} {
		set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4)
		if bound == "all" {
			set.Limits["default"].MaxClients = 2
		} else {
			set.Limits["default"].MaxClientsPerAddress = 2
		}
		p, addr := start(t, set)
		first := consoleAt(t, addr)
		connect(t, addr, "postgres")
		connect(t, addr, "postgres")
		for range 40 { // more than may claim it at the same time
			want(t, consoleAt(t, addr), "SHOW server_version", "1.25.0/bouncer")
		}
		want(t, first, "SHOW server_version", "1.25.0/bouncer")
		if _, err := from("127.0.0.1", addr, "postgres", "postgres", ""); !strings.HasPrefix(turnedDown(err), "53300 ") {
			t.Errorf("%s: a client at a full door: %v", bound, err)
		}
		if in, consoles := p.hub.Clients.In(), p.hub.Clients.Consoles(); in != 2 || consoles != 41 {
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
		set := config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
		set.Listeners["main"].Address = "unix:" + path
		s := succeedable(t, set, time.Minute, func(o *Options) {
			if !own {
				o.Inherited = map[int]string{bound(t, path): "main"}
			}
		})
		second := s.next(t, func(o *Options) { o.HandedOver = func() { s.done <- struct{}{} } })
		s.gone(t)
		eventually(t, 20*time.Second, "the second has everything", func() bool { return second.succession.refusal() == "" })
		third := s.next(t)
		s.old = second
		s.gone(t)
		eventually(t, 20*time.Second, "the third has everything", func() bool { return third.succession.refusal() == "" })
		if !there() {
			t.Fatalf("%s: the file is gone while the third serves", name)
		}
		third.shut() // which is the last thing that happens to a listener
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
	set := config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
	set.Listeners["door"] = &heliosv1.Listener{Name: "door", Address: "unix:" + path, Auth: heliosv1.AuthMethod_AUTH_METHOD_TRUST}
	s := succeedable(t, set, 0)
	busy := connect(t, s.addr, "postgres")
	want(t, busy, "BEGIN", "")
	s.next(t)
	eventually(t, 20*time.Second, "the window is over", func() bool { return s.old.fate() == serve.Ends })
	s.old.shut()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file of the new one: %v", err)
	}
	want(t, busy, "COMMIT", "")
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
