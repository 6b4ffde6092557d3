package lookup

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// start runs a reader for the length of a test.
func start(t testing.TB, target *backend.Target, o Options) *Reader {
	t.Helper()
	g, err := reactor.NewGroup(1, reactor.Options{Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(g.Loops()[0], target, o)
	g.Start()
	t.Cleanup(g.Stop)
	return r
}

func target(s *pgcluster.Server, user string) *backend.Target {
	return &backend.Target{
		Node: "n1", Host: s.Host(), Port: s.Port(), Database: "postgres", User: user, Secret: backend.NewSecret(user, ""),
		Timeout: 10 * time.Second, MaxStatements: 10, MaxStatementBytes: 1 << 20,
	}
}

// await waits until a text reaches what is wanted.
func await(t testing.TB, j catalog.Judge, sql string, want catalog.Reach) {
	t.Helper()
	f, err := sqlparse.Parse(sql)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for {
		got, _ := j.Judge(f)
		if got == want {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: reaches %s (%s), want %s", sql, words(got), j.Why(f), words(want))
		}
	}
}

// reaches is what a text reaches now.
func reaches(t testing.TB, j catalog.Judge, sql string) catalog.Reach {
	t.Helper()
	f, err := sqlparse.Parse(sql)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := j.Judge(f)
	return r
}

// TestReader reads a catalogue as an ordinary user whose search_path leads to impostors, and follows changes.
func TestReader(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, "CREATE ROLE u LOGIN; CREATE SCHEMA evil AUTHORIZATION u; ALTER ROLE u SET search_path = evil, pg_catalog; ALTER ROLE u SET statement_timeout = '20ms'",
		"CREATE TABLE evil.pg_proc (oid oid); CREATE FUNCTION evil.count() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'",
		"CREATE FUNCTION evil.equal(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT false'; CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.equal)",
		"CREATE FUNCTION written() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'", "CREATE TABLE plain (id int)",
		"GRANT SELECT ON plain TO u")
	r := start(t, target(pg, "u"), Options{})
	h := r.Handle
	if got := reaches(t, h, "SELECT upper('a')"); got != suspect {
		t.Errorf("before the catalogue was read a statement reaches %s", words(got))
	}
	await(t, h, "SELECT upper('a') FROM plain", harmless)
	await(t, h, "SELECT written()", suspect)

	done := h.Change()
	pg.Exec(t, "ALTER TABLE plain ADD d int DEFAULT written()")
	if got := reaches(t, h, "SELECT 1"); got != suspect {
		t.Errorf("while the catalogue is changed a statement reaches %s", words(got))
	}
	done()
	if got := reaches(t, h, "SELECT 1"); got != suspect {
		t.Errorf("after a change, before the next reading, a statement reaches %s", words(got))
	}
	await(t, h, "SELECT 1", harmless)
	if got := reaches(t, h, "INSERT INTO plain VALUES (1)"); got != suspect {
		t.Errorf("with a default that calls a function an INSERT reaches %s", words(got))
	}
	if s := r.Stats(); s.Readings != 2 || s.Looks != 2 || !s.Known || s.Bytes == 0 {
		t.Errorf("after two readings: %+v", s)
	}
	rows := pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'u'")
	if rows[0][0] > "1" {
		t.Errorf("%s connections are open when nothing is read", rows[0][0])
	}
	r.Close()
	await(t, h, "SELECT 1", suspect)
}

// TestPeriod sees what is changed elsewhere, and does not read what has not changed.
func TestPeriod(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, "CREATE FUNCTION written() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; CREATE TABLE plain (id int)")
	r := start(t, target(pg, "postgres"), Options{Period: 10 * time.Millisecond})
	await(t, r.Handle, "INSERT INTO plain VALUES (1)", harmless)
	epoch := r.Handle.Epoch()
	awaitStats(t, r, func(s Stats) bool { return s.Looks >= 4 })
	if s := r.Stats(); s.Readings != 1 || r.Handle.Epoch() != epoch {
		t.Errorf("of a catalogue that does not change: %+v, epoch %d after %d", s, r.Handle.Epoch(), epoch)
	}
	pg.Exec(t, "ALTER TABLE plain ADD d int DEFAULT written()")
	await(t, r.Handle, "INSERT INTO plain VALUES (1)", suspect)
	if r.Handle.Epoch() == epoch {
		t.Error("the answer is another one in the same epoch")
	}
	pg.Exec(t, "ALTER TABLE plain DROP d")
	await(t, r.Handle, "INSERT INTO plain VALUES (1)", harmless)
}

// TestFailure loses the server: nothing is known while it is away.
func TestFailure(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	r := start(t, target(pg, "postgres"), Options{Period: 10 * time.Millisecond})
	await(t, r.Handle, "SELECT 1", harmless)
	pg.Kill(t)
	await(t, r.Handle, "SELECT 1", suspect)
	if s := r.Stats(); s.Failures == 0 || s.Known || s.Bytes != 0 {
		t.Errorf("without the server: %+v", s)
	}
	pg.Start(t)
	await(t, r.Handle, "SELECT 1", harmless)

	wrong := start(t, target(pg, "nobody"), Options{})
	reaches(t, wrong.Handle, "SELECT 1")
	awaitStats(t, wrong, func(s Stats) bool { return s.Failures > 0 })
	if wrong.Handle.Coming() {
		t.Error("a catalogue that cannot be read is to be waited for")
	}
	wrong.Use(target(pg, "postgres"))
	await(t, wrong.Handle, "SELECT 1", harmless)
}

// TestIdle forgets the catalogue of a database that nobody uses, and reads it again when it is asked.
func TestIdle(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	var used atomic.Bool
	used.Store(true)
	r := start(t, target(pg, "postgres"), Options{Period: 10 * time.Millisecond, Active: used.Load})
	await(t, r.Handle, "SELECT 1", harmless)
	used.Store(false)
	awaitStats(t, r, func(s Stats) bool { return !s.Known })
	looks := r.Stats().Looks
	if _, known := r.Handle.Known(); known {
		t.Error("a catalogue that is forgotten is known")
	}
	used.Store(true)
	if _, ok := r.Handle.Parameters(); ok { // it alone is asked: whoever judges may have kept the answer
		t.Error("of a catalogue that is forgotten there are parameters")
	}
	awaitStats(t, r, func(s Stats) bool { return s.Known })
	await(t, r.Handle, "SELECT 1", harmless)
	if s := r.Stats(); s.Looks == looks || s.Readings < 2 {
		t.Errorf("the catalogue is known again without a reading: %+v", s)
	}
}

// TestClose closes readers at all stages of a look.
func TestClose(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	g, err := reactor.NewGroup(1, reactor.Options{Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	t.Cleanup(g.Stop)
	for i := range 40 {
		r := NewReader(g.Loops()[0], target(pg, "postgres"), Options{})
		reaches(t, r.Handle, "SELECT 1")
		for range i {
			g.Loops()[0].PostWait(func() {})
		}
		r.Close()
		g.Loops()[0].PostWait(func() {})
		if got := reaches(t, r.Handle, "SELECT 1"); got != suspect {
			t.Errorf("after the reader was closed a statement reaches %s", words(got))
		}
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 20000 {
		if rows := pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"); rows[0][0] == "0" {
			return
		}
		<-tick.C
	}
	t.Error("connections of closed readers are left")
}

// awaitStats waits until a reader has done what is wanted.
func awaitStats(t testing.TB, r *Reader, ok func(Stats) bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !ok(r.Stats()) {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("after a minute: %+v", r.Stats())
		}
	}
}
