package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
		if _, err := held(path); err != nil {
			return nil, fmt.Errorf("pidfile: %w", err)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("pidfile: %w", err)
		}
	}
}

// tryFiles tries whether the log's file and the process number's could be written, and leaves nothing of them. runs says that a proxy runs, whose
// number may be in the latter.
func (l loaded) tryFiles(runs bool) (all []Outcome) {
	logfile, pid := l.files()
	say := func(what, path string, err error) {
		o := Outcome{Level: OK, What: what, Why: path + " can be written"}
		if err != nil {
			o.Level, o.Why = Fail, err.Error()
		}
		all = append(all, o)
	}
	if logfile != "" {
		f, err := os.OpenFile(logfile, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			err = f.Close()
		} else if errors.Is(err, fs.ErrNotExist) {
			err = tryNew(logfile)
		}
		say("log file", logfile, err)
	}
	if pid == "" {
		return all
	}
	number, err := held(pid)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		say("pidfile", pid, tryNew(pid))
	case errors.Is(err, errHeld) && runs && number > 0:
		all = append(all, Outcome{Level: Warn, What: "pidfile", Why: fmt.Sprintf("%s has the number of a process that runs, %d", pid, number)})
	case err != nil:
		say("pidfile", pid, err)
	default:
		say("pidfile", pid, tryNew(pid))
	}
	return all
}

// tryNew tries whether there can be a file at path, by another one beside it.
func tryNew(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".heliosproxy-check-")
	var at *fs.PathError
	if errors.As(err, &at) {
		return &fs.PathError{Op: at.Op, Path: path, Err: at.Err}
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

var errHeld = errors.New("another process runs with it, or has left it behind")

// held says whose number is in a file at path: that of a process that is gone, unless there is an error. [errHeld] says that it lives, or that the
// file has no number.
func held(path string) (pid int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid != os.Getpid() && lives(pid) {
		return pid, fmt.Errorf("%s exists: %w", path, errHeld)
	}
	return pid, nil
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
