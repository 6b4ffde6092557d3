package servers

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestServerUnreachable has nobody listening where the server should be: clients hear it soon.
func TestServerUnreachable(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	pg.Primary.Stop(t)
	_, addr := stage.Start(t, set)
	began := time.Now()
	_, err := stage.TryConnect(addr, "postgres")
	var pe *pgconn.PgError
	if !stage.AsPg(err, &pe) || pe.Code != "08001" || !strings.Contains(pe.Message, "connection refused") {
		t.Errorf("%v, want 08001", err)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("the client heard it after %s", d)
	}
	pg.Primary.Start(t)
	c := stage.Connect(t, addr, "postgres")
	stage.Want(t, c, "SELECT 1", "1")
	pg.Primary.Stop(t)
	stage.Eventually(t, 15*time.Second, "the error is told", func() bool { return strings.HasPrefix(stage.Ask(c, "SELECT 1"), "08001 ") })
	pg.Primary.Start(t)
	stage.Want(t, c, "SELECT 1", "1") // the session has outlived its server
}

// TestQueueTimeout waits longer than the pool allows.
func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].AcquireTimeout = durationpb.New(500 * time.Millisecond)
	_, addr := stage.Start(t, set)
	holder, c := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, holder, "BEGIN", "")
	stage.Want(t, c, "SELECT 1", "53300 no server connection became free within 500ms")
	_, err := c.Prepare(context.Background(), "s", "SELECT 1", nil)
	var pe *pgconn.PgError
	if !stage.AsPg(err, &pe) || pe.Code != "53300" {
		t.Errorf("extended: %v", err)
	}
	stage.Want(t, holder, "COMMIT", "")
	stage.Want(t, c, "SELECT 1", "1")
}
