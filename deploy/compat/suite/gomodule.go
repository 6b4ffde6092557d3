package suite

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/deploy/compat/outcome"
	"github.com/heliosproxy/heliosproxy/deploy/compat/stage"
	"github.com/heliosproxy/heliosproxy/deploy/compat/wedge"
)

// A goModule is the tests that come with a Go module, as the module proxy has it.
type goModule struct {
	name, path, version string
	env                 func(*stage.Stage) []string
	offline             []string // packages that talk to no server, by how their path in the module begins
	long                []string // packages that a short run leaves out, likewise

	packages []goPackage
}

// A goPackage is a package that has tests, compiled.
type goPackage struct {
	path   string // in the module, empty for the module's root
	dir    string
	binary string
}

// begins says whether the package's path begins with one of these.
func (p goPackage) begins(with []string) bool {
	return slices.ContainsFunc(with, func(start string) bool { return strings.HasPrefix(p.path, start) })
}

// prefix is what its tests' names begin with.
func (p goPackage) prefix() string {
	if p.path == "" {
		return ""
	}
	return p.path + "."
}

func (m *goModule) Name() string    { return m.name }
func (m *goModule) Version() string { return m.path + " " + m.version }

// Load returns nil: what a Go driver can do to wedge a proxy is in package wedge.
func (m *goModule) Load() wedge.Load { return nil }

// Prepare copies the module out of the cache, which cannot be written to, and compiles its tests. Without their path, so that the next
// compilation finds this one in the cache.
func (m *goModule) Prepare(ctx context.Context, dir string) error {
	out, err := run(ctx, dir, "go", "mod", "download", "-json", m.path+"@"+m.version)
	if err != nil {
		return err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return fmt.Errorf("go mod download -json: %w", err)
	}
	source := filepath.Join(dir, "source")
	if _, err := run(ctx, dir, "cp", "-r", "--no-preserve=mode", module.Dir, source); err != nil {
		return err
	}
	if out, err = run(ctx, source, "go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}\t{{.Dir}}{{end}}", "./..."); err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		importPath, packageDir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		p := goPackage{dir: packageDir, binary: filepath.Join(dir, strconv.Itoa(len(m.packages))+".test")}
		p.path = strings.TrimPrefix(strings.TrimPrefix(importPath, m.path), "/")
		if p.begins(m.offline) {
			continue
		}
		if _, err := run(ctx, source, "go", "test", "-c", "-trimpath", "-o", p.binary, importPath); err != nil {
			return err
		}
		m.packages = append(m.packages, p)
	}
	return nil
}

// Run runs package after package. Where a test hangs or takes the binary with it, the tests that have not had their turn are run
// in another one, and those that were running beside it each in one of its own.
func (m *goModule) Run(ctx context.Context, s *stage.Stage, pick Pick) ([]outcome.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	var all []outcome.Outcome
	for _, p := range m.packages {
		only := within(p.prefix(), pick.Only)
		if pick.Short && p.begins(m.long) || pick.Some && len(only) == 0 {
			continue
		}
		for _, part := range parts(only, within(p.prefix(), pick.Skip), within(p.prefix(), pick.Apart)) {
			outcomes, err := m.runPackage(ctx, s, p, part)
			if err != nil {
				return nil, fmt.Errorf("package %q: %w", p.path, err)
			}
			all = append(all, outcomes...)
		}
	}
	return all, nil
}

// A part of a package's tests is what one binary runs.
type part struct {
	only, skip []string // none but these if there are any, and not those
	parallel   int
}

// parts returns the tests of a package in the order in which they are run.
func parts(only, skip, apart []string) []part {
	behind := slices.DeleteFunc(slices.Clone(apart), func(test string) bool {
		return slices.Contains(skip, test) || len(only) > 0 && !slices.Contains(only, test)
	})
	// As many at once on every machine: on two processors two tests that hang would keep all others from running.
	all := []part{{only: only, skip: slices.Concat(skip, behind), parallel: 8}}
	if len(behind) > 0 {
		all = append(all, part{only: behind, parallel: 1})
	}
	return all
}

func (m *goModule) runPackage(ctx context.Context, s *stage.Stage, p goPackage, tests part) ([]outcome.Outcome, error) {
	var all []outcome.Outcome
	for {
		progress, why, err := m.runBinary(ctx, s, p, tests)
		if err != nil {
			return nil, err
		}
		now := progress.Ended()
		progress.GiveUp(cmp.Or(why, "the test binary ended in this test"))
		outcomes := progress.Outcomes(p.prefix())
		ended := progress.Ended()
		tests.skip = append(tests.skip, ended...)
		if len(now) == len(ended) {
			return append(all, outcomes...), nil // nothing was given up: it has run to its end
		}
		if ctx.Err() != nil {
			return append(all, outcomes...), ctx.Err()
		}
		if why == "" && len(tests.only) != 1 { // one of them has taken the others with it
			given := slices.DeleteFunc(ended, func(test string) bool { return slices.Contains(now, test) })
			outcomes = slices.DeleteFunc(outcomes, func(o outcome.Outcome) bool {
				return slices.Contains(given, top(strings.TrimPrefix(o.Test, p.prefix())))
			})
			for _, test := range given {
				one, err := m.runPackage(ctx, s, p, part{only: []string{test}, parallel: 1})
				if err != nil {
					return nil, err
				}
				outcomes = append(outcomes, one...)
			}
		}
		all = append(all, outcomes...)
	}
}

// runBinary runs a part of a package's tests. The text says why it was stopped, if it was.
func (m *goModule) runBinary(ctx context.Context, s *stage.Stage, p goPackage, tests part) (*outcome.GoTest, string, error) {
	args := []string{"tool", "test2json", "-t", p.binary, "-test.v=test2json", "-test.timeout=0", fmt.Sprintf("-test.parallel=%d", tests.parallel)}
	if len(tests.only) > 0 {
		args = append(args, "-test.run="+oneOf(tests.only))
	}
	if len(tests.skip) > 0 {
		args = append(args, "-test.skip="+oneOf(tests.skip))
	}
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = p.dir, append(s.Env(), m.env(s)...)

	var mu sync.Mutex
	progress := &outcome.GoTest{Last: time.Now()}
	why, err := watched(ctx, cmd, func(r io.Reader) {
		in := bufio.NewReader(r)
		for {
			line, err := in.ReadBytes('\n')
			mu.Lock()
			progress.Line(line)
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}, func() string {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(progress.Last) > silence {
			return fmt.Sprintf("nothing heard for %v: stopped", silence)
		}
		return ""
	})
	return progress, why, err
}

// oneOf is a pattern for these names and no other.
func oneOf(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}

// within returns the top-level tests that the names of tests, each with prefix, belong to.
func within(prefix string, names []string) []string {
	var out []string
	for _, name := range names {
		test, ok := strings.CutPrefix(name, prefix)
		if test = top(test); ok && !strings.Contains(test, ".") {
			out = append(out, test)
		}
	}
	return out
}

// top returns the top-level test that a test is part of.
func top(test string) string {
	test, _, _ = strings.Cut(test, "/")
	return test
}

func pgxEnv(s *stage.Stage) []string {
	tcp := s.DSN("pgx_test")
	return []string{
		"PGX_TEST_DATABASE=" + tcp,
		"PGX_TEST_TCP_CONN_STRING=" + tcp,
		fmt.Sprintf("PGX_TEST_UNIX_SOCKET_CONN_STRING=host=%s port=%d user=postgres dbname=pgx_test", s.SocketDir(), s.Port),
		"PGUSER=postgres", "PGDATABASE=pgx_test",
	}
}

func pqEnv(*stage.Stage) []string {
	return []string{"PGUSER=pqgo", "PGDATABASE=pqgo", "PGHOST=localhost"} // some tests compare the host's name
}
