package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
)

// How long a server may take to start and to stop on a loaded machine.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// A Server is one PostgreSQL server of a Cluster. Its methods may be called from any goroutine, those that stop and start it
// one at a time.
type Server struct {
	in        *install
	name      string
	dir       string // the data directory
	log       string
	socketDir string
	port      *freeport.Port
	upstream  *Server // the server that a standby follows; nil for a primary

	mu   sync.Mutex
	proc *process // nil while stopped
}

func newServer(in *install, run, name string, upstream *Server) (*Server, error) {
	port, err := freeport.Take()
	if err != nil {
		return nil, err
	}
	return &Server{
		in: in, name: name, dir: filepath.Join(run, name), log: filepath.Join(run, name+".log"),
		socketDir: run, port: port, upstream: upstream,
	}, nil
}

// prepare fills the data directory.
func (s *Server) prepare(template string, o Options) error {
	if err := s.in.run(s.socketDir, "cp", "-a", "--reflink=auto", template, s.dir); err != nil {
		return err
	}
	files := map[string]string{"postgresql.auto.conf": o.conf(s), "pg_hba.conf": o.hba()}
	if s.upstream != nil {
		files["standby.signal"] = ""
	}
	for name, text := range files {
		path := filepath.Join(s.dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if err := s.in.own(path); err != nil {
			return err
		}
	}
	return nil
}

// start starts the server and returns when it takes connections.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		return errors.New("already started")
	}
	proc, err := startProcess(s.in.command(s.dir, "postgres", "-D", s.dir), s.log)
	if err != nil {
		return err
	}
	s.proc = proc
	return poll(startTimeout, func() (bool, error) {
		select {
		case <-proc.exited:
			s.proc = nil
			return false, fmt.Errorf("ended at start (%v):\n%s", proc.err, s.logTail())
		default:
			return s.ready(), nil
		}
	})
}

// ready reads what the server itself says in line 8 of postmaster.pid.
func (s *Server) ready() bool {
	text, err := os.ReadFile(filepath.Join(s.dir, "postmaster.pid"))
	lines := strings.Split(string(text), "\n")
	return err == nil && len(lines) > 7 && lines[0] == strconv.Itoa(s.proc.pid) && strings.TrimSpace(lines[7]) == "ready"
}

// stop ends the server as pg_ctl's fast mode does, harder when that takes too long.
func (s *Server) stop() error { return s.end(syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL) }

func (s *Server) end(signals ...syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	defer func() { s.proc = nil }()
	s.proc.thaw()
	for _, sig := range signals {
		s.proc.signal(sig)
		select {
		case <-s.proc.exited:
			return nil
		case <-time.After(stopTimeout):
		}
	}
	return fmt.Errorf("process %d does not end", s.proc.pid)
}

// Stop shuts the server down in good order: sessions are ended with 57P01.
func (s *Server) Stop(t testing.TB) { t.Helper(); s.must(t, "stop", s.stop()) }

// Kill ends the server and all its processes with SIGKILL, as a machine that loses power.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	var kids []int
	s.mu.Lock()
	if s.proc != nil {
		s.proc.freeze()
		kids = s.proc.children()
		s.proc.signalTree(syscall.SIGKILL)
	}
	s.mu.Unlock()
	s.must(t, "kill", s.end(syscall.SIGKILL))
	// The next start fails for as long as one of them has the shared memory.
	s.must(t, "kill", poll(stopTimeout, func() (bool, error) { return !slices.ContainsFunc(kids, alive), nil }))
}

// Start starts a server that was stopped or killed, on its old port and data.
func (s *Server) Start(t testing.TB) { t.Helper(); s.must(t, "start", s.start()) }

// Pause freezes the server and all its processes: its sockets stay open, nothing answers.
func (s *Server) Pause(t testing.TB) { t.Helper(); s.signalTree(t, syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume(t testing.TB) { t.Helper(); s.signalTree(t, syscall.SIGCONT) }

func (s *Server) signalTree(t testing.TB, sig syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		t.Fatalf("%s is not running", s.name)
	}
	s.proc.signalTree(sig)
}

// Promote makes a standby a primary and returns when it takes writes.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	if got := s.Query(t, "select pg_promote(true, 60)"); got[0][0] != "t" {
		t.Fatalf("promote %s: pg_promote says %q", s.name, got[0][0])
	}
}

// must fails the test with the server's name.
func (s *Server) must(t testing.TB, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s %s: %v", doing, s.name, err)
	}
}

// Crashes returns what the server has logged of processes of its own that were ended by a signal, one line each.
func (s *Server) Crashes() ([]string, error) {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", s.name, err)
	}
	var crashes []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "was terminated by signal ") {
			crashes = append(crashes, strings.TrimRight(line, "\n"))
		}
	}
	return crashes, nil
}

// logTail returns the last lines of the server's log.
func (s *Server) logTail() string {
	const lines = 30
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// poll asks until done, an error, or the time is up.
func poll(limit time.Duration, done func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %v", limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
