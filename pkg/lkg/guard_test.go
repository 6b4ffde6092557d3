package lkg_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/lkg"
)

// TestMain is also the process that other tests start: it boots with the newest content and ends as asked.
func TestMain(m *testing.M) {
	path, end := os.Getenv("LKG_TEST_DIR"), os.Getenv("LKG_TEST_END")
	if path == "" {
		os.Exit(m.Run())
	}
	d, err := lkg.Open(path, lkg.Options{Group: "g"})
	if err != nil {
		panic(err)
	}
	e, err := d.Load(func(e lkg.Loaded) error { return d.Booting(e.Content.Hash()) })
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(e.Content.Hash())
	switch end {
	case "panic":
		done := make(chan int)
		go func() { panic("planted") }()
		<-done
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stable then kill":
		if err := d.Stable(); err != nil {
			panic(err)
		}
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "close":
		err = d.Close()
	}
	if err != nil {
		panic(err)
	}
	os.Exit(0)
}

// boot runs a process that ends in one way after it has started, and returns the hash of what it ran.
func boot(t *testing.T, path, end string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe)
	c.Env = append(os.Environ(), "LKG_TEST_DIR="+path, "LKG_TEST_END="+end)
	out, err := c.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

// TestCrashLoop starts processes that end in one way: after so many the content before is run.
func TestCrashLoop(t *testing.T) {
	for _, tt := range []struct {
		ends  string // of the processes, one after the other, separated by commas
		fatal bool
	}{
		{"panic,panic", true},
		{"panic", false},
		{"panic,close,panic", false},
		{"panic,stable then kill,panic", false},
		{"kill,kill,kill,kill", false},
		{"kill,kill,kill,kill,kill", true},
		{"kill,panic,kill", false},
		{"kill,panic,kill,panic", true},
		{"stable then kill,stable then kill,stable then kill,stable then kill,stable then kill,stable then kill", false},
	} {
		t.Run(tt.ends, func(t *testing.T) { // not beside another: a process that is about to start has the locks of this one for a moment
			path := t.TempDir()
			d := open(t, path)
			save(t, d, entry(t, 1), entry(t, 2))
			d.Close()
			older, newer := entry(t, 1).Content.Hash(), entry(t, 2).Content.Hash()
			for end := range strings.SplitSeq(tt.ends, ",") {
				if got := boot(t, path, end); got != newer {
					t.Fatalf("before %q the process ran %.12s, want %.12s", end, got, newer)
				}
			}
			want := newer
			if tt.fatal {
				want = older
			}
			if got := boot(t, path, "close"); got != want {
				t.Errorf("after %q the process ran %.12s, want %.12s", tt.ends, got, want)
			}
			d = open(t, path)
			if got := d.Bad(newer); got != tt.fatal {
				t.Errorf("marked bad: %v, want %v", got, tt.fatal)
			}
			if d.Bad(older) {
				t.Error("the older content is marked bad")
			}
		})
	}
}

// TestBadIsKept marks a content bad where the mark cannot be written, and where it can.
func TestBadIsKept(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	hash := entry(t, 1).Content.Hash()
	full := true
	d.Break(func(string) error {
		if full {
			if _, err := os.Stat(filepath.Join(path, "boot")); err == nil {
				return syscall.ENOSPC
			}
		}
		return nil
	})
	if err := d.Booting(hash); err != nil {
		t.Fatal(err)
	}
	if err := d.Booting(hash); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a note on a full disk: %v", err)
	}
	full = false
	var bad *lkg.BadError
	err := error(nil)
	for n := 0; err == nil && n < 5; n++ {
		err = d.Booting(hash)
	}
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "5 processes ended within 1m0s") {
		t.Fatalf("after five: %v", err)
	}
	d.Close()
	d = open(t, path)
	if !d.Bad(hash) || d.Bad("other") {
		t.Error("the mark is not kept, or holds for others")
	}
}
