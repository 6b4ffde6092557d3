package assembly

import (
	"fmt"
	"slices"
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
		p, addr := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1), func(o *Options) { o.Loops = loops })
		const n = 12
		holder := connect(t, addr, "postgres")
		want(t, holder, "BEGIN", "")
		served := make(chan int, n)
		for i := range n {
			c := connect(t, addr, "postgres")
			go func() {
				if got := ask(c, fmt.Sprintf("SELECT %d", i)); got != fmt.Sprint(i) {
					t.Errorf("session %d: %s", i, got)
				}
				served <- i
			}()
			eventually(t, 5*time.Second, "it waits", func() bool {
				waiting := 0
				p.hub.Pools.Each(func(p *pool.Pool) { _, waiting = p.Total() })
				return waiting == i+1
			})
			<-time.After(2 * time.Millisecond) // longer than others may go ahead on their own loop
		}
		want(t, holder, "COMMIT", "")
		var order []int
		for range n {
			order = append(order, <-served)
		}
		if loops == 1 && !slices.IsSorted(order) {
			t.Errorf("served in the order %v", order)
		}
		for k, i := range order { // who is told first is not for the proxy alone to say
			if i-k > 2 || k-i > 2 {
				t.Errorf("%d loops: served in the order %v", loops, order)
				break
			}
		}
	}
}
