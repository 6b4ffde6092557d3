package sessions

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestHurried has sessions whose statements may take a millisecond beside others, on one server connection: whatever is cut off, each has its own
// settings, and none is ended.
func TestHurried(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	_, addr := stage.Start(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	var wg sync.WaitGroup
	end := time.Now().Add(2 * time.Second)
	for i := range 8 {
		c := stage.Connect(t, addr, "postgres")
		own := fmt.Sprint("tenant", i)
		stage.Want(t, c, "SET app.tenant = '"+own+"'", "")
		wg.Go(func() {
			if i%2 == 0 {
				stage.Want(t, c, "SET statement_timeout = '1ms'", "")
			}
			for time.Now().Before(end) && !t.Failed() {
				got := stage.Ask(c, "SELECT current_setting('app.tenant')")
				if got != own && (i%2 != 0 || !strings.HasPrefix(got, "57014")) {
					t.Errorf("session %d: %s", i, got)
				}
			}
		})
	}
	wg.Wait()
}
