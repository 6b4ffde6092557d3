// Package ownersock opens unix sockets that only the user of the process may connect to. It never says who that was.
package ownersock

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// ErrAnswers is returned where another process listens at the path.
var ErrAnswers = errors.New("another process answers there")

// Listen opens the socket at path, in place of what a process has left there that has ended, or, if it succeeds one, of one that
// listens. The file has mode 0600 from the first moment that it has its name, and is there all the time while it is replaced: it is made
// in a directory that only we can enter. It stays when the listener is closed, as by then it may be another process's.
func Listen(path string, succeeds bool) (*net.UnixListener, error) {
	if !succeeds && answers(path) {
		return nil, fmt.Errorf("%s: %w", path, ErrAnswers)
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(filepath.Join(dir, "s"), 0o600); err == nil {
		err = os.Rename(filepath.Join(dir, "s"), path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// answers says whether a process listens at a unix socket.
func answers(path string) bool {
	c, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
