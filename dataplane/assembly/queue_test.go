package assembly

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestQueueOrder has sessions wait for one server connection, on one loop and on three: they get it in the
// order of asking.
func TestQueueOrder(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, loops := range []int{1, 3} {
		pg.Primary.Exec(t, "DROP TABLE IF EXISTS served; CREATE TABLE served (id serial, i int)")
		p, addr := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1), func(o *Options) { o.Loops = loops })
		const n = 12
		holder := connect(t, addr, "postgres")
		want(t, holder, "BEGIN", "")
		var sessions sync.WaitGroup
		for i := range n {
			c := connect(t, addr, "postgres")
			sessions.Go(func() { want(t, c, fmt.Sprintf("INSERT INTO served (i) VALUES (%d)", i), "") })
			eventually(t, 15*time.Second, "it waits", func() bool {
				waiting := 0
				p.hub.Pools.Each(func(p *pool.Pool) { _, waiting = p.Total() })
				return waiting == i+1
			})
			<-time.After(5 * time.Millisecond) // longer than others may go ahead on their own loop
		}
		want(t, holder, "COMMIT", "")
		sessions.Wait()
		for k, row := range pg.Primary.Query(t, "SELECT i FROM served ORDER BY id") {
			if row[0] != fmt.Sprint(k) {
				t.Errorf("%d loops: session %s was served as number %d", loops, row[0], k)
			}
		}
	}
}
