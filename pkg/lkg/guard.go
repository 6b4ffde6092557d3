package lkg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const (
	// Proved is how long a process runs with a content from its disk before the content has proved itself.
	Proved = 60 * time.Second
	// fatalFaults and fatalEnds are of how many processes in a row that did not get so far a content is bad:
	// those that crashed by themselves (a panic, a fatal error of the runtime), and those that just were no
	// more, which may be nobody's fault, as after kill -9.
	fatalFaults, fatalEnds = 2, 5
	// remembered is how many bad contents are known; they are forgotten from the oldest on.
	remembered = 64

	bootFile  = "boot"
	crashFile = "crash"
	badFile   = "bad"
)

// boot is what the file of that name holds: the content that a process has started with, and how many
// processes have ended of it before.
type boot struct {
	hash         string
	faults, ends int
}

// Booting is called before a content is put in force at start. Who calls it calls [Dir.Stable] when the
// process has lived for [Proved]. A content that too many processes in a row have ended of is marked bad, and
// the error is a [*BadError]. Other errors are that the disk does not take the note; they do not stand in the
// way of the content.
//
// Until Stable the directory also gets what the runtime prints when the process crashes.
func (d *Dir) Booting(hash string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := boot{hash: hash}
	if last, ok := d.readBoot(); ok && last.hash == hash {
		b = last
		b.ends++
		if d.crashed() {
			b.faults++
		}
	}
	if b.faults >= fatalFaults || b.ends >= fatalEnds {
		d.bad = append(slices.DeleteFunc(d.bad, func(h string) bool { return h == hash }), hash)
		d.bad = d.bad[max(0, len(d.bad)-remembered):]
		err := d.replace(badFile, []byte(strings.Join(d.bad, "\n")+"\n"))
		return &BadError{hash: hash, ends: b.ends, kept: errors.Join(err, d.forgetBoot())}
	}
	err := d.replace(bootFile, fmt.Appendf(nil, "%s %d %d\n", b.hash, b.faults, b.ends))
	if err = errors.Join(err, d.watchCrash()); err != nil {
		return fmt.Errorf("note the start with a last-known-good configuration: %w", err)
	}
	return nil
}

// BadError is that a content was marked bad.
type BadError struct {
	hash string
	ends int
	kept error
}

func (e *BadError) Error() string {
	s := fmt.Sprintf("content %.12s is marked bad: %d processes ended within %v of starting with it", e.hash, e.ends, Proved)
	if e.kept != nil {
		s += fmt.Sprintf(" (the directory does not keep this mark: %v)", e.kept)
	}
	return s
}

// Unwrap returns why the mark is not kept; nil if it is.
func (e *BadError) Unwrap() error { return e.kept }

// readBoot returns what was started with and has not proved itself. A file that nobody can read says nothing.
func (d *Dir) readBoot() (b boot, ok bool) {
	text, err := os.ReadFile(filepath.Join(d.path, bootFile))
	if err != nil {
		return boot{}, false
	}
	n, err := fmt.Sscanf(string(text), "%s %d %d\n", &b.hash, &b.faults, &b.ends)
	return b, n == 3 && err == nil
}

// crashed says whether the last process left words when it ended.
func (d *Dir) crashed() bool {
	at, err := os.Stat(filepath.Join(d.path, crashFile))
	return err == nil && at.Size() > 0
}

// watchCrash has the runtime write into the directory what it prints when the process crashes.
func (d *Dir) watchCrash() error {
	f, err := os.OpenFile(filepath.Join(d.path, crashFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
}

// Stable says that what the process started with has proved itself, or that the process ends in order.
func (d *Dir) Stable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.forgetBoot()
}

func (d *Dir) forgetBoot() error {
	err := debug.SetCrashOutput(nil, debug.CrashOptions{})
	for _, name := range []string{bootFile, crashFile} {
		if e := os.Remove(filepath.Join(d.path, name)); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Bad says whether a content is marked bad. The mark goes when the file "bad" is removed and the process
// started anew.
func (d *Dir) Bad(hash string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.bad, hash)
}

func (d *Dir) readBad() {
	text, err := os.ReadFile(filepath.Join(d.path, badFile))
	if err == nil {
		d.bad = strings.Fields(string(text))
	}
}
