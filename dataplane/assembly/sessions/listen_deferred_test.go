package sessions

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestListenDeferred listens in transactions whose BEGIN waits for the statement behind it.
func TestListenDeferred(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Sharing(pg.Primary, 2)
	set.PoolProfiles["default"].DeferredBegin = true
	p, addr := stage.Start(t, set)
	e := stage.NewEar(t, addr)
	for _, sql := range []string{"LISTEN fence", "BEGIN", "LISTEN a", "COMMIT", "BEGIN", "LISTEN b", "ROLLBACK", "BEGIN"} {
		stage.Want(t, e.PgConn, sql, "")
	}
	pg.Primary.Exec(t, "NOTIFY a", "NOTIFY b")
	stage.Want(t, e.PgConn, "COMMIT", "") // of a transaction that the server has seen nothing of so far
	pg.Primary.Exec(t, "NOTIFY fence")
	if got := e.Until(t, "fence:"); got != "a: fence:" {
		t.Errorf("heard %s", got)
	}
	if n := pinned(p); n != 0 {
		t.Errorf("%d sessions came to keep their server connection", n)
	}
}
