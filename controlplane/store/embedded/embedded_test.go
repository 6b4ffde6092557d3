package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/embedded"
	"github.com/heliosproxy/heliosproxy/controlplane/store/storetest"
)

func open(t *testing.T, o embedded.Options) store.Store {
	t.Helper()
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	s, err := embedded.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return open(t, embedded.Options{Dir: t.TempDir(), Unsafe: true, Progress: 100 * time.Millisecond})
	})
}

func put(t *testing.T, s store.Store, key, value string) int64 {
	t.Helper()
	r, err := s.Commit(t.Context(), store.Txn{Then: []store.Op{{Key: key, Value: []byte(value)}}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Revision
}

func list(t *testing.T, s store.Store) store.Page {
	t.Helper()
	p, err := s.List(t.Context(), store.Range{Prefix: "/"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestReopened: what was written is there after the next start, at the same revision, in files that nobody
// else can read; and a start says nothing that would alarm.
func TestReopened(t *testing.T) {
	core, logged := observer.New(zapcore.InfoLevel)
	dir := filepath.Join(t.TempDir(), "data")
	o := embedded.Options{Dir: dir, Log: zap.New(core)}
	s := open(t, o)
	revision := put(t, s, "/a", "1")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	defer s.Close()
	if p := list(t, s); p.Revision != revision || len(p.KVs) != 1 || p.KVs[0].Changed != revision {
		t.Errorf("after a start there is %+v, written was revision %d", p, revision)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, e := range logged.All() {
		t.Errorf("%s: %s %v", e.Level, e.Message, e.ContextMap())
	}
}

// TestNoDoor: nobody but this process can talk to the store.
func TestNoDoor(t *testing.T) {
	before := doors(t)
	s := open(t, embedded.Options{Dir: t.TempDir(), Unsafe: true})
	defer s.Close()
	if after := doors(t); after != before {
		t.Errorf("sockets: %d before, %d after", before, after)
	}
}

// doors counts the sockets of this process.
func doors(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if to, err := os.Readlink(filepath.Join("/proc/self/fd", f.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// TestSecond: the directory of a store that runs is refused with words, at once, also by another process; and
// is free again after it.
func TestSecond(t *testing.T) {
	o := embedded.Options{Dir: t.TempDir(), Log: zap.NewNop(), Unsafe: true}
	s := open(t, o)
	const words = "another control plane uses the data directory"
	if second, err := embedded.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), o.Dir) {
		t.Errorf("a second store: %v, %v", second, err)
	}
	writer := child(t, o.Dir)
	if out, err := writer.CombinedOutput(); err == nil || !strings.Contains(string(out), words) {
		t.Errorf("another process: %v, %s", err, out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
}

// TestUnusable: a directory that cannot be had is named.
func TestUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := embedded.Open(t.Context(), embedded.Options{Dir: dir, Log: zap.NewNop()}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// writerDir is where a process that is a writer finds its directory; see TestWriter.
const writerDir = "HELIOS_TEST_STORE_DIR"

// child is this test binary as a writer.
func child(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), writerDir+"="+dir)
	return cmd
}

// TestMain runs the tests, or for TestKilled writes in a process of its own.
func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		fmt.Println(writeOn(dir)) // it ends with an error or not at all
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeOn writes until it is killed, and prints what the store has acknowledged.
func writeOn(dir string) error {
	ctx := context.Background()
	s, err := embedded.Open(ctx, embedded.Options{Dir: dir, Log: zap.NewNop()})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		key := fmt.Sprintf("/%d/%06d", os.Getpid(), i)
		r, err := s.Commit(ctx, store.Txn{Then: []store.Op{{Key: key + "/a", Value: []byte("x")}, {Key: key + "/b", Value: []byte("x")}}})
		if err != nil {
			return err
		}
		fmt.Printf("acknowledged %d %s\n", r.Revision, key)
	}
}

// TestKilled: a process that is killed while it writes loses nothing that was acknowledged, and leaves no
// transaction half done.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]int64{}
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		cmd := child(t, dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		kill := rand.N(100) + 1
		for n := 0; lines.Scan(); {
			var revision int64
			var key string
			if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d %s", &revision, &key); err != nil {
				continue
			}
			acknowledged[key] = revision
			if n++; n == kill {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
	}
	s := open(t, embedded.Options{Dir: dir, Unsafe: true})
	defer s.Close()
	there := map[string][]int64{}
	for _, kv := range list(t, s).KVs {
		key := kv.Key[:len(kv.Key)-len("/a")]
		there[key] = append(there[key], kv.Changed)
	}
	for key, revisions := range there {
		if len(revisions) != 2 || revisions[0] != revisions[1] {
			t.Errorf("%s is there in revisions %v", key, revisions)
		}
	}
	for key, revision := range acknowledged {
		if got := there[key]; len(got) == 0 || got[0] != revision {
			t.Errorf("%s was acknowledged as revision %d, and is there in %v", key, revision, got)
		}
	}
	if len(acknowledged) < rounds {
		t.Errorf("only %d writes were acknowledged", len(acknowledged))
	}
	t.Logf("%d acknowledged, %d there", len(acknowledged), len(there))
}

// TestQuiet: a watch that begins with the revision after the last one says that it lives, though etcd itself is silent
// about revisions that have not come.
func TestQuiet(t *testing.T) {
	t.Parallel()
	s, err := embedded.Open(t.Context(), embedded.Options{Dir: t.TempDir(), Log: zap.NewNop(), Unsafe: true, Progress: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	page, err := s.List(t.Context(), store.Range{Prefix: "/"})
	if err != nil {
		t.Fatal(err)
	}
	batches, why := s.Watch(t.Context(), "/", page.Revision+1)
	for range 3 {
		b, ok := <-batches
		if !ok {
			t.Fatal(why())
		}
		if len(b.Events) != 0 || b.Revision != page.Revision {
			t.Errorf("got %+v at revision %d", b, page.Revision)
		}
	}
}
