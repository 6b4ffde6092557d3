// Package e2e runs the built program in front of real PostgreSQL servers, as its users do. It never reaches into the program: what
// it knows of it is its command line, its configuration file, its sockets and what the kernel tells of the process.
package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// patience bounds what should take a moment.
const patience = 20 * time.Second

// Options says how a Proxy is configured. The zero value is transaction mode with 20 server connections, everybody trusted.
type Options struct {
	Mode           string // "transaction" or "session"
	MaxConnections int    // server connections
	Auth           string // what [auth] says, TOML
	Pool, Node     string // further keys of [pool] and of the node, TOML
	More           string // further TOML, after all else
}

// A Proxy is a running heliosproxy in front of one server.
type Proxy struct {
	Port, AdminPort int
	cmd             *exec.Cmd
	log             *syncBuffer
	exited          chan struct{}
	left            bool // it was told to go by Leave
}

// StartProxy runs the program for the length of a test. A proxy that ends by itself, or that panicked, fails the test; when it
// fails, what the proxy logged is shown.
func StartProxy(t testing.TB, server *pgcluster.Server, o Options) *Proxy {
	t.Helper()
	p := &Proxy{Port: freeport.For(t), AdminPort: freeport.For(t)}
	config := filepath.Join(t.TempDir(), "proxy.toml")
	if err := os.WriteFile(config, []byte(p.config(server, o)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.launch(t, exec.Command(program(t), "--config", config))
	return p
}

// launch runs a program for the length of a test and returns when it listens.
func (p *Proxy) launch(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	p.cmd, p.log, p.exited = cmd, &syncBuffer{}, make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // whoever waits for the end reads ProcessState
	}()
	t.Cleanup(func() { p.end(t) })
	p.await(t)
}

// Signal sends a signal to the proxy.
func (p *Proxy) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Leave returns when the proxy, which a signal has told to go, is gone: the program has ended with 0.
func (p *Proxy) Leave(t testing.TB) {
	t.Helper()
	p.left = true
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("the proxy does not go")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the proxy ended with %d", code)
	}
}

func (p *Proxy) config(server *pgcluster.Server, o Options) string {
	mode, limit := o.Mode, o.MaxConnections
	if mode == "" {
		mode = "transaction"
	}
	if limit == 0 {
		limit = 20
	}
	auth := o.Auth
	if auth == "" {
		auth = `mode = "trust"`
	}
	return fmt.Sprintf(`[proxy]
listen_address = "127.0.0.1:%d"
admin_address = "127.0.0.1:%d"

[pool]
mode = %q
max_connections = %d
%s
[[nodes]]
host = %q
port = %d
role = "primary"
%s
[auth]
%s

%s`, p.Port, p.AdminPort, mode, limit, o.Pool, server.Host(), server.Port(), o.Node, auth, o.More)
}

// await returns when the proxy listens.
func (p *Proxy) await(t testing.TB) {
	t.Helper()
	Within(t, patience, "the proxy listens", func() bool {
		select {
		case <-p.exited:
			t.Fatalf("the proxy ended at start: %v", p.cmd.ProcessState)
		default:
		}
		conn, err := net.Dial("tcp", p.Addr())
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

func (p *Proxy) end(t testing.TB) {
	select {
	case <-p.exited:
		if !p.left {
			t.Errorf("the proxy ended by itself: %v", p.cmd.ProcessState)
		}
	default:
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // the second one: at once
		select {
		case <-p.exited:
		case <-time.After(patience):
			t.Error("the proxy does not hear SIGTERM")
			_ = p.cmd.Process.Kill()
			<-p.exited
		}
	}
	log := p.log.String()
	if strings.Contains(log, "panic") || strings.Contains(log, "DATA RACE") {
		t.Error("the proxy's log tells of a panic or a race")
	}
	if t.Failed() {
		t.Logf("the proxy logged:\n%s", log)
	}
}

// Addr returns HOST:PORT for clients.
func (p *Proxy) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)) }

// DSN returns a connection string.
func (p *Proxy) DSN(database, user string) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s user=%s sslmode=disable", p.Port, database, user)
}

// Env is the environment in which libpq's programs reach the proxy; Direct is for a server itself.
func (p *Proxy) Env() []string { return libpqEnv(p.Port) }

// Direct is Env for a server itself.
func Direct(s *pgcluster.Server) []string { return libpqEnv(s.Port()) }

func libpqEnv(port int) []string {
	return append(os.Environ(), "PGHOST=127.0.0.1", "PGPORT="+strconv.Itoa(port), "PGUSER=postgres", "PGDATABASE=postgres",
		"PGSSLMODE=disable", "PGGSSENCMODE=disable", "PGCONNECT_TIMEOUT=20", "LC_ALL=C.UTF-8", "PAGER=cat", "PSQLRC=/dev/null")
}

// Memory returns the proportional set size of the proxy in bytes.
func (p *Proxy) Memory(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("smaps_rollup has no Pss")
	return 0
}

// Within waits for a condition, at most for limit.
func Within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// program is the path of the program under test.
func program(t testing.TB) string {
	t.Helper()
	path := os.Getenv("HELIOSPROXY")
	if path == "" {
		path = "../../bin/heliosproxy"
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no program to test: run make build, or set HELIOSPROXY: %v", err)
	}
	return path
}

// A syncBuffer is a bytes.Buffer that a process may write while the test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
