package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// tee writes to a stream and, where there is one, to a file that may be moved away and opened anew.
type tee struct {
	out io.Writer

	mu   sync.Mutex
	file *os.File
}

// Write implements [io.Writer]. What befalls the file is not the stream's affair.
func (t *tee) Write(b []byte) (int, error) {
	t.mu.Lock()
	if t.file != nil {
		_, _ = t.file.Write(b)
	}
	t.mu.Unlock()
	return t.out.Write(b)
}

// open writes to the file at path from now on, or to none. After an error it goes on with the one before.
func (t *tee) open(path string) error {
	var file *os.File
	if path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
		if err != nil {
			return fmt.Errorf("log file: %w", err)
		}
		file = f
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file != nil {
		_ = t.file.Close()
	}
	t.file = file
	return nil
}

// pidfile writes the process's number to a file, unless another process that lives has its number there. The file is gone after release.
func pidfile(path string) (release func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	for {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			_, err = fmt.Fprintln(f, os.Getpid())
			if err = errors.Join(err, f.Close()); err != nil {
				return nil, fmt.Errorf("pidfile: %w", err)
			}
			return func() { leave(path) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("pidfile: %w", err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("pidfile: %w", err)
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || pid != os.Getpid() && lives(pid) {
			return nil, fmt.Errorf("pidfile: %s exists: another process runs with it, or has left it behind", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("pidfile: %w", err)
		}
	}
}

// succeed writes the process's number to a file in which that of the process stands whose place it takes.
func succeed(path string) (release func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	next := path + ".new"
	err = os.WriteFile(next, fmt.Appendln(nil, os.Getpid()), 0o644)
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return nil, fmt.Errorf("pidfile: %w", err)
	}
	return func() { leave(path) }, nil
}

// leave removes the file, unless another process has its number there by now.
func leave(path string) {
	if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid()) {
		_ = os.Remove(path)
	}
}

// lives says whether there is a process.
func lives(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
