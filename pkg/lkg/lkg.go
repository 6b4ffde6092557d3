// Package lkg keeps the configurations that a proxy had in force last in files, so that it starts without a control plane. It never forgets one because of its age, and never gives out one that is not whole.
//
// A directory belongs to one process at a time and holds
//
//	snapshot-SEQUENCE-HASH.lkg  a configuration; the highest sequence was saved last
//	boot, crash                 the configuration that the process started with, until it has proved itself
//	bad                         the hashes of configurations that did not
//
// and what others keep there under names of their own.
package lkg

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNone is that no file of the directory can be used.
var ErrNone = errors.New("no last-known-good configuration")

// Options are how a directory is used.
type Options struct {
	// Keep is how many configurations are kept; 0 is 3.
	Keep int
	// Group is whose configurations are loaded. Files of another one are skipped.
	Group string
	// Skipped hears of each file that is passed over while loading, and why; nil is nobody.
	Skipped func(path string, why error)
}

// Dir is a directory of last-known-good files. Several goroutines may use it.
type Dir struct {
	path string
	o    Options
	lock *os.File // the directory itself

	// What tests break.
	create func(path string) (file, error)
	rename func(from, to string) error

	mu  sync.Mutex // of the files
	bad []string   // hashes, the one marked last is last
}

// file is what is written.
type file interface {
	io.WriteCloser
	Sync() error
}

// Open takes hold of a directory, which it makes (mode 0700) where it is not there, until Close. Another
// process that has it is an error. Files that a crash left half-written are removed.
func Open(path string, o Options) (*Dir, error) {
	o.Keep = cmp.Or(o.Keep, 3)
	if o.Skipped == nil {
		o.Skipped = func(string, error) {}
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	lock, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("state directory %s: another process uses it; each proxy needs one of its own", path)
		}
		return nil, fmt.Errorf("state directory %s: lock: %w", path, err)
	}
	d := &Dir{path: path, o: o, lock: lock, create: create, rename: os.Rename}
	d.sweep()
	d.readBad()
	return d, nil
}

func create(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// Close lets go of the directory. A process that ends in order has not died of what it ran: Close says so.
func (d *Dir) Close() error {
	return errors.Join(d.Stable(), d.lock.Close())
}

// snapshot is a file by its name.
type snapshot struct {
	name     string
	sequence uint64
	hash     string
}

func (s snapshot) String() string { return fmt.Sprintf("snapshot-%016d-%s.lkg", s.sequence, s.hash) }

// snapshots returns the files, the one saved last first.
func (d *Dir) snapshots() ([]snapshot, error) {
	names, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var all []snapshot
	for _, n := range names {
		s := snapshot{name: n.Name()}
		stem, _ := strings.CutSuffix(s.name, ".lkg")
		if k, err := fmt.Sscanf(stem, "snapshot-%d-%s", &s.sequence, &s.hash); k == 2 && err == nil && s.String() == s.name {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b snapshot) int { return cmp.Compare(b.sequence, a.sequence) })
	return all, nil
}

// Save keeps an entry as the newest. When it returns nil the entry survives a loss of power; else the files are
// what they were. Of several with the same content only the newest is kept.
func (d *Dir) Save(e Entry) error {
	if err := d.save(e); err != nil {
		return fmt.Errorf("save last-known-good configuration: %w", err)
	}
	return nil
}

func (d *Dir) save(e Entry) error {
	b, err := encode(e)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old, err := d.snapshots()
	if err != nil {
		return err
	}
	s := snapshot{sequence: 1, hash: e.Content.Hash()}
	if len(old) > 0 {
		s.sequence = old[0].sequence + 1
	}
	if err := d.replace(s.String(), b); err != nil {
		return err
	}
	kept := 1
	for _, o := range old {
		if o.hash != s.hash && kept < d.o.Keep {
			kept++
			continue
		}
		if err := os.Remove(filepath.Join(d.path, o.name)); err != nil {
			d.o.Skipped(filepath.Join(d.path, o.name), err) // one too many does no harm
		}
	}
	return nil
}

// Loaded is an entry that was read, and when it was saved.
type Loaded struct {
	Entry
	Saved time.Time
}

// Load returns the entry that was saved last, of those that are whole, of the group, not marked bad, and that
// accept takes. A nil accept takes all. If there is none the error is [ErrNone] with what was wrong with each.
func (d *Dir) Load(accept func(Loaded) error) (Loaded, error) {
	d.mu.Lock()
	all, err := d.snapshots()
	d.mu.Unlock()
	if err != nil {
		return Loaded{}, fmt.Errorf("%w: %w", ErrNone, err)
	}
	why := []error{ErrNone}
	for _, s := range all {
		path := filepath.Join(d.path, s.name)
		e, err := d.read(path, s.hash)
		if err == nil && accept != nil {
			err = accept(e)
		}
		if err == nil {
			return e, nil
		}
		d.o.Skipped(path, err)
		why = append(why, fmt.Errorf("%s: %w", path, err))
	}
	return Loaded{}, errors.Join(why...)
}

// read reads a file and judges it by itself.
func (d *Dir) read(path, hash string) (Loaded, error) {
	if d.Bad(hash) {
		return Loaded{}, fmt.Errorf("is marked bad: processes ended soon after they had started with it; to try it again remove the file %q beside it", badFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return Loaded{}, err
	}
	defer f.Close()
	at, err := f.Stat()
	if err != nil {
		return Loaded{}, err
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return Loaded{}, err
	}
	e, err := decode(b)
	switch {
	case err != nil:
		return Loaded{}, err
	case e.Content.Hash() != hash:
		return Loaded{}, errors.New("has another content than its name says")
	case e.Group != d.o.Group:
		return Loaded{}, fmt.Errorf("is of group %q, this proxy is of group %q", e.Group, d.o.Group)
	}
	return Loaded{e, at.ModTime()}, nil
}

// partSuffix marks what is being written.
const partSuffix = ".part"

// replace writes a file so that under its name there is either what was or all of what comes.
func (d *Dir) replace(name string, b []byte) error {
	path := filepath.Join(d.path, name)
	part := path + partSuffix
	// What an earlier attempt could not remove is in the way of this one.
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.create(part)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.rename(part, path)
	}
	if err != nil {
		os.Remove(part)
		return err
	}
	return d.lock.Sync()
}

// Keep keeps bytes under a name that is none of the directory's own. When it returns nil they survive a loss of power; else what was
// kept is what it was.
func (d *Dir) Keep(name string, b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.replace(name, b); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

// Kept returns what is kept under a name; the error is [fs.ErrNotExist] where nothing is.
func (d *Dir) Kept(name string) ([]byte, error) { return os.ReadFile(filepath.Join(d.path, name)) }

// sweep removes what a crash left half-written.
func (d *Dir) sweep() {
	parts, _ := filepath.Glob(filepath.Join(d.path, "*"+partSuffix))
	for _, p := range parts {
		os.Remove(p)
	}
}
