// Package lkg keeps on disk the configurations that were last known to be good, so that a proxy can start without its control plane. It never decides what is good, and nothing in it expires.
package lkg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const (
	// keep is how many files there are.
	keep = 3
	// prefix and suffix of a file's name; between them is a number that grows with each file.
	prefix, suffix = "snapshot-", ".lkg"
)

// Dir is a directory of files, used by one process at a time. Several goroutines may use it.
type Dir struct {
	path string
	lock *os.File

	mu sync.Mutex // held by every method, but not while Load calls accept
}

// ErrNone is that there is no file that can be used.
var ErrNone = errors.New("there is no last known good configuration")

// Open takes hold of a directory, which is made where it is not there (mode 0700).
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another proxy uses the state directory %s: stop it, or give this one a --state-dir of its own", path), f.Close())
	}
	return &Dir{path: path, lock: f}, nil
}

// Close lets go of the directory.
func (d *Dir) Close() error { return d.lock.Close() }

// file is a file in the directory.
type file struct {
	number uint64
	name   string
}

// files returns the files, the newest first.
func (d *Dir) files() ([]file, error) {
	all, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var fs []file
	for _, e := range all {
		s, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		if s, ok = strings.CutSuffix(s, suffix); !ok {
			continue
		}
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			fs = append(fs, file{n, filepath.Join(d.path, e.Name())})
		}
	}
	slices.SortFunc(fs, func(a, b file) int {
		if a.number > b.number {
			return -1
		}
		return 1
	})
	return fs, nil
}

// Save writes a configuration as the newest. When it returns nil the file survives a crash of the machine.
func (d *Dir) Save(e Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := encode(e)
	if err != nil {
		return err
	}
	old, err := d.files()
	if err != nil {
		return err
	}
	number := uint64(1)
	if len(old) > 0 {
		number = old[0].number + 1
	}
	if err := d.write(fmt.Sprintf("%s%020d%s", prefix, number, suffix), b); err != nil {
		return fmt.Errorf("save last known good configuration: %w", err)
	}
	for _, f := range old[min(len(old), keep-1):] {
		if err := os.Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an old configuration: %w", err)
		}
	}
	return nil
}

// write makes a file whole or not at all.
func (d *Dir) write(name string, b []byte) error {
	f, err := os.CreateTemp(d.path, "tmp-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.path, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Skipped is a file that was not used.
type Skipped struct {
	File string
	Err  error
}

// Load returns the newest configuration that is whole and that accept takes, and the newer ones that are not
// so. If there is none the error is [ErrNone].
func (d *Dir) Load(accept func(Entry) error) (Entry, []Skipped, error) {
	d.mu.Lock()
	files, err := d.files()
	d.sweep()
	d.mu.Unlock()
	if err != nil {
		return Entry{}, nil, err
	}
	var skipped []Skipped
	for _, f := range files {
		e, err := read(f.name)
		if err == nil {
			err = accept(e)
		}
		if err == nil {
			return e, skipped, nil
		}
		skipped = append(skipped, Skipped{f.name, err})
	}
	return Entry{}, skipped, ErrNone
}

func read(name string) (Entry, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return Entry{}, err
	}
	return decode(b)
}

// sweep removes what a crash has left half-written.
func (d *Dir) sweep() {
	left, _ := filepath.Glob(filepath.Join(d.path, "tmp-*"))
	for _, name := range left {
		_ = os.Remove(name) // it is in nobody's way
	}
}
