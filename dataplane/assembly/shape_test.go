package assembly

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestResultChanged changes a table under prepared statements, on one server connection and on two, of which the second has the statement
// or has not. Who was told the old columns never gets a row of the new ones.
func TestResultChanged(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	const changed = "E 0A000 cached plan must not change result type"
	for _, c := range []struct {
		name                  string
		most                  uint32
		told, elsewhere, fits bool // the client was told; it is taken to another server connection after the change; which has the statement
	}{
		{"told", 1, true, false, false},
		{"not told", 1, false, false, false},
		{"told, on another connection", 2, true, true, false},
		{"not told, on another connection", 2, false, true, false},
		{"told, on one that has the old one", 2, true, true, true},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			_, addr := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, c.most))
			pg.Primary.Exec(t, "DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT 1 AS a")
			open := func() *pgscript.Client {
				x := pgscript.Dial(t, "tcp", addr)
				x.Login(pgscript.Login{User: "postgres", Database: "postgres"})
				t.Cleanup(func() { x.Close() })
				return x
			}
			p, other := open(), open()
			run := func(x *pgscript.Client, msgs ...[]byte) string {
				return strings.Join(x.Run(append(msgs, pgscript.Sync())...), "; ")
			}
			if c.fits { // the second connection has it too
				other.Run(pgscript.Query("BEGIN"))
				run(other, pgscript.Parse("q", "SELECT * FROM t"), pgscript.Bind("", "q"), pgscript.Execute("", 0))
			}
			run(p, pgscript.Parse("s", "SELECT * FROM t"))
			if c.fits {
				other.Run(pgscript.Query("COMMIT"))
			}
			if c.told {
				run(p, pgscript.DescribeStatement("s"))
			}
			if got := run(p, pgscript.Bind("", "s"), pgscript.Execute("", 0)); got != "2; D 1; C SELECT 1; Z I" {
				t.Fatalf("before: %s", got)
			}
			pg.Primary.Exec(t, "ALTER TABLE t ADD b text DEFAULT 'new'")
			if c.elsewhere {
				other.Run(pgscript.Query("BEGIN"))
				defer other.Run(pgscript.Query("COMMIT"))
			}
			var answers []string
			for range 3 {
				answers = append(answers, run(p, pgscript.Bind("", "s"), pgscript.Execute("", 0)))
			}
			for i, got := range answers {
				isError, isNew := strings.HasPrefix(got, changed), got == "2; D 1 | new; C SELECT 1; Z I"
				if c.told && !isError || !c.told && !isError && !isNew || !c.told && i > 0 && !isNew {
					t.Errorf("execution %d: %s", i, got)
				}
			}
			for i := range 2 { // PostgreSQL has the new ones for who prepares again
				name := fmt.Sprint("new", i)
				if got := run(p, pgscript.Parse(name, "SELECT * FROM t"), pgscript.DescribeStatement(name), pgscript.Bind("", name), pgscript.Execute("", 0)); !strings.HasSuffix(got, "D 1 | new; C SELECT 1; Z I") || !strings.Contains(got, "T a:23 b:25") {
					t.Errorf("prepared again: %s", got)
				}
			}
		})
	}
}
