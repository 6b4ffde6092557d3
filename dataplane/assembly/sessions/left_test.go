package sessions

import (
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestLeftBehindAnError: a client goes away while the server skips what it has sent behind an error, and the next one on the server connection meets
// nothing of it: not its unnamed statement, whose Close was skipped, and not a statement whose Parse was.
func TestLeftBehindAnError(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	login := func() *pgscript.Client {
		c := pgscript.Dial(t, "tcp", addr)
		c.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		return c
	}
	for range 20 {
		one, two := login(), login()
		one.Run(pgscript.Parse("", "SELECT 'of another session'"), pgscript.Sync())
		one.Send(pgscript.Bind("", "nope"), pgscript.CloseStatement(""), pgscript.Parse("a", "SELECT 'skipped'"))
		one.Close()
		if got := strings.Join(two.Run(pgscript.Bind("", ""), pgscript.Execute("", 0), pgscript.Sync()), " | "); !strings.Contains(got, "26000") {
			t.Errorf("an unnamed statement that the client has not made: %s", got)
		}
		if got := strings.Join(two.Run(pgscript.Parse("b", "SELECT 'skipped'"), pgscript.Bind("", "b"), pgscript.Execute("", 0), pgscript.Sync()), " | "); !strings.Contains(got, "D skipped") {
			t.Errorf("a statement whose Parse was skipped for another client: %s", got)
		}
		two.Close()
	}
}
