package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// A home is the directory of this machine that holds the template data directories, one a version, and the clusters
// that run now. Processes share it; what changes it holds its lock.
type home struct {
	in  *install
	dir string
}

func openHome(in *install) (*home, error) {
	h := &home{in: in, dir: filepath.Join(place(), fmt.Sprintf("heliosproxy-pg-%d", in.uid()))}
	if err := in.mkdir(h.dir); err != nil {
		return nil, fmt.Errorf("directory for test clusters: %w", err)
	}
	return h, nil
}

// enough is how many bytes have to be free in memory to put clusters there.
const enough = 4 << 30

// place is where the home is: in memory where there is room for it, and nobody has said otherwise. A file system on a disk has more
// work with copying and removing a data directory than PostgreSQL with starting and stopping in it.
func place() string {
	const memory, tmpfs = "/dev/shm", 0x01021994 // TMPFS_MAGIC of linux/magic.h
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &fs) != nil || fs.Type != tmpfs || fs.Bavail*uint64(fs.Bsize) < enough {
		return os.TempDir()
	}
	return memory
}

// locked runs f while no other process changes the home.
func (h *home) locked(f func() error) error {
	lock, err := flock(filepath.Join(h.dir, "lock"), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()
	return f()
}

// template returns the data directory that clusters are copied from: initialised, cleanly shut down, never started. It is made
// on first use and kept.
func (h *home) template() (string, error) {
	dir := filepath.Join(h.dir, "template-"+h.in.version)
	err := h.locked(func() error {
		if fileExists(dir) {
			return nil
		}
		raw := dir + ".tmp" // renamed when complete: what a killed run leaves is never taken for a template
		if err := os.RemoveAll(raw); err != nil {
			return err
		}
		err := h.in.run(h.dir, "initdb", "--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8",
			"--locale=C.UTF-8", "--pgdata="+raw)
		if err != nil {
			return err
		}
		return os.Rename(raw, dir)
	})
	if err != nil {
		return "", fmt.Errorf("template data directory %s: %w", dir, err)
	}
	return dir, nil
}

// newRun makes the directory of one cluster and returns it with the lock that says that we are alive. Directories whose
// owners were killed before they could clean up are removed.
func (h *home) newRun() (dir string, alive *os.File, err error) {
	err = h.locked(func() error {
		if err := h.sweep(); err != nil {
			return err
		}
		if dir, err = os.MkdirTemp(h.dir, "run-"); err != nil {
			return err
		}
		if err := h.in.own(dir); err != nil {
			return err
		}
		alive, err = flock(aliveFile(dir), syscall.LOCK_EX|syscall.LOCK_NB)
		return err
	})
	return dir, alive, err
}

func aliveFile(run string) string { return filepath.Join(run, "alive") }

// sweep removes the directories of dead owners. Their servers go too, as the kernel signals them when the owner dies; one that is
// still at it may write a file meanwhile: then the next sweep has the rest.
func (h *home) sweep() error {
	runs, _ := filepath.Glob(filepath.Join(h.dir, "run-*")) // the only error is a bad pattern
	for _, run := range runs {
		lock, err := flock(aliveFile(run), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue // in use
		}
		lock.Close()
		if err := os.RemoveAll(run); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

// flock opens a file and locks it as how says; closing it, or the end of the process, unlocks it.
func flock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err == nil {
			return f, nil
		}
		if err != syscall.EINTR {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}
