// Package stage sets up what a run of the suites talks to: a PostgreSQL server of its own, and the proxy in front of it or not. It
// never knows what is run.
package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// A Run is one of the three ways in which every suite is run.
type Run string

// The runs. The direct one is what the others are measured by.
const (
	Direct      Run = "direct"
	Session     Run = "session"
	Transaction Run = "transaction"
)

// Runs returns all of them, the direct one first.
func Runs() []Run { return []Run{Direct, Session, Transaction} }

// patience bounds what should take a moment.
const patience = 30 * time.Second

// MaxConnections is how many server connections the proxy may have for a database and user: more than any suite opens at once,
// for a suite that waits for itself would hang with fewer, in session mode by what it is.
const MaxConnections = 150

// A Stage is a PostgreSQL server, and unless the run is the direct one a proxy in front of it. The superuser is postgres, and everybody
// is trusted. Databases: postgres, pgx_test, pqgo, compat.
type Stage struct {
	Run  Run
	Port int // where clients connect, on 127.0.0.1

	cluster *pgcluster.Cluster
	dir     string // of the proxy: its configuration and log
	ports   []*freeport.Port
	proxy   *exec.Cmd
	exited  chan struct{}
}

// Start starts a server and, with program, the path of heliosproxy, the proxy. Whoever calls it calls Close.
func Start(ctx context.Context, run Run, program string) (*Stage, error) {
	s := &Stage{Run: run}
	if err := s.start(ctx, program); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stage) start(ctx context.Context, program string) (err error) {
	s.cluster, err = pgcluster.New(pgcluster.Options{
		MaxConnections: MaxConnections + 50,
		Conf:           map[string]string{"max_prepared_transactions": "10"},
	})
	if err != nil {
		return err
	}
	if err := s.populate(ctx); err != nil {
		return fmt.Errorf("databases of the suites: %w", err)
	}
	s.Port = s.cluster.Primary.Port()
	if s.Run == Direct {
		return nil
	}
	return s.startProxy(program)
}

// populate makes what the suites' own instructions ask for.
func (s *Stage) populate(ctx context.Context) error {
	steps := []struct{ database, text string }{
		{"postgres", "create database pgx_test"},
		{"postgres", "create database pqgo"},
		{"postgres", "create database compat"},
		{"postgres", "create role pqgo superuser login"},
		{"postgres", `create role " tricky, ' } "" \ test user " superuser password 'secret'`},
		{"pgx_test", "create extension hstore; create extension ltree; create domain uint64 as numeric(20,0)"},
		{"pqgo", "create extension hstore"},
	}
	for _, step := range steps {
		conn, err := pgx.Connect(ctx, s.cluster.Primary.SocketDSN(step.database, "postgres"))
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, step.text, pgx.QueryExecModeSimpleProtocol)
		conn.Close(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", step.text, err)
		}
	}
	return nil
}

func (s *Stage) startProxy(program string) error {
	for range 2 {
		port, err := freeport.Take()
		if err != nil {
			return err
		}
		s.ports = append(s.ports, port)
	}
	s.Port = s.ports[0].Number
	var err error
	if s.dir, err = os.MkdirTemp("", "compat-proxy-"); err != nil {
		return err
	}
	file := filepath.Join(s.dir, "proxy.toml")
	if err := os.WriteFile(file, []byte(s.config()), 0o600); err != nil {
		return err
	}
	log, err := os.Create(s.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	s.proxy = exec.Command(program, "--config", file, "--state-dir", filepath.Join(s.dir, "state"))
	s.proxy.Stdout, s.proxy.Stderr = log, log
	s.proxy.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is for us: we stop it
	if err := s.proxy.Start(); err != nil {
		s.proxy = nil
		return fmt.Errorf("start the proxy: %w", err)
	}
	s.exited = make(chan struct{})
	go func() {
		defer close(s.exited)
		_ = s.proxy.Wait() // whoever waits for the end reads ProcessState
	}()
	return s.await()
}

func (s *Stage) config() string {
	return fmt.Sprintf(`[proxy]
listen_address = %q
unix_socket_dir = %q
admin_address = %q

[pool]
mode = %q
max_connections = %d

[[nodes]]
host = %q
port = %d
role = "primary"

[auth]
mode = "trust"
`, s.ports[0].Addr(), s.dir, s.ports[1].Addr(), s.Run, MaxConnections, s.cluster.Primary.Host(), s.cluster.Primary.Port())
}

// await returns when the proxy listens.
func (s *Stage) await() error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.exited:
			return fmt.Errorf("the proxy ended at start: %v\n%s", s.proxy.ProcessState, s.log())
		default:
		}
		conn, err := net.Dial("tcp", s.ports[0].Addr())
		if err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("the proxy does not listen after %v\n%s", patience, s.log())
}

// SocketDir is the directory of a unix socket for clients.
func (s *Stage) SocketDir() string {
	if s.Run == Direct {
		return s.cluster.Primary.SocketDir()
	}
	return s.dir
}

// DSN is a connection string for the superuser.
func (s *Stage) DSN(database string) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s user=postgres sslmode=disable", s.Port, database)
}

// Env is the environment in which clients that honour libpq's variables reach the stage.
func (s *Stage) Env() []string {
	return append(os.Environ(), "PGHOST=127.0.0.1", "PGPORT="+strconv.Itoa(s.Port), "PGSSLMODE=disable",
		"PGCONNECT_TIMEOUT=20", "LC_ALL=C.UTF-8", "TZ=UTC")
}

// Peak returns the largest resident set that the proxy has had, in bytes.
func (s *Stage) Peak() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.proxy.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return kib << 10, err
		}
	}
	return 0, errors.New("the status of the proxy's process has no VmHWM")
}

// Close stops everything. It is an error if the proxy has ended by itself, or has logged a panic or a race.
func (s *Stage) Close() error {
	var errs []error
	if s.proxy != nil {
		errs = append(errs, s.stopProxy())
	}
	for _, p := range s.ports {
		p.Release()
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Close())
	}
	return errors.Join(errs...)
}

func (s *Stage) stopProxy() error {
	select {
	case <-s.exited:
		return fmt.Errorf("the proxy ended by itself: %v\n%s", s.proxy.ProcessState, s.log())
	default:
	}
	_ = s.proxy.Process.Signal(syscall.SIGTERM)
	_ = s.proxy.Process.Signal(syscall.SIGTERM) // the second one: at once
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.proxy.Process.Kill()
		<-s.exited
		return errors.New("the proxy does not hear SIGTERM")
	}
	if log := s.log(); strings.Contains(log, "panic") || strings.Contains(log, "DATA RACE") {
		return fmt.Errorf("the proxy's log tells of a panic or a race:\n%s", log)
	}
	return nil
}

func (s *Stage) logFile() string { return filepath.Join(s.dir, "log") }

func (s *Stage) log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}
