package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/deploy/compat/outcome"
	"github.com/heliosproxy/heliosproxy/deploy/compat/stage"
	"github.com/heliosproxy/heliosproxy/deploy/compat/wedge"
)

// A program is the scenarios of scenarios.txt in a driver's idiom.
type program struct {
	name, folder string
	files        fs.FS             // has scenarios.txt, and the folder
	needed       map[string]string // see install
	build        []string          // run once in the folder's copy; may be empty
	start        []string          // names of scenarios to leave out are appended
	told         []string          // prints the versions, one line
	load         []string          // starts the load for wedge, if there is one
	loadName     string

	dir, version string
	scenarios    []string
}

func (p *program) Name() string    { return p.name }
func (p *program) Version() string { return p.version }

// Prepare installs what is missing, and copies and builds the program.
func (p *program) Prepare(ctx context.Context, dir string) error {
	text, err := fs.ReadFile(p.files, "scenarios.txt")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			p.scenarios = append(p.scenarios, line)
		}
	}
	if err := install(ctx, p.needed); err != nil {
		return err
	}
	folder, err := fs.Sub(p.files, p.folder)
	if err != nil {
		return err
	}
	p.dir = filepath.Join(dir, p.folder)
	if err := os.CopyFS(p.dir, folder); err != nil {
		return err
	}
	if len(p.build) > 0 {
		if _, err := run(ctx, p.dir, p.build[0], p.build[1:]...); err != nil {
			return err
		}
	}
	version, err := run(ctx, p.dir, p.told[0], p.told[1:]...)
	p.version = strings.TrimSpace(string(version))
	return err
}

// Load returns the driver's load, nil if it has none. The suite has to be prepared.
func (p *program) Load() wedge.Load {
	if p.load == nil {
		return nil
	}
	return wedge.Program{Label: p.loadName, Dir: p.dir, Start: p.load}
}

// Run plays the picked scenarios. One that the program does not tell of has failed; one that is not on the list is an error.
func (p *program) Run(ctx context.Context, s *stage.Stage, pick Pick) ([]outcome.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	skip := slices.Clone(pick.Skip)
	for _, name := range p.scenarios {
		if pick.Some && !slices.Contains(pick.Only, name) {
			skip = append(skip, name)
		}
	}
	cmd := exec.Command(p.start[0], append(p.start[1:len(p.start):len(p.start)], skip...)...)
	cmd.Dir, cmd.Env = p.dir, append(s.Env(), "PGUSER=postgres", "PGDATABASE=compat")

	var mu sync.Mutex
	last := time.Now()
	var outcomes []outcome.Outcome
	var noise string
	var broken error
	why, err := watched(ctx, cmd, func(r io.Reader) {
		heard := func() {
			mu.Lock()
			defer mu.Unlock()
			last = time.Now()
		}
		outcomes, noise, broken = outcome.Lines(listener{r, heard})
	}, func() string {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) > 2*silence { // a scenario gives itself up after one silence
			return fmt.Sprintf("nothing heard for %v: stopped", 2*silence)
		}
		return ""
	})
	if err := errors.Join(err, broken, ctx.Err()); err != nil {
		return nil, err
	}
	for _, o := range outcomes {
		if !slices.Contains(p.scenarios, o.Test) {
			return nil, fmt.Errorf("%s is not in scenarios.txt", o.Test)
		}
	}
	for _, name := range p.scenarios {
		told := slices.ContainsFunc(outcomes, func(o outcome.Outcome) bool { return o.Test == name })
		if !told && !slices.Contains(skip, name) {
			outcomes = append(outcomes, outcome.Outcome{Test: name, Result: outcome.Failed, Why: "not told of\n" + why + "\n" + noise})
		}
	}
	return outcomes, nil
}

// A listener is a reader that says when something was read.
type listener struct {
	io.Reader
	heard func()
}

func (l listener) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	l.heard()
	return n, err
}

// install installs the Debian packages of what is missing. Needed is a path, or a program's name, with the package that has it.
func install(ctx context.Context, needed map[string]string) error {
	var missing []string
	for what, debian := range needed {
		if _, err := exec.LookPath(what); err != nil && !exists(what) {
			missing = append(missing, debian)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var sudo []string
	if os.Geteuid() != 0 {
		sudo = []string{"sudo"}
	}
	for _, args := range [][]string{
		{"apt-get", "update", "-q"},
		append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q", "--no-install-recommends"}, missing...),
	} {
		args = append(slices.Clone(sudo), args...)
		if _, err := run(ctx, "/", args[0], args[1:]...); err != nil {
			return fmt.Errorf("install %s: %w", strings.Join(missing, ", "), err)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
