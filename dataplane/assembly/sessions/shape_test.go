package sessions

import (
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
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
			_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, c.most))
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

// TestResultOfOthers prepares what another session was told the shape of, after a change that the proxy has not seen, and uses it in every way:
// the rows are PostgreSQL's.
func TestResultOfOthers(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	bind, exec := pgscript.Bind("", "q"), pgscript.Execute("", 0)
	bde := join(bind, pgscript.DescribePortal(""), exec)
	for most := range uint32(2) {
		_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, most+1))
		for name, script := range map[string][][]byte{
			"in a transaction":    {pgscript.Query("BEGIN"), join(bde, pgscript.Sync()), pgscript.Query("COMMIT")},
			"with settings":       {pgscript.Query("BEGIN; SET LOCAL TimeZone TO UTC"), join(bde, pgscript.Sync()), pgscript.Query("COMMIT")},
			"two Syncs":           {join(bde, pgscript.Sync(), pgscript.Sync())},
			"twice in a unit":     {join(bde, bde, pgscript.Sync())},
			"behind a Parse":      {join(pgscript.Parse("", ""), bde, pgscript.Sync())},
			"Flush":               {join(bde, pgscript.Flush(), pgscript.Sync())},
			"not described":       {join(bind, exec, pgscript.Sync())},
			"described, and used": {join(pgscript.DescribeStatement("q"), pgscript.Sync(), bind, exec, pgscript.Sync())},
			"EXECUTE":             {pgscript.Query("EXECUTE q")},
			"in pieces":           {pgscript.Query("BEGIN"), join(bind, pgscript.Flush(), exec, pgscript.Sync()), pgscript.Query("COMMIT")},
		} {
			var want string
			for _, at := range []string{pg.Primary.Addr(), addr} {
				pg.Primary.Exec(t, "DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT 1 AS a")
				var cs []*pgscript.Client
				for range 2 {
					x := pgscript.Dial(t, "tcp", at)
					x.Login(pgscript.Login{User: "postgres", Database: "postgres"})
					cs = append(cs, x)
				}
				sql := fmt.Sprint("TABLE t -- ", name)
				cs[0].Run(pgscript.Parse("s", sql), pgscript.Bind("", "s"), pgscript.DescribePortal(""), exec, pgscript.Sync())
				pg.Primary.Exec(t, "ALTER TABLE t ADD b text DEFAULT 'new'")
				got := answers(cs[1], join(pgscript.Parse("q", sql), pgscript.Sync()))
				for _, turn := range script {
					got += "; " + answers(cs[1], turn)
				}
				if want == "" {
					want = got
				}
				equal(t, fmt.Sprintf("%s, on %d", name, most+1), got, want)
				const changed = "E 0A000 cached plan must not change result type; Z I"
				equal(t, name+", for who was told before", answers(cs[0], join(pgscript.Bind("", "s"), exec, pgscript.Sync())), changed)
				for _, x := range cs {
					x.Close()
				}
			}
		}
	}
}

// TestResultElsewhere uses a statement under other settings than it was parsed under, where it returns something else: it is refused at
// once, as PostgreSQL does.
func TestResultElsewhere(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, worlds, "CREATE SCHEMA alice AUTHORIZATION alice", "CREATE TABLE alice.w AS SELECT date '2020-01-01' AS z", "ALTER TABLE alice.w OWNER TO alice")
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	parse, sync := pgscript.Parse("pw", "SELECT * FROM w"), pgscript.Sync()
	use, told := join(pgscript.Bind("", "pw"), pgscript.Execute("", 0), sync), join(pgscript.Bind("", "pw"), pgscript.DescribePortal(""), pgscript.Execute("", 0), sync)
	here, there, who := pgscript.Query(`SET search_path TO "S 2"`), pgscript.Query("SET search_path TO s1"), pgscript.Query("SET ROLE alice")
	for name, script := range map[string][][]byte{
		"told, and told again": {here, join(parse, told), there, told, told, use, here, use, told},
		"told":                 {here, join(parse, told), there, use, use, told, here, use},
		"told by the name":     {here, join(parse, pgscript.DescribeStatement("pw"), sync), there, told, use, join(pgscript.DescribeStatement("pw"), sync), here, use},
		"not told":             {here, join(parse, sync), there, use, use, told, here, use},
		"a role":               {pgscript.Query(`SET search_path TO "$user", s1`), join(parse, told), who, told, use, pgscript.Query("RESET ROLE"), told},
		"in a transaction":     {here, join(parse, told), pgscript.Query("BEGIN"), there, told, pgscript.Query("ROLLBACK"), told},
		"behind a Parse":       {here, join(parse, told), there, join(pgscript.Parse("", "SELECT 1"), told), told},
	} {
		direct, c := pgscript.Dial(t, "tcp", pg.Primary.Addr()), pgscript.Dial(t, "tcp", addr)
		for _, x := range []*pgscript.Client{direct, c} {
			x.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		}
		for i, turn := range script {
			want, got := answers(direct, turn), answers(c, turn)
			equal(t, fmt.Sprintf("%s, turn %d", name, i), got, want)
		}
		direct.Close()
		c.Close()
	}
}
