package sessions

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestStatementKey has statements whose text means something else under other settings.
func TestStatementKey(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	const sql = "SELECT extract(epoch FROM timestamptz '01.02.2020 00:00')::bigint"
	a := stage.Connect(t, addr, "postgres", "TimeZone", "Asia/Tokyo", "DateStyle", "German")
	b := stage.Connect(t, addr, "postgres", "TimeZone", "America/New_York", "DateStyle", "ISO, MDY")
	stage.Prepare(t, a, "s", sql)
	stage.Prepare(t, b, "s", sql)
	at := func(y int, m time.Month, d, h int) string {
		return strconv.FormatInt(time.Date(y, m, d, h, 0, 0, 0, time.UTC).Unix(), 10)
	}
	for range 2 {
		if got, want := stage.Execute(t, a, "s"), at(2020, 1, 31, 15); got != want {
			t.Errorf("Tokyo, German: %s, want %s", got, want)
		}
		if got, want := stage.Execute(t, b, "s"), at(2020, 1, 2, 5); got != want {
			t.Errorf("New York, MDY: %s, want %s", got, want)
		}
	}
	stage.Prepare(t, a, "n1", "SELECT 'now'::timestamptz::text")
	first := stage.Execute(t, a, "n1")
	<-time.After(1100 * time.Millisecond)
	stage.Prepare(t, a, "n2", "SELECT 'now'::timestamptz::text")
	if again, second := stage.Execute(t, a, "n1"), stage.Execute(t, a, "n2"); again != first || second == first {
		t.Errorf("now: %s, again %s, prepared a second later %s", first, again, second)
	}
}

// TestStatementMoves executes a statement on another server connection than it was parsed on, after the
// session has changed a setting that parsing reads.
func TestStatementMoves(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2))
	const sql = "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00')::bigint"
	direct := stage.Connect(t, pg.Primary.Addr(), "postgres")
	c := stage.Connect(t, addr, "postgres")
	for _, x := range []*pgconn.PgConn{direct, c} {
		stage.Prepare(t, x, "s", sql)
	}
	pid := stage.Ask(c, "SELECT pg_backend_pid()")
	for _, x := range []*pgconn.PgConn{direct, c} {
		stage.Want(t, x, "SET TimeZone = 'Asia/Tokyo'", "")
	}
	other, third := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	for _, x := range []*pgconn.PgConn{other, third} { // both server connections
		stage.Want(t, x, "BEGIN", "")
	}
	if stage.Ask(other, "SELECT pg_backend_pid()") != pid {
		other, third = third, other
	}
	stage.Want(t, other, "SELECT pg_backend_pid()", pid)
	stage.Want(t, third, "COMMIT", "")
	if got, want := stage.Execute(t, c, "s"), stage.Execute(t, direct, "s"); got != want {
		t.Errorf("on a second server connection: %s, PostgreSQL says %s", got, want)
	}
	stage.Want(t, c, "SHOW TimeZone", "Asia/Tokyo")
	if got := stage.Ask(c, "SELECT pg_backend_pid()"); got == pid {
		t.Error("the session was not on a second server connection")
	}
	stage.Want(t, other, "COMMIT", "")
}

// TestManyStatements has 50 sessions with 40 statements each go through server connections that hold 100.
func TestManyStatements(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3))
	const each = 40
	stop, most := make(chan struct{}), 0
	var wg sync.WaitGroup
	watcher := stage.Connect(t, addr, "postgres")
	wg.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
				if n, err := strconv.Atoi(stage.Ask(watcher, "SELECT count(*) FROM pg_prepared_statements")); err == nil {
					most = max(most, n)
				}
			}
		}
	})
	var sessions sync.WaitGroup
	for s := range 50 {
		c := stage.Connect(t, addr, "postgres")
		sessions.Go(func() {
			for i := range each {
				name := fmt.Sprintf("s%d", i)
				if _, err := c.Prepare(context.Background(), name, fmt.Sprintf("SELECT %d + $1::int", s*each+i), nil); err != nil {
					t.Errorf("session %d: %v", s, err)
					return
				}
			}
			for i := range each {
				r := c.ExecPrepared(context.Background(), fmt.Sprintf("s%d", i), [][]byte{[]byte("7")}, nil, nil).Read()
				if r.Err != nil || string(r.Rows[0][0]) != strconv.Itoa(s*each+i+7) {
					t.Errorf("session %d, statement %d: %v", s, i, r.Err)
					return
				}
			}
		})
	}
	sessions.Wait()
	close(stop)
	wg.Wait()
	if most == 0 || most > 100 {
		t.Errorf("a server connection held %d statements, want 1 to 100", most)
	}
}

// TestStatementLimits runs into the bounds of one session.
func TestStatementLimits(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.Limits["default"].MaxPreparedStatements, set.Limits["default"].MaxPreparedBytes = 3, 100
	_, addr := stage.Start(t, set)
	c := stage.Connect(t, addr, "postgres")
	for i := range 3 {
		stage.Prepare(t, c, fmt.Sprintf("s%d", i), "SELECT 1")
	}
	_, err := c.Prepare(context.Background(), "more", "SELECT 2", nil)
	var pe *pgconn.PgError
	if !stage.AsPg(err, &pe) || pe.Code != "53400" {
		t.Errorf("a fourth statement: %v", err)
	}
	stage.Want(t, c, "BEGIN", "")
	if err := c.Deallocate(context.Background(), "s0"); err != nil {
		t.Fatal(err)
	}
	long := fmt.Sprintf("SELECT '%0100d'", 1)
	if _, err = c.Prepare(context.Background(), "long", long, nil); !stage.AsPg(err, &pe) || pe.Code != "53400" {
		t.Errorf("too many bytes: %v", err)
	}
	stage.Want(t, c, "SELECT 1", "25P02 current transaction is aborted, commands ignored until end of transaction block")
	stage.Want(t, c, "ROLLBACK", "")
	stage.Prepare(t, c, "s3", "SELECT 3")
	if got := stage.Execute(t, c, "s3"); got != "3" {
		t.Errorf("after the refusals: %s", got)
	}
}

// TestPgxPool runs pgx's pool as applications do.
func TestPgxPool(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE TABLE acc (id int PRIMARY KEY, n int); INSERT INTO acc SELECT g, 0 FROM generate_series(1, 50) g")
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 5))
	cfg, err := pgxpool.ParseConfig(fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable&pool_max_conns=50", addr))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var wg sync.WaitGroup
	for g := range 50 {
		wg.Go(func() {
			for i := range 15 {
				err := pgx.BeginFunc(ctx, p, func(tx pgx.Tx) error {
					if _, err := tx.Exec(ctx, "UPDATE acc SET n = n + $1 WHERE id = $2", 1, g+1); err != nil {
						return err
					}
					var n int
					return tx.QueryRow(ctx, "SELECT n FROM acc WHERE id = $1", g+1).Scan(&n)
				})
				var n int
				if err == nil {
					err = p.QueryRow(ctx, "SELECT n FROM acc WHERE id = $1", g+1).Scan(&n)
				}
				if err != nil || n != i+1 {
					t.Errorf("goroutine %d: n is %d, want %d: %v", g, n, i+1, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestPlannedApart: what a function that is declared immutable reads is a constant of a plan. Sessions that have other custom parameters,
// or write values otherwise, do not share it.
func TestPlannedApart(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE FUNCTION tenant() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN current_setting('app.x', true); END$$",
		"CREATE TABLE kept (t text, v text)", "INSERT INTO kept VALUES ('a', 'of a'), ('b', 'of b')")
	for _, guard := range []heliosv1.LeakGuard{heliosv1.LeakGuard_LEAK_GUARD_TEXT, heliosv1.LeakGuard_LEAK_GUARD_CATALOG} {
		set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
		set.PoolProfiles["default"].LeakGuard = guard
		_, addr := stage.Start(t, set)
		a, b := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
		stage.Want(t, a, "SET app.x = 'a'", "")
		stage.Want(t, b, "SET app.x = 'b'", "")
		stage.Want(t, b, "SET bytea_output = escape", "")
		stage.Want(t, b, "SET extra_float_digits = -10", "")
		for i, q := range []struct{ text, a, b string }{
			{"SELECT v FROM kept WHERE t = tenant()", "of a", "of b"},
			{"SELECT 'abc'::bytea::text", `\x616263`, "abc"},
			{"SELECT (0.1::float8 * 3)::text", "0.30000000000000004", "0.3"},
		} {
			name := fmt.Sprint("s", i)
			for range 2 {
				for _, x := range []struct {
					c    *pgconn.PgConn
					want string
				}{{a, q.a}, {b, q.b}} {
					if _, err := x.c.Prepare(t.Context(), name, q.text, nil); err != nil {
						t.Fatal(err)
					}
					r := x.c.ExecPrepared(t.Context(), name, nil, nil, nil).Read()
					if r.Err != nil || string(r.Rows[0][0]) != x.want {
						t.Errorf("%v, %s: got %q, %v; want %q", guard, q.text, r.Rows, r.Err, x.want)
					}
					stage.Want(t, x.c, "DEALLOCATE "+name, "")
				}
			}
		}
	}
}
