package e2e

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// A shaper changes the columns of a table for as long as the test wants.
type shaper struct {
	changes atomic.Int64
	stop    func()
}

// reshape makes the table shaped(id, v, w) with 100 rows and goes on changing it, over a connection of its own: columns come, change
// their type and go. The value of v in row n is n as an int, 't' and n as a text, or a bigint with a mark of its own, as its
// type is: so a value shows which type it was made by.
func reshape(t testing.TB, server *pgcluster.Server, dsn string) *shaper {
	t.Helper()
	server.Exec(t, "drop table if exists shaped", "create table shaped(id int primary key, v int)", "insert into shaped select g, g from generate_series(1, 100) g")
	ctx := context.WithoutCancel(t.Context()) // a change under way is not left to itself, to be made in the next table of that name
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	s, over, done := &shaper{}, make(chan struct{}), make(chan struct{})
	s.stop = sync.OnceFunc(func() {
		close(over)
		<-done
	})
	go func() {
		defer close(done)
		defer conn.Close(ctx)
		for {
			for _, ddl := range []string{
				"alter table shaped alter v type text using 't' || id",
				"alter table shaped add w int default 7",
				"alter table shaped alter v type bigint using " + bigMark + " + id",
				"alter table shaped drop w",
				"alter table shaped alter v type int using id",
			} {
				if _, err := conn.Exec(ctx, ddl); err != nil {
					t.Errorf("%s: %v", ddl, err)
					return
				}
				s.changes.Add(1)
				select {
				case <-over:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		}
	}()
	t.Cleanup(s.stop)
	return s
}

// bigMark is what is added to a bigint: neither half of such a number is that of an int, and its bytes are no text.
const bigMark = "(1::bigint << 40)"

// TestShapesPgbench: pgbench, which prepares and never asks what it will get, sees no error while the table that it selects from gets
// columns and other types. Directly it does.
func TestShapesPgbench(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	proxy := StartProxy(t, server, Options{MaxConnections: 4})
	script := writeFile(t, "select.sql", "\\set id random(1, 100)\nselect * from shaped where id = :id;\n")
	load := []string{"-n", "-M", "prepared", "-c", "8", "-j", "2", "-T", full("30", "3"), "-f", script}
	for by, changer := range map[string]string{"changed directly": server.DSN("postgres", "postgres"), "changed through the proxy": proxy.DSN("postgres", "postgres")} {
		t.Run(strings.ReplaceAll(by, " ", "_"), func(t *testing.T) {
			s := reshape(t, server, changer)
			pgbench(t, proxy, load...)
			s.stop()
			if n := s.changes.Load(); n < 20 {
				t.Errorf("%d changes: nothing was tested", n)
			}
			t.Logf("%d changes", s.changes.Load())
		})
	}
	s := reshape(t, server, server.DSN("postgres", "postgres"))
	out, err := try(t, Direct(server), "pgbench", load...)
	s.stop()
	if err == nil || !strings.Contains(out, "cached plan must not change result type") {
		t.Errorf("directly there is no error: the load does not show what it is for\n%s", out)
	}
}
