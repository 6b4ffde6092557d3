package sessions

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestDeferredBegin has clients in transactions that have not done anything yet, more than there are server connections: they hold
// none. What they do then is in their transaction, as they have asked for it.
func TestDeferredBegin(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE TABLE deferred (a int)")
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	for _, p := range set.PoolProfiles {
		p.DeferredBegin, p.AcquireTimeout = true, durationpb.New(2*time.Second)
	}
	_, addr := stage.Start(t, set)
	open := func() *pgscript.Client {
		c := pgscript.Dial(t, "tcp", addr)
		c.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		t.Cleanup(func() { c.Close() })
		return c
	}
	run := func(c *pgscript.Client, sql string) string { return strings.Join(c.Run(pgscript.Query(sql)), "; ") }
	want := func(c *pgscript.Client, sql, want string) {
		t.Helper()
		if got := run(c, sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	a, b := open(), open()
	for _, c := range []*pgscript.Client{a, b} {
		want(c, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", "C BEGIN; Z T")
	}
	want(a, "SHOW transaction_isolation", "T transaction_isolation:25; D repeatable read; C SHOW; Z T")
	if got := run(b, "SELECT 1"); !strings.HasPrefix(got, "E 53300") || !strings.HasSuffix(got, "; Z E") { // a has the connection
		t.Errorf("without a server connection: %s", got)
	}
	want(a, "COMMIT", "C COMMIT; Z I")
	want(b, "SELECT 1", "E 25P02 current transaction is aborted, commands ignored until end of transaction block; Z E")
	want(b, "COMMIT", "C ROLLBACK; Z I")

	want(a, "start transaction", "C START TRANSACTION; Z T")
	want(a, "BEGIN", "N 25001 there is already a transaction in progress; C BEGIN; Z T")
	want(a, "INSERT INTO deferred VALUES (1)", "C INSERT 0 1; Z T")
	want(a, "ROLLBACK", "C ROLLBACK; Z I")
	want(b, "SELECT count(*) FROM deferred", "T count:20; D 0; C SELECT 1; Z I")

	// What a standby refuses is not deferred, nor what is more than a BEGIN.
	want(a, "BEGIN ISOLATION LEVEL SERIALIZABLE", "C BEGIN; Z T")
	if got := run(b, "SELECT 1"); !strings.HasPrefix(got, "E 53300") {
		t.Errorf("BEGIN ISOLATION LEVEL SERIALIZABLE holds no server connection: %s", got)
	}
	want(a, "COMMIT", "C COMMIT; Z I")
	want(a, "BEGIN; SELECT 1", "C BEGIN; T ?column?:23; D 1; C SELECT 1; Z T")
	want(a, "COMMIT", "C COMMIT; Z I")
	if got := run(a, "BEGIN nonsense"); !strings.HasPrefix(got, "E 42601") || !strings.HasSuffix(got, "; Z I") {
		t.Errorf("BEGIN nonsense: %s", got)
	}
	want(a, "BEGIN", "C BEGIN; Z T")
	a.Close() // and leaves nothing
	want(b, "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'", "T count:20; D 0; C SELECT 1; Z I")
}
