package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/etcd"
)

// etcdSource is what etcd is built from, in the version that go.mod names: the one that the store's client is of.
const etcdSource = "go.etcd.io/etcd/server/v3"

// An Etcd is a cluster of one member, which is a process of its own.
type Etcd struct {
	Addr   string // HOST:PORT for clients
	peer   string
	dir    string
	log    *syncBuffer
	cmd    *exec.Cmd
	exited chan struct{}
}

// StartEtcd builds etcd, which takes a while the first time, and runs it for the length of a test. When that
// fails, what etcd logged is shown.
func StartEtcd(t testing.TB) *Etcd {
	t.Helper()
	e := &Etcd{Addr: loopbackPort(t), peer: loopbackPort(t), dir: t.TempDir(), log: &syncBuffer{}}
	e.Start(t)
	t.Cleanup(func() {
		e.end(t, syscall.SIGKILL)
		if t.Failed() {
			t.Logf("etcd logged:\n%s", e.log.String())
		}
	})
	return e
}

// etcdProgram builds etcd where it is not there yet and returns its path.
func etcdProgram(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../../.cache/etcd/etcd")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", path, etcdSource).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", etcdSource, err, out)
	}
	return path
}

// Start starts it, again if it was ended, and waits until it serves.
func (e *Etcd) Start(t testing.TB) {
	t.Helper()
	e.cmd = exec.Command(etcdProgram(t), "--name", "one", "--data-dir", filepath.Join(e.dir, "data"), "--log-level", "warn",
		"--listen-client-urls", "http://"+e.Addr, "--advertise-client-urls", "http://"+e.Addr,
		"--listen-peer-urls", "http://"+e.peer, "--initial-advertise-peer-urls", "http://"+e.peer,
		"--initial-cluster", "one=http://"+e.peer, "--heartbeat-interval", "50", "--election-timeout", "500")
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, exited := e.cmd, make(chan struct{})
	e.exited = exited
	go func() {
		defer close(exited)
		_ = cmd.Wait() // whoever waits for the end reads ProcessState
	}()
	s := e.Open(t)
	for late := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if _, err := s.List(t.Context(), store.Range{Prefix: "/", Limit: 1}); err == nil {
			return
		} else if time.Now().After(late) {
			t.Fatalf("etcd is not ready: %v\n%s", err, e.log.String())
		}
	}
}

// Open returns a client for the length of a test.
func (e *Etcd) Open(t testing.TB) *etcd.Store { return openEtcd(t, e.Addr) }

func openEtcd(t testing.TB, addr string) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(etcd.Options{Endpoints: []string{addr}, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Stop ends it in good order. Start starts it with the same data.
func (e *Etcd) Stop(t testing.TB) { e.end(t, syscall.SIGTERM) }

// Kill ends it at once. Start starts it with the same data.
func (e *Etcd) Kill(t testing.TB) { e.end(t, syscall.SIGKILL) }

// Pause makes it stand still, with its connections open, until Resume.
func (e *Etcd) Pause(t testing.TB) { e.signal(t, syscall.SIGSTOP) }

// Resume ends a Pause.
func (e *Etcd) Resume(t testing.TB) { e.signal(t, syscall.SIGCONT) }

func (e *Etcd) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := e.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// end ends it by a signal, if it runs.
func (e *Etcd) end(t testing.TB, s os.Signal) {
	t.Helper()
	select {
	case <-e.exited:
		return
	default:
	}
	e.signal(t, s)
	select {
	case <-e.exited:
	case <-time.After(patience):
		t.Errorf("etcd has not ended %v after %v", patience, s)
	}
}
