// Package suite has the test suites: what each is made of, how it is prepared, and how it is run once against a stage. It never
// judges what came out.
package suite

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/heliosproxy/heliosproxy/deploy/compat/outcome"
	"github.com/heliosproxy/heliosproxy/deploy/compat/stage"
	"github.com/heliosproxy/heliosproxy/deploy/compat/wedge"
)

// How long a suite may be silent, after which what it was at is failed and the rest goes on, and how long it may take as a whole.
const (
	silence = 60 * time.Second
	longest = 15 * time.Minute
)

// A Suite is a set of tests that is run as a whole.
type Suite interface {
	// Name is what reasons and tables call it.
	Name() string
	// Prepare gets what the suite needs into dir, an empty directory of its own that stays until the suite is done with. It is
	// called once.
	Prepare(ctx context.Context, dir string) error
	// Version says what was prepared: the driver's version and what is worth knowing besides.
	Version() string
	// Load returns a load for package wedge, or nil.
	Load() wedge.Load
	// Run runs the picked tests once. An error means that it could not be run, not that tests have failed.
	Run(ctx context.Context, s *stage.Stage, pick Pick) ([]outcome.Outcome, error)
}

// A Pick says which tests of a suite are run. The zero value is all of them. Tests have the names of their outcomes; a subtest stands
// for the whole test.
type Pick struct {
	Skip  []string // all but these
	Apart []string // behind all others and one at a time, for what others must not be disturbed by, or would disturb
	Only  []string // none but these, if Some
	Some  bool
	Short bool // leave out what takes long and has little to do with the protocol
}

// All returns every suite. The files are those of the shared program: scenarios.txt, and a folder a driver.
func All(files fs.FS) []Suite {
	const jdbc = "/usr/share/java/postgresql.jar"
	node := map[string]string{"node": "nodejs", "npm": "npm"}
	versions := func(packages string) []string {
		return []string{"node", "-p", "'node ' + process.version + '" + packages + "'.replace(/ ([^ ]+)/g, (_, p) => ` ${p} ` + JSON.parse(fs.readFileSync(`node_modules/${p}/package.json`)).version)"}
	}
	return []Suite{
		&goModule{
			name: "pgx", path: "github.com/jackc/pgx/v5", version: "v5.12.0", env: pgxEnv,
			offline: []string{"pgproto3", "internal/", "pgconn/internal/", "pgconn/ctxwatch"}, long: []string{"pgtype"},
		},
		&goModule{name: "pq", path: "github.com/lib/pq", version: "v1.12.3", env: pqEnv},
		&program{
			name: "psycopg", folder: "python", files: files,
			needed: map[string]string{"/usr/bin/python3": "python3", "/usr/lib/python3/dist-packages/psycopg": "python3-psycopg"},
			start:  []string{"/usr/bin/python3", "scenarios.py"},
			told:   []string{"/usr/bin/python3", "-c", "import psycopg; print('psycopg', psycopg.__version__, 'libpq', psycopg.pq.version())"},
			load:   []string{"/usr/bin/python3", "wedge.py"}, loadName: "libpq's pipeline mode",
		},
		&program{
			name: "jdbc", folder: "jdbc", files: files,
			needed: map[string]string{"javac": "default-jdk-headless", jdbc: "libpostgresql-jdbc-java"},
			build:  []string{"javac", "-cp", jdbc, "Scenarios.java", "Wedge.java"},
			start:  []string{"java", "-cp", ".:" + jdbc, "Scenarios"},
			told:   []string{"dpkg-query", "-W", "libpostgresql-jdbc-java"},
			load:   []string{"java", "-cp", ".:" + jdbc, "Wedge"}, loadName: "JDBC batches",
		},
		&program{
			name: "node-postgres", folder: "node", files: files, needed: node,
			build: []string{"npm", "ci", "--no-audit", "--no-fund"},
			start: []string{"node", "--no-deprecation", "pg.mjs"},
			told:  versions(" pg pg-cursor pg-copy-streams"),
		},
		&program{
			name: "postgres.js", folder: "node", files: files, needed: node,
			build: []string{"npm", "ci", "--no-audit", "--no-fund"},
			start: []string{"node", "postgres.mjs"},
			told:  versions(" postgres"),
			load:  []string{"node", "wedge.mjs"}, loadName: "postgres.js, 100 in flight",
		},
	}
}

// run runs a program to its end; the error holds what it said.
func run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return out, nil
}

// watched runs a program with all that it starts, hands its output to line, and kills it when stopped says so, which is asked every
// second, or when ctx ends. The text says why it was killed; it is empty if the program has ended by itself, whatever its status.
func watched(ctx context.Context, cmd *exec.Cmd, consume func(io.Reader), stopped func() string) (why string, err error) {
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second // for a grandchild that keeps the pipe
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its status says no more than its output
		w.Close()
	}()
	go func() {
		defer close(read)
		consume(r)
		_, _ = io.Copy(io.Discard, r)
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-read:
			<-ended
			return why, nil
		case <-ctx.Done():
			why = ctx.Err().Error()
		case <-tick.C:
			if why == "" {
				why = stopped()
			}
		}
		if why != "" {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-read
			<-ended
			return why, nil
		}
	}
}
