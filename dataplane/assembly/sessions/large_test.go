package sessions

import (
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestLargeStatement has texts over the size that is looked at: they are relayed, and what they may have
// left on the server connection is gone for the next session.
func TestLargeStatement(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.Limits["default"].MaxStatementBytes = 100_000
	_, addr := stage.Start(t, set)
	c, other := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	long := strings.Repeat("x", 300_000)
	stage.Want(t, c, "SET my.own = 'x'; SELECT length('"+long+"')", "300000")
	stage.Want(t, other, "SELECT current_setting('my.own', true)", "")
	raw := pgscript.Dial(t, "tcp", addr)
	raw.Login(pgscript.Login{User: "postgres", Database: "postgres"})
	parse := pgscript.Parse("big", "SELECT length('"+long+"') + $1::int")
	if got := strings.Join(raw.Run(parse, pgscript.Sync()), "; "); got != "1; Z I" {
		t.Fatalf("a large named statement: %s", got)
	}
	for range 2 { // it is where it was parsed
		if got := strings.Join(raw.Run(pgscript.Bind("", "big", "1"), pgscript.Execute("", 0), pgscript.Sync()), "; "); got != "2; D 300001; C SELECT 1; Z I" {
			t.Errorf("executed: %s", got)
		}
	}
	raw.Run(pgscript.Parse("", "SELECT length('"+long+"')"), pgscript.Sync())
	if got := strings.Join(raw.Run(pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Sync()), "; "); got != "2; D 300000; C SELECT 1; Z I" {
		t.Errorf("an unnamed statement: %s", got)
	}
	raw.Send(pgscript.Terminate())
	raw.Close()
	stage.Want(t, other, "SELECT count(*) FROM pg_prepared_statements", "0")
	bound := pgscript.Dial(t, "tcp", addr)
	bound.Login(pgscript.Login{User: "postgres", Database: "postgres"})
	unit := [][]byte{pgscript.Parse("small", "SELECT length($1::text)"), pgscript.Bind("", "small", strings.Repeat(long, 20)), pgscript.Execute("", 0), pgscript.Sync()}
	if got := strings.Join(bound.Run(unit...), "; "); got != "1; 2; D 6000000; C SELECT 1; Z I" {
		t.Errorf("a large value: %s", got)
	}
}
