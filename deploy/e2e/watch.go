package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// clientBackends is a part of a query: the connections that a server has from a proxy. The tests' own are left out: they come
// through the unix socket, whose client_port is -1, or are the watcher's. So is the one that reads the catalogue, which is no
// session's and beside the cap.
const clientBackends = " from pg_stat_activity where backend_type = 'client backend' and client_port <> -1" +
	" and application_name not in ('" + pgcluster.OwnConnections + "', 'heliosproxy catalog')"

// WatchMost samples a value until the returned function is called, which gives the largest value seen.
func WatchMost(every time.Duration, sample func() int) (stop func() int) {
	done, most := make(chan struct{}), make(chan int)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		top := 0
		for {
			select {
			case <-done:
				most <- top
				return
			case <-tick.C:
				top = max(top, sample())
			}
		}
	}()
	return func() int { close(done); return <-most }
}

// WatchConnections samples every 5 ms how many client connections a server has.
func WatchConnections(t testing.TB, s *pgcluster.Server) (stop func() int) {
	t.Helper()
	conn := s.Connect(t, "postgres", "postgres")
	return WatchMost(5*time.Millisecond, func() int {
		var n int
		if err := conn.QueryRow(context.Background(), "select count(*)"+clientBackends).Scan(&n); err != nil {
			t.Errorf("count connections: %v", err)
		}
		return n
	})
}

// WatchMemory samples the memory of a proxy, in bytes.
func WatchMemory(t testing.TB, p *Proxy) (stop func() int) {
	return WatchMost(20*time.Millisecond, func() int { return p.Memory(t) })
}

// postgresProgram returns the path of one of PostgreSQL's programs that belongs to the newest version.
func postgresProgram(t testing.TB, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the only error is a bad pattern
	best, version := name, 0
	for _, path := range found {
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))); err == nil && v > version {
			best, version = path, v
		}
	}
	return best
}

// full says whether a test runs in full length, as the figures of the project's claims need, or in the short form.
func full[T any](whole, short T) T {
	if testing.Short() {
		return short
	}
	return whole
}

// writeFile writes a file of the test and returns its path.
func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
