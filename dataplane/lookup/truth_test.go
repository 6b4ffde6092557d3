package lookup

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
)

// left asks what the statement before has left, within its transaction.
const left = `SELECT current_setting('work_mem') <> current_setting('helios.before') OR coalesce(current_setting('a.b', true), '') = 'c' OR EXISTS (
	SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND pid = pg_backend_pid())`

// TestTruth runs the zoo's statements on PostgreSQL: whatever leaves something must have been said to reach what may, and what
// advances a sequence, that. Those it does leave something after are enough to show that this can fail.
func TestTruth(t *testing.T) {
	t.Parallel()
	for _, dsn := range zoos(t) {
		ask := judge(t, read(t, dsn))
		testTruth(t, dsn, ask)
		exec(t, dsn, "DROP ROLE IF EXISTS visitor; CREATE ROLE visitor LOGIN",
			"GRANT ALL ON ALL TABLES IN SCHEMA public TO visitor; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO visitor")
		testTruth(t, strings.Replace(dsn, "user=postgres", "user=visitor", 1), ask)
	}
}

func testTruth(t *testing.T, dsn string, ask func(string) (catalog.Reach, string)) {
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, dsn+" options='-c helios.before=4MB -c work_mem=4MB'")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	says := func(sql string) string {
		results, err := conn.Exec(ctx, sql).ReadAll()
		if err != nil || len(results[0].Rows) == 0 {
			return ""
		}
		return string(results[0].Rows[0][0])
	}
	leaks := 0
	for _, s := range statements {
		if strings.HasSuffix(s.sql, "FROM STDIN") || strings.HasPrefix(s.sql, "SET") {
			continue // a text that says it
		}
		says("DISCARD ALL")
		says("BEGIN")
		_, failed := conn.Exec(ctx, s.sql).ReadAll()
		leaves := failed == nil && says(left) == "t"
		counts := failed == nil && says("SELECT lastval()") != ""
		says("ROLLBACK")
		if leaves {
			leaks++
		}
		got, why := ask(s.sql)
		if leaves && got&suspect == 0 {
			t.Errorf("%s: said to reach %s, but it left something", s.sql, words(got))
		}
		if counts && got&(suspect|sequences) == 0 {
			t.Errorf("%s: said to reach %s, but it advanced a sequence", s.sql, words(got))
		}
		if testing.Verbose() && got&suspect != 0 && !leaves {
			t.Logf("%s: %s: left nothing (%v)", s.sql, why, failed)
		}
	}
	if leaks < 30 {
		t.Errorf("with %s only %d statements left something", dsn, leaks)
	}
}
