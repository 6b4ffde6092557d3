package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/jackc/pgx/v5"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// A manager does for a process what systemd does: it binds its sockets, hands them over, and hears what it tells.
type manager struct {
	notify *net.UnixConn
	heard  chan string
	files  []*os.File
	names  []string
}

// newManager has its ear at a socket, in the abstract namespace if the name says so.
func newManager(t *testing.T, socket string) *manager {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{notify: l, heard: make(chan string, 100)}
	t.Cleanup(func() { l.Close() })
	go func() {
		p := make([]byte, 4096)
		for {
			n, err := l.Read(p)
			if err != nil {
				return
			}
			m.heard <- string(p[:n])
		}
	}()
	return m
}

// listen binds a socket that will be handed over under a name.
func (m *manager) listen(t *testing.T, network, address, name string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var f *os.File
	switch l := l.(type) {
	case *net.TCPListener:
		f, err = l.File()
	case *net.UnixListener:
		l.SetUnlinkOnClose(false)
		f, err = l.File()
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	t.Cleanup(func() { f.Close() })
	m.files, m.names = append(m.files, f), append(m.names, name)
}

// command runs a program with what is handed over. Its number is LISTEN_PID, which is known when it is there.
func (m *manager) command(args ...string) *exec.Cmd {
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"`}, args...)...)
	cmd.ExtraFiles = m.files
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.notify.LocalAddr().String(), "WATCHDOG_USEC=200000",
		"LISTEN_FDS="+strconv.Itoa(len(m.files)), "LISTEN_FDNAMES="+strings.Join(m.names, ":"))
	return cmd
}

// await returns the next message that has an assignment. Signs of life are passed over where another one is waited for.
func (m *manager) await(t *testing.T, assignment string) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case s := <-m.heard:
			if strings.Contains("\n"+s+"\n", "\n"+assignment+"\n") {
				return s
			}
			if !strings.Contains(s, "WATCHDOG=1") {
				t.Fatalf("systemd heard %q, not %s", s, assignment)
			}
		case <-timeout:
			t.Fatalf("systemd did not hear %s", assignment)
		}
	}
}

// answers is what select 1 says at an address.
func answers(ctx context.Context, host string, port int) error {
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d dbname=postgres user=postgres sslmode=disable", host, port))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var one int
	return conn.QueryRow(ctx, "select 1").Scan(&one)
}

// monotonic is the clock that systemd compares MONOTONIC_USEC with, in microseconds.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var ts syscall.Timespec
	const clockMonotonic = 1
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		t.Fatal(errno)
	}
	return ts.Nano() / 1000
}

// TestSystemd runs the program as systemd does: sockets are handed over, one by its address and one by its name, and one that nobody wants;
// the program tells when it is ready, reloads, lives and ends; and who connects while none runs is served by the next.
func TestSystemd(t *testing.T) {
	c := pgcluster.Start(t, pgcluster.Options{})
	dir := t.TempDir()
	m := newManager(t, "@"+filepath.Join(dir, "notify"))
	proxy := &Proxy{Port: freeport.For(t), AdminPort: freeport.For(t)}
	sockets, other := filepath.Join(dir, "sockets"), freeport.For(t)
	if err := os.Mkdir(sockets, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(sockets, ".s.PGSQL.1") // by another path than the listener's own
	m.listen(t, "tcp", fmt.Sprintf("127.0.0.1:%d", other), "nobody's")
	m.listen(t, "tcp", proxy.Addr(), "heliosproxy.socket")
	m.listen(t, "unix", path, "unix")
	config := filepath.Join(dir, "proxy.toml")
	text := strings.Replace(proxy.config(c.Primary, Options{}), "[proxy]\n", fmt.Sprintf("[proxy]\nunix_socket_dir = %q\n", dir), 1)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	early := make(chan error, 1)
	go func() { early <- answers(ctx, "127.0.0.1", proxy.Port) }() // nobody runs yet

	proxy.launch(t, m.command(program(t), "--config", config, "--state-dir", dir))
	ready := m.await(t, "READY=1")
	if pid := fmt.Sprintf("MAINPID=%d", proxy.cmd.Process.Pid); !strings.Contains(ready, pid) {
		t.Errorf("ready: %q, want %s", ready, pid)
	}
	if err := <-early; err != nil {
		t.Errorf("who came before the program: %v", err)
	}
	if err := answers(ctx, sockets, 1); err != nil {
		t.Errorf("at the unix socket: %v", err)
	}
	if log := proxy.log.String(); !strings.Contains(log, "is closed") || !strings.Contains(log, "nobody's") {
		t.Error("nothing is said of the socket that nobody wants")
	}
	if held := descriptors(t, proxy.cmd.Process.Pid, other); held {
		t.Error("the socket that nobody wants is held")
	}
	m.await(t, "WATCHDOG=1")
	m.await(t, "WATCHDOG=1")

	// systemd takes READY=1 for the end of a reload only if the reload began after it was asked for.
	before := monotonic(t)
	proxy.Signal(t, syscall.SIGHUP)
	var usec int64
	if _, err := fmt.Sscanf(m.await(t, "RELOADING=1"), "RELOADING=1\nMONOTONIC_USEC=%d", &usec); err != nil || usec < before || usec > monotonic(t) {
		t.Errorf("reloading at %d, %v, but it was asked for at %d", usec, err, before)
	}
	m.await(t, "READY=1")
	if err := os.WriteFile(config, append([]byte("nonsense\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy.Signal(t, syscall.SIGHUP)
	m.await(t, "RELOADING=1")
	if s := m.await(t, "READY=1"); !strings.Contains(s, "not reloaded") {
		t.Errorf("after a reload that failed: %q", s)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	proxy.Signal(t, syscall.SIGTERM)
	m.await(t, "STOPPING=1")
	proxy.Leave(t)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket file is systemd's: %v", err)
	}
	between := make(chan error, 1)
	go func() { between <- answers(ctx, "127.0.0.1", proxy.Port) }()
	next := &Proxy{Port: proxy.Port, AdminPort: proxy.AdminPort}
	next.launch(t, m.command(program(t), "--config", config, "--state-dir", dir))
	if err := <-between; err != nil {
		t.Errorf("who came between two programs: %v", err)
	}
}

// descriptors says whether a process holds a socket that listens at a port of 127.0.0.1.
func descriptors(t *testing.T, pid, port int) bool {
	t.Helper()
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(table) {
		f := strings.Fields(string(line))
		if len(f) < 10 || f[1] != fmt.Sprintf("0100007F:%04X", port) || f[3] != "0A" {
			continue
		}
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if to, err := os.Readlink(l); err == nil && to == "socket:["+f[9]+"]" {
				return true
			}
		}
		return false
	}
	t.Fatalf("nobody listens at port %d", port)
	return false
}

// TestSocketActivate: systemd's own tool starts the program with the first client.
func TestSocketActivate(t *testing.T) {
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("there is no systemd-socket-activate: apt-get install systemd")
	}
	c := pgcluster.Start(t, pgcluster.Options{})
	proxy := &Proxy{Port: freeport.For(t), AdminPort: freeport.For(t)}
	dir := t.TempDir()
	config := filepath.Join(dir, "proxy.toml")
	if err := os.WriteFile(config, []byte(proxy.config(c.Primary, Options{})), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy.launch(t, exec.Command(tool, "--listen="+proxy.Addr(), "--fdname=default", program(t), "--config", config, "--state-dir", dir))
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := answers(ctx, "127.0.0.1", proxy.Port); err != nil {
		t.Error(err)
	}
}
