package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// oldest is the first major version of PostgreSQL that the proxy supports.
const oldest = 14

// An install is PostgreSQL as found on this machine, and the account that may run it.
type install struct {
	bin     string              // the directory of initdb, postgres
	version string              // as the server says it, for example "15.19"
	account *syscall.Credential // nil: our own
}

// findInstall looks for the newest PostgreSQL among PATH and the places where distributions put it. PostgreSQL refuses to run
// as root: for root its servers run as the user postgres.
func findInstall() (*install, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the only error is a bad pattern
	slices.SortFunc(dirs, func(a, b string) int { return majorOf(b) - majorOf(a) })
	if p, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(p))
	}
	for _, d := range dirs {
		out, err := exec.Command(filepath.Join(d, "postgres"), "--version").Output()
		fields := strings.Fields(string(out)) // postgres (PostgreSQL) 15.19 (Debian 15.19-0+deb12u1)
		if err != nil || len(fields) < 3 {
			continue
		}
		if major, _, _ := strings.Cut(fields[2], "."); atoi(major) < oldest {
			continue
		}
		in := &install{bin: d, version: fields[2]}
		in.account, err = serverAccount()
		return in, err
	}
	return nil, fmt.Errorf("no PostgreSQL %d or later in PATH or /usr/lib/postgresql: install the package postgresql", oldest)
}

func majorOf(binDir string) int { return atoi(filepath.Base(filepath.Dir(binDir))) }

// atoi is strconv.Atoi for text where anything but a number means "too old".
func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func serverAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("running as root needs the user postgres: %w", err)
	}
	return &syscall.Credential{Uid: uint32(atoi(u.Uid)), Gid: uint32(atoi(u.Gid))}, nil
}

// uid is the user id that servers run under.
func (in *install) uid() int {
	if in.account == nil {
		return os.Geteuid()
	}
	return int(in.account.Uid)
}

// own gives a path to the account that servers run under.
func (in *install) own(path string) error {
	if in.account == nil {
		return nil
	}
	return os.Chown(path, int(in.account.Uid), int(in.account.Gid))
}

// mkdir makes a directory that only the servers' account and we can enter.
func (in *install) mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return in.own(path)
}

// command prepares a program to run as the servers' account, untouched by our environment.
func (in *install) command(dir, name string, args ...string) *exec.Cmd {
	if path := filepath.Join(in.bin, name); fileExists(path) {
		name = path
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + in.bin + ":/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: in.account}
	return cmd
}

// run runs a program to its end; the error holds what it said.
func (in *install) run(dir, name string, args ...string) error {
	if out, err := in.command(dir, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
