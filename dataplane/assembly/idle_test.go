package assembly_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestIdleTimeout lets server connections go that nobody uses.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
	set.PoolProfiles["default"].IdleTimeout = durationpb.New(200 * time.Millisecond)
	p, addr := stage.Start(t, set)
	c := stage.Connect(t, addr, "postgres")
	stage.Want(t, c, "SELECT 1", "1")
	total := func() (n int) {
		p.Hub().Pools.Each(func(p *pool.Pool) { n, _ = p.Total() })
		return n
	}
	if n := total(); n != 1 {
		t.Fatalf("%d server connections after a query", n)
	}
	stage.Eventually(t, 15*time.Second, "the server connection is closed", func() bool { return total() == 0 })
	stage.Want(t, c, "SELECT 2", "2")
}
