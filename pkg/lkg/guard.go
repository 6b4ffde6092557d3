package lkg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// Proved is how long a process runs with a content from its disk before the content has proved itself.
	Proved = 60 * time.Second
	// deaths is how many processes may die of a content before it is marked bad.
	deaths = 2
	// remembered is how many bad contents are known; they are forgotten from the oldest on.
	remembered = 64

	bootFile = "boot"
	badFile  = "bad"
)

// Booting is called before a content is put in force at start. Who calls it calls [Dir.Stable] when the
// process has lived for [Proved]. A content of which that was not said twice in a row is bad: then Booting
// marks it so and returns an error. Other errors are that the disk does not take the note; they do not stand
// in the way of the content.
func (d *Dir) Booting(hash string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 1
	if last, died := d.readBoot(); last == hash {
		n += died
	}
	if n > deaths {
		d.bad = append(slices.DeleteFunc(d.bad, func(h string) bool { return h == hash }), hash)
		d.bad = d.bad[max(0, len(d.bad)-remembered):]
		err := d.replace(badFile, []byte(strings.Join(d.bad, "\n")+"\n"))
		return &BadError{Hash: hash, kept: errors.Join(err, d.forgetBoot())}
	}
	if err := d.replace(bootFile, fmt.Appendf(nil, "%s %d\n", hash, n)); err != nil {
		return fmt.Errorf("note the start with a last-known-good configuration: %w", err)
	}
	return nil
}

// BadError is that a content was marked bad.
type BadError struct {
	Hash string
	kept error
}

func (e *BadError) Error() string {
	s := fmt.Sprintf("content %.12s is marked bad: %d processes died within %v of starting with it", e.Hash, deaths, Proved)
	if e.kept != nil {
		s += fmt.Sprintf(" (which this directory does not keep: %v)", e.kept)
	}
	return s
}

// Unwrap returns why the mark is not kept; nil if it is.
func (e *BadError) Unwrap() error { return e.kept }

// readBoot returns what was started with and how often since it was stable. A file that nobody can read says
// nothing.
func (d *Dir) readBoot() (hash string, n int) {
	b, err := os.ReadFile(filepath.Join(d.path, bootFile))
	if err != nil {
		return "", 0
	}
	if k, err := fmt.Sscanf(string(b), "%s %d\n", &hash, &n); k != 2 || err != nil || n < 1 {
		return "", 0
	}
	return hash, n
}

// Stable says that what the process started with has proved itself.
func (d *Dir) Stable() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.forgetBoot()
}

func (d *Dir) forgetBoot() error {
	err := os.Remove(filepath.Join(d.path, bootFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
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
	b, err := os.ReadFile(filepath.Join(d.path, badFile))
	if err == nil {
		d.bad = strings.Fields(string(b))
	}
}
