package reactor

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor/sys"
)

// TestListen binds what can be bound and says what is in the way.
func TestListen(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Address{Path: plain}, Share{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a plain file: %v", err)
	}
	sock := Address{Path: filepath.Join(dir, "s")}
	first, err := Listen(sock, Share{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(sock, Share{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a socket that is listened at: %v", err)
	}
	sys.Close(first.fd) // as a process that was killed leaves it
	second, err := Listen(sock, Share{})
	if err != nil {
		t.Errorf("a socket that nobody listens at: %v", err)
	} else {
		second.Close()
	}
	if _, err := os.Stat(sock.Path); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
}

// TestShare gives a socket's file the mode that is asked for before anybody can connect, and another one later.
func TestShare(t *testing.T) {
	at := Address{Path: filepath.Join(t.TempDir(), "s")}
	mode := func() os.FileMode {
		st, err := os.Stat(at.Path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Mode().Perm()
	}
	ls, err := Listen(at, Share{Mode: 0o700, Group: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer ls.Close()
	if got := mode(); got != 0o700 {
		t.Errorf("opened with %o", got)
	}
	for want, s := range map[os.FileMode]Share{0o770: {Mode: 0o770}, 0o777: {}} {
		if err := ls.Share(s); err != nil || mode() != want {
			t.Errorf("%o, %v; want %o", mode(), err, want)
		}
	}
	ls.owns = false // as one that was handed over
	if err := os.Chmod(at.Path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ls.Share(Share{}); err != nil || mode() != 0o600 {
		t.Errorf("a file of somebody else's has mode %o, %v", mode(), err)
	}
	if err := ls.Share(Share{Mode: 0o660}); err != nil || mode() != 0o660 {
		t.Errorf("a file of somebody else's has mode %o, %v", mode(), err)
	}
	if _, err := Listen(Address{Path: filepath.Join(t.TempDir(), "s")}, Share{Group: 1 << 30}); os.Getuid() != 0 && err == nil {
		t.Error("the file has a group that the process is not in")
	}
}

// TestDialRefused dials a port that nobody listens at.
func TestDialRefused(t *testing.T) { conform(t, testDialRefused) }

func testDialRefused(t *testing.T, o Options) {
	l := still(t, o)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := ParseAddress(ln.Addr().String())
	ln.Close()
	var got error
	b := task(l, func(t *Task) { _, got = Dial(t, a) })
	b.Wake()
	until(t, l, "the dial has ended", func() bool { return got != nil })
	if !strings.Contains(got.Error(), "refused") {
		t.Errorf("dial: %v", got)
	}
}

// TestCollector runs the collector beside loops that idle and loops that work, in processes that have one
// processor, or no asynchronous preemption: it always comes back, and soon. That is about epoll's raw waits; the goroutines of the other
// engine wait as Go's own do.
func TestCollector(t *testing.T) {
	if os.Getenv("REACTOR_COLLECTOR") != "" {
		collect(t)
		return
	}
	for _, env := range []string{"GODEBUG=asyncpreemptoff=1", "GODEBUG=asyncpreemptoff=0", "GOMAXPROCS=1"} {
		c := exec.Command(os.Args[0], "-test.run=^TestCollector$", "-test.timeout=30s")
		c.Env = append(os.Environ(), "REACTOR_COLLECTOR=1", env)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", env, err, out)
		}
	}
}

func collect(t *testing.T) {
	g := group(t, 1, Options{})
	c := dial(t, listen(t, g.Loops()[0], echo))
	worst := func() (d time.Duration) {
		for range 50 {
			began := time.Now()
			runtime.GC()
			d = max(d, time.Since(began))
		}
		return d
	}
	if d := worst(); d > 2*time.Second {
		t.Errorf("a collection beside an idle loop took %s", d)
	}
	stop := make(chan struct{})
	go func() {
		b := make([]byte, 100)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := c.Write(b); err != nil {
				return
			}
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
		}
	}()
	if d := worst(); d > 2*time.Second {
		t.Errorf("a collection beside a busy loop took %s", d)
	}
	close(stop)
}
