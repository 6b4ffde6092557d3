package sessions

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

func TestPgbench(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 5))
	stage.Pgbench(t, addr, "-i", "-s", "1", "-q")
	script := filepath.Join(t.TempDir(), "pipe.sql")
	text := "\\startpipeline\n"
	for i := range 10 {
		text += fmt.Sprintf("SELECT abalance + %d FROM pgbench_accounts WHERE aid = 17;\n", i)
	}
	if err := os.WriteFile(script, []byte(text+"\\endpipeline\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"simple", "extended", "prepared"} {
		t.Log(stage.Pgbench(t, addr, "-n", "-c", "20", "-t", "8", "-M", mode))
		if mode != "simple" {
			t.Log(stage.Pgbench(t, addr, "-n", "-c", "20", "-t", "8", "-M", mode, "-f", script))
		}
	}
}
