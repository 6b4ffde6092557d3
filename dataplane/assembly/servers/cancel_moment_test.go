package servers

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestCancelMoments cancels a statement in the moments in which it changes hands: while the queue serves its session, and while the settings of
// that go ahead of it. It is cancelled each time, and the session goes on with its settings.
func TestCancelMoments(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	_, addr := stage.Start(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	open := func() (*pgscript.Client, pgscript.Session) {
		c := pgscript.Dial(t, "tcp", addr)
		t.Cleanup(func() { c.Close() })
		return c, c.Login(pgscript.Login{User: "postgres", Database: "postgres"})
	}
	console := stage.ConsoleAt(t, addr)
	c, key := open()
	other, _ := open()
	c.Run(pgscript.Query("SET my.own = '1'; SET work_mem = '7MB'; SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'"))
	for i := range 60 {
		queued := i%2 == 0
		other.Run(pgscript.Query(map[bool]string{true: "BEGIN", false: "SELECT 1"}[queued]))
		c.Send(pgscript.Query("SELECT pg_sleep(10)"))
		k := pgscript.Dial(t, "tcp", addr)
		if queued {
			stage.Eventually(t, 10*time.Second, "it waits", func() bool {
				return slices.ContainsFunc(stage.Rows(t, console, "SHOW POOLS"), func(row map[string]string) bool { return row["cl_waiting"] == "1" })
			})
			other.Send(pgscript.Query("COMMIT"))
		}
		for end := time.Now().Add(time.Duration(i) * 10 * time.Microsecond); time.Now().Before(end); {
		}
		k.Send(pgscript.CancelRequest(key.PID, key.Secret))
		if queued {
			other.Ready()
		}
		if got := c.Ready(); !slices.Contains(got, "E 57014 canceling statement due to user request") || got[len(got)-1] != "Z I" {
			t.Fatalf("queued %v, time %d: %q", queued, i, got)
		}
		k.ExpectEOF()
		if got := strings.Join(c.Run(pgscript.Query("SELECT current_setting('my.own') || current_setting('timezone')")), "; "); !strings.Contains(got, "D 1Asia/Tokyo") {
			t.Fatalf("queued %v, time %d: its settings are lost: %s", queued, i, got)
		}
	}
}
