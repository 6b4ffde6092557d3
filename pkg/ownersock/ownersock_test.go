package ownersock

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// dialled says whether somebody can be reached at the path.
func dialled(t *testing.T, path string, at net.Listener) bool {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	defer c.Close()
	s, err := at.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	return true
}

// TestListen opens a socket for its owner alone, leaves one alone at which somebody listens, and takes its place where it is to.
func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.sock")
	first, err := Listen(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != os.ModeSocket|0o600 || !dialled(t, path, first) {
		t.Errorf("the socket is %v, %v", st.Mode(), err)
	}
	if _, err := Listen(path, false); !errors.Is(err, ErrAnswers) {
		t.Errorf("beside another one: %v", err)
	}
	second, err := Listen(path, true)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	if !dialled(t, path, second) {
		t.Error("the successor is gone with the one before it")
	}
	second.Close()
	third, err := Listen(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if !dialled(t, path, third) {
		t.Error("what another one has left is in the way")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("beside it there is %v", left)
	}
	if _, err := Listen(filepath.Join(dir, "none", "x"), false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(dir, "d"), false); err == nil {
		t.Error("a directory was replaced")
	}
}
