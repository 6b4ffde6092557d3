package sessions

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestPinned keeps the server connection for as long as a session has something there, and no longer.
func TestPinned(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE TABLE kept (a int)")
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].AcquireTimeout = durationpb.New(time.Second)
	_, addr := stage.Start(t, set)
	probe := stage.Connect(t, addr, "postgres")
	for _, c := range []struct {
		name   string
		before string // one statement a line
		keeps  bool
		after  string
	}{
		{"nothing", "SELECT 1", false, ""},
		{"a temporary table", "CREATE TEMP TABLE t (a int)", true, "DROP TABLE t"},
		{"a temporary table until the commit", "BEGIN\nCREATE TEMP TABLE t (a int) ON COMMIT DROP\nCOMMIT", false, ""},
		{"a temporary table that is rolled back", "BEGIN\nCREATE TEMP TABLE t (a int)\nROLLBACK", false, ""},
		{"SELECT INTO", "SELECT 1 INTO TEMP t", true, "DISCARD TEMP"},
		{"a cursor", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", true, "CLOSE c"},
		{"a cursor of the transaction", "BEGIN\nDECLARE c CURSOR FOR SELECT 1\nCOMMIT", false, ""},
		{"a lock", "SELECT pg_advisory_lock(7)", true, "SELECT pg_advisory_unlock(7)"},
		{"a lock of the transaction", "SELECT pg_advisory_xact_lock(7)", false, ""},
		{"two locks", "SELECT pg_advisory_lock(7)\nSELECT pg_advisory_lock(8)\nSELECT pg_advisory_unlock(7)", true, "SELECT pg_advisory_unlock_all()"},
		{"LISTEN", "LISTEN a", true, "UNLISTEN *"},
		{"LISTEN that is rolled back", "BEGIN\nLISTEN a\nROLLBACK", false, ""},
		{"PREPARE", "PREPARE p AS SELECT 1", true, "DEALLOCATE p"},
		{"PREPARE, all", "PREPARE p AS SELECT 1", true, "DEALLOCATE ALL"},
		{"everything", "CREATE TEMP TABLE t (a int)\nLISTEN a\nPREPARE p AS SELECT 1\nSELECT pg_advisory_lock(7)", true, "DISCARD ALL"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			p := stage.Connect(t, addr, "postgres")
			defer p.Close(context.Background())
			keeps := func() bool { return strings.HasPrefix(stage.Ask(probe, "SELECT 1"), "53300") }
			for _, sql := range strings.Split(c.before, "\n") {
				if got := stage.Ask(p, sql); len(got) > 1 {
					t.Fatalf("%s: %s", sql, got)
				}
			}
			if got := keeps(); got != c.keeps {
				t.Errorf("keeps its server connection: %v", got)
			}
			if c.after != "" {
				stage.Ask(p, c.after)
				if keeps() {
					t.Errorf("keeps its server connection after %s", c.after)
				}
			}
		})
	}
}

// leavers are statements that leave something on their server connection, by what that is.
func leavers() map[string]pin.Set {
	return map[string]pin.Set{
		"CREATE TEMP TABLE t (a int)":                        pin.Temporary,
		"SELECT 1 AS a INTO TEMPORARY t":                     pin.Temporary,
		"CREATE TABLE pg_temp.t (a int)":                     pin.Temporary,
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1":            pin.Cursor,
		"SELECT pg_advisory_lock(7)":                         pin.Lock,
		"SELECT pg_try_advisory_lock_shared(7)":              pin.Lock,
		"LISTEN a":                                           pin.Listen,
		"PREPARE p AS SELECT 1":                              pin.Prepared,
		"/* a */ prepare \"p\" (int) AS SELECT $1; SELECT 1": pin.Prepared,
	}
}

// TestPinRefused refuses what would keep the server connection before it is sent, over both protocols.
func TestPinRefused(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].Pin = heliosv1.Pin_PIN_ERROR
	_, addr := stage.Start(t, set)
	c := stage.Connect(t, addr, "postgres")
	refused := func(why pin.Set) string {
		return "0A000 this statement would keep the server connection: " + why.String()
	}
	for sql, why := range leavers() {
		stage.Want(t, c, sql, refused(why))
		stage.Want(t, c, "BEGIN", "")
		stage.Want(t, c, sql, refused(why))
		stage.Want(t, c, "SELECT 1", "25P02 current transaction is aborted, commands ignored until end of transaction block")
		stage.Want(t, c, "ROLLBACK", "")
		if strings.Contains(sql, ";") {
			continue
		}
		_, err := c.Prepare(context.Background(), "s", sql, nil)
		var pe *pgconn.PgError
		if !stage.AsPg(err, &pe) || pe.Code != "0A000" || !strings.HasSuffix(pe.Message, why.String()) {
			t.Errorf("Parse of %s: %v", sql, err)
		}
	}
	for sql, ok := range map[string]bool{
		"SELECT pg_advisory_xact_lock(7)": true, "SELECT 'advisory'": true, "DECLARE c CURSOR FOR SELECT 1": true,
		"SET seed = 0.5": false, "SELECT setseed(0.5)": false, "LOAD 'plpgsql'": false,
	} {
		if got := stage.Ask(c, sql); strings.HasPrefix(got, "0A000") == ok {
			t.Errorf("%s: %s", sql, got)
		}
	}
	for sql, ok := range map[string]bool{
		"SELECT timestamptz 'now'": false, `SELECT E'\x6eow'::timestamptz`: false, "SELECT 'tomorrow 12:00'::timestamp": false,
		"SELECT now()": true, "SELECT 'nowhere'": true, "SELECT 1 AS now": true,
	} {
		if _, err := c.Prepare(context.Background(), "", sql, nil); err != nil {
			t.Errorf("unnamed %s: %v", sql, err)
		}
		_, err := c.Prepare(context.Background(), "m", sql, nil)
		if (err == nil) != ok {
			t.Errorf("%s: %v", sql, err)
		}
		stage.Ask(c, "DEALLOCATE ALL")
	}
	f := pgscript.Dial(t, "tcp", addr)
	f.Login(pgscript.Login{User: "postgres", Database: "postgres"})
	for oid, why := range map[uint32]pin.Set{2880: pin.Lock, 1599: pin.Lasting, 177: 0} { // pg_advisory_lock, setseed, int4pl
		values := [][]byte{[]byte("1")}
		if oid == 177 {
			values = append(values, []byte("2"))
		}
		f.Send(pgscript.FunctionCall(oid, nil, values, 0))
		if got := strings.Join(f.Ready(), " "); strings.Contains(got, refused(why)) != (why != 0) || strings.Contains(got, "V ") != (why == 0) {
			t.Errorf("FunctionCall of %d: %s", oid, got)
		}
	}
}

// TestPinDropped drops what would keep the server connection at the end of the transaction, and says so before
// the answer ends.
func TestPinDropped(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].Pin = heliosv1.Pin_PIN_OFF
	p, addr := stage.Start(t, set)
	left := stage.Connect(t, addr, "postgres")
	for sql, why := range leavers() {
		c := pgscript.Dial(t, "tcp", addr)
		c.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		got := c.Run(pgscript.Query(sql))
		if n := len(got); n < 2 || got[n-1] != "Z I" || !strings.HasPrefix(got[n-2], "N 01000") || !strings.Contains(got[n-2], why.String()) {
			t.Errorf("%s: %q", sql, got)
		}
		stage.Want(t, left, "SELECT count(*) FROM pg_prepared_statements WHERE from_sql", "0")
		stage.Want(t, left, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0")
		stage.Want(t, left, "SELECT count(*) FROM pg_cursors WHERE is_holdable", "0")
		stage.Want(t, left, "SELECT count(*) FROM pg_listening_channels()", "0")
		stage.Want(t, left, "SELECT to_regclass('t') IS NULL", "t")
		if got := c.Run(pgscript.Query("BEGIN")); len(got) != 2 {
			t.Errorf("%s: what comes next is answered with %q", sql, got)
		}
		c.Run(pgscript.Query("ROLLBACK"))
		c.Send(pgscript.Terminate())
		c.Close()
	}
	var dropped uint64
	for _, n := range p.Metrics().Counted.Dropped {
		dropped += n
	}
	if want := uint64(len(leavers())); dropped != want {
		t.Errorf("%d drops are counted, want %d", dropped, want)
	}
}

// TestStatementMode refuses transaction blocks before they are sent.
func TestStatementMode(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_STATEMENT, 1)
	set.Limits["default"].MaxStatementBytes = 100_000
	_, addr := stage.Start(t, set)
	c := stage.Connect(t, addr, "postgres")
	big := "/*" + strings.Repeat("x", 100_000) + "*/"
	const large = "0A000 statements that are larger than max_statement_bytes are not allowed in pool mode statement"
	const no = "0A000 transaction blocks are not allowed in pool mode statement"
	for sql, answer := range map[string]string{
		"BEGIN": no, "start transaction": no, "/* x */ Begin; SELECT 1; COMMIT": no, "SELECT 1; BEGIN": no,
		"SELECT 1": "1", "SELECT 1; SELECT 2": "2", "COMMIT": "", "SELECT 'BEGIN'": "BEGIN",
		big + "BEGIN": large, big + "SELECT 1": large,
	} {
		stage.Want(t, c, sql, answer)
	}
	for _, name := range []string{"", "b"} {
		if _, err := c.Prepare(context.Background(), name, big+"BEGIN", nil); err == nil || !strings.Contains(err.Error(), "max_statement_bytes") {
			t.Errorf("Parse of a large BEGIN as %q: %v", name, err)
		}
	}
	raw := pgscript.Dial(t, "tcp", addr)
	raw.Login(pgscript.Login{User: "postgres", Database: "postgres"})
	got := strings.Join(raw.Run(pgscript.Query("SELECT 1"), pgscript.Query(big+"BEGIN"), pgscript.Query("SELECT 2")), "; ")
	for range 2 {
		got += "; " + strings.Join(raw.Ready(), "; ")
	}
	if !strings.HasSuffix(got, "D 1; C SELECT 1; Z I; E "+large+"; Z I; T ?column?:23; D 2; C SELECT 1; Z I") {
		t.Errorf("a large BEGIN in a pipeline: %s", got)
	}
	if got := strings.Join(raw.Run(pgscript.Parse("", "SELECT length($1::text)"), pgscript.Bind("", "", big), pgscript.Execute("", 0), pgscript.Sync()), "; "); !strings.HasSuffix(got, "D 100004; C SELECT 1; Z I") {
		t.Errorf("a large value: %s", got)
	}
	if _, err := c.Prepare(context.Background(), "b", "BEGIN", nil); err == nil || !strings.Contains(err.Error(), "0A000") {
		t.Errorf("Parse of BEGIN: %v", err)
	}
	stage.Want(t, c, "SELECT 3", "3")
}

// TestParsedInDoubt lets a session go that has prepared a statement while nobody knew what was set, once that is known;
// and keeps one whose statement means what it would mean nowhere else.
func TestParsedInDoubt(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE SCHEMA own; CREATE TABLE own.t AS SELECT 'own'::text AS a; CREATE TABLE public.t AS SELECT 'public'::text AS a")
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_CATALOG
	set.PoolProfiles["default"].AcquireTimeout = durationpb.New(2 * time.Second)
	_, addr := stage.Start(t, set)
	probe := stage.Connect(t, addr, "postgres")
	stage.Eventually(t, 10*time.Second, "the catalogue is read", func() bool { return stage.Ask(probe, "SELECT 1") == "1" })
	for _, c := range []struct {
		first string
		keeps bool
		reads string
	}{
		{"SELECT 1", false, "public"},
		{"DO 'BEGIN END'", false, "public"},
		{"SET work_mem = '1MB'", false, "public"},
		{"SET search_path = own", false, "own"},
		{"SET LOCAL search_path = own", true, "public"}, // PostgreSQL looks names up anew when the search_path is another one
		{"DO $$BEGIN SET LOCAL search_path = own; END$$", true, "public"},
	} {
		p := stage.Connect(t, addr, "postgres")
		stage.Want(t, p, "BEGIN", "")
		stage.Want(t, p, c.first, map[bool]string{true: "1"}[c.first == "SELECT 1"])
		stage.Prepare(t, p, "s", "SELECT a FROM t")
		stage.Want(t, p, "COMMIT", "")
		if got := stage.Ask(probe, "SELECT 1"); strings.HasPrefix(got, "53300") != c.keeps {
			t.Errorf("%s: keeps its server connection: %v, %s", c.first, !c.keeps, got)
		}
		if got := stage.Execute(t, p, "s"); got != c.reads {
			t.Errorf("%s: the statement reads %s, want %s", c.first, got, c.reads)
		}
		p.Close(context.Background())
	}
}

// TestChangeCutOff takes the client away in the middle of a transaction that changes the catalogue: what is suspect until that is
// over is not suspect for ever.
func TestChangeCutOff(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_CATALOG
	p, addr := stage.Start(t, set)
	c := stage.Connect(t, addr, "postgres")
	looks := func() uint64 { return p.Metrics().Counted.Looks }
	sure := func() bool {
		stage.Ask(c, "SELECT 1") // a look comes behind the answer, and before the next statement
		before := looks()
		for range 2 {
			if stage.Ask(c, "SELECT 1") != "1" {
				return false
			}
		}
		return looks() == before
	}
	stage.Eventually(t, 10*time.Second, "the catalogue is read", sure)
	cut := stage.Connect(t, addr, "postgres")
	stage.Want(t, cut, "BEGIN", "")
	stage.Want(t, cut, "CREATE TABLE cut_off (a int)", "")
	if sure() {
		t.Error("nothing is suspect while the catalogue changes")
	}
	cut.Close(context.Background())
	stage.Eventually(t, 10*time.Second, "the catalogue is read again", sure)
}

// TestCannotAsk lets a session that may not read what is set keep its server connection, and with it what it has set.
func TestCannotAsk(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE plain LOGIN; REVOKE ALL ON pg_catalog.pg_settings FROM PUBLIC")
	p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2))
	c, other := stage.Connect(t, addr, "plain"), stage.Connect(t, addr, "plain")
	stage.Want(t, c, "SET work_mem = '1MB'", "")
	stage.Want(t, other, "SHOW work_mem", "4MB")
	stage.Want(t, c, "SHOW work_mem", "1MB")
	var unknown uint64
	for i, reason := range pin.Unknown.All() {
		if unknown = p.Metrics().Counted.Pinned[i]; unknown != 1 {
			t.Errorf("%d sessions are counted that keep their server connection by reason %s, want 1", unknown, reason)
		}
	}
}
