package assembly

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestLogOfSessions has a line for each client that comes and goes, with the reason, and no SQL in it.
func TestLogOfSessions(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	core, logs := observer.New(zap.InfoLevel)
	_, addr := start(t, config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2), func(o *Options) { o.Log = zap.New(core) })
	polite, rude, killed := connect(t, addr, "postgres"), connect(t, addr, "postgres"), connect(t, addr, "postgres")
	want(t, polite, "SELECT 'c4n4ry'", "c4n4ry")
	polite.Close(context.Background())
	rude.Conn().Close()
	if got := ask(killed, "SELECT 'c4n4ry', pg_terminate_backend(pg_backend_pid())"); !strings.HasPrefix(got, "57P01") {
		t.Fatal(got)
	}
	ended := func() map[string]int {
		reasons := map[string]int{}
		for _, e := range logs.FilterMessage("client disconnected").All() {
			f := e.ContextMap()
			reasons[f["reason"].(string)]++
			if f["user"] != "postgres" || f["database"] != "postgres" || f["peer"] == "" || f["received"].(uint64) == 0 {
				t.Errorf("the line has %v", f)
			}
		}
		return reasons
	}
	eventually(t, 15*time.Second, "all have left", func() bool { return logs.FilterMessage("client disconnected").Len() == 3 })
	for _, r := range []string{"the client has said goodbye", "the client has gone away", "the server has ended the session"} {
		if ended()[r] != 1 {
			t.Errorf("%q is not among %v", r, ended())
		}
	}
	if n := logs.FilterMessage("client connected").Len(); n != 3 {
		t.Errorf("%d clients have come", n)
	}
	for _, e := range logs.All() {
		for _, v := range e.ContextMap() {
			if s, ok := v.(string); ok && strings.Contains(s, "c4n4ry") {
				t.Errorf("%s tells of SQL: %s", e.Message, s)
			}
		}
	}
}
