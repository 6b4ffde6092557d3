package sessions

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// worlds has tables of one name in several schemas.
const worlds = `CREATE SCHEMA s1; CREATE SCHEMA "S 2"; CREATE TABLE v AS SELECT 'public' AS a; CREATE TABLE s1.v AS SELECT 's1' AS a; CREATE TABLE "S 2".v AS SELECT 'S 2' AS a;` +
	` CREATE TABLE s1.w AS SELECT 1 AS x; CREATE TABLE "S 2".w AS SELECT 'two' AS x; CREATE ROLE alice; GRANT ALL ON ALL TABLES IN SCHEMA public, s1, "S 2" TO alice;` +
	` GRANT USAGE ON SCHEMA s1, "S 2" TO alice`

// TestParsedInTransaction has the proxy parse a statement in a transaction that has changed what parsing reads, on a server connection
// that is new: the rows, and what is set then and afterwards, are PostgreSQL's.
func TestParsedInTransaction(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, worlds)
	_, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2))
	open := func(addr string) *pgscript.Client {
		x := pgscript.Dial(t, "tcp", addr)
		x.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		return x
	}
	const shown = "SELECT current_setting('search_path'), current_setting('TimeZone'), current_setting('DateStyle'), current_setting('standard_conforming_strings'), current_user"
	q := func(sql ...string) (turns [][]byte) {
		for _, s := range sql {
			turns = append(turns, pgscript.Query(s))
		}
		return turns
	}
	exec := func(sql ...string) (p []byte) {
		for _, s := range sql {
			p = join(p, pgscript.Parse("", s), pgscript.Bind("", ""), pgscript.Execute("", 0))
		}
		return p
	}
	use := join(pgscript.Bind("", "pv"), pgscript.Execute("", 0))
	run := func(name string) []byte {
		return join(pgscript.Bind("", name), pgscript.Execute("", 0), pgscript.Sync())
	}
	unit := run("pv")
	after := q(shown, "SELECT a FROM v", "COMMIT", shown, "SELECT a FROM v")
	turns := func(parts ...[][]byte) (all [][]byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return append(all, after...)
	}
	for name, script := range map[string][][]byte{
		"SET LOCAL":           turns(q("BEGIN", `SET LOCAL search_path TO "S 2"`), [][]byte{unit}),
		"SET":                 turns(q("BEGIN", `SET search_path TO "S 2"`), [][]byte{unit}),
		"SET LOCAL and SET":   turns(q("BEGIN", `SET search_path TO "S 2"; SET LOCAL search_path TO s1`), [][]byte{unit}),
		"RESET":               turns(q("BEGIN", "RESET search_path"), [][]byte{unit}),
		"set_config":          turns(q("BEGIN", `SELECT set_config('search_path', '"S 2"', true)`), [][]byte{unit}),
		"ROLLBACK TO":         turns(q("BEGIN", "SAVEPOINT p", `SET search_path TO "S 2"`, "SAVEPOINT r"), [][]byte{unit}, q("ROLLBACK TO p", shown)),
		"ROLLBACK":            turns(q("BEGIN", `SET search_path TO "S 2"`), [][]byte{unit}, q("ROLLBACK")),
		"two after two":       turns(q("BEGIN", `SET LOCAL search_path TO "S 2"`), [][]byte{unit}, q("SET search_path TO public, s1"), [][]byte{run("pw")}),
		"the unnamed one":     turns([][]byte{run("b"), run("sl"), run("")}),
		"one text":            turns(q(`BEGIN; SET LOCAL search_path TO "S 2"`), [][]byte{unit, unit}),
		"EXECUTE":             turns(q("BEGIN", `SET LOCAL search_path TO "S 2"`, "EXECUTE pv")),
		"EXECUTE, prepared":   turns(q("BEGIN", `SET LOCAL search_path TO "S 2"`), [][]byte{join(exec("EXECUTE pv"), pgscript.Sync())}),
		"Describe":            turns(q("BEGIN", `SET LOCAL search_path TO "S 2"`), [][]byte{join(pgscript.DescribeStatement("pv"), pgscript.Sync()), unit}),
		"a pipeline":          turns([][]byte{join(exec("BEGIN", `SET LOCAL search_path TO "S 2"`), use, exec("SELECT a FROM v", "COMMIT"), pgscript.Sync())}),
		"in one write":        turns([][]byte{join(pgscript.Query(`BEGIN; SET search_path TO "S 2"`), unit)}),
		"no transaction":      turns([][]byte{join(exec(`SET search_path TO "S 2"`), use, pgscript.Sync())}),
		"role":                turns(q("BEGIN", "SET LOCAL ROLE alice"), [][]byte{unit}),
		"session":             turns(q("BEGIN", "SET LOCAL SESSION AUTHORIZATION alice"), [][]byte{unit}),
		"what a literal says": turns(q("BEGIN", "SET LOCAL TimeZone TO 'Asia/Tokyo'; SET LOCAL DateStyle TO German; SET standard_conforming_strings TO off"), [][]byte{unit}),
		"an odd schema":       turns(q("BEGIN", `SET LOCAL search_path TO "it's, a \ 'one'", s1`), [][]byte{unit}),
		"a failed one":        turns(q("BEGIN", `SET LOCAL search_path TO "S 2"`, "nonsense"), [][]byte{unit}),
	} {
		for _, changed := range []bool{true, false} {
			sql := fmt.Sprintf("SELECT a, extract(epoch FROM timestamptz '01.02.2020 00:00')::bigint FROM v -- %s %v", name, changed)
			prepare := func(c *pgscript.Client) {
				c.Run(pgscript.Parse("pv", sql), pgscript.Bind("", "pv"), pgscript.DescribePortal(""), pgscript.Execute("", 0), pgscript.Sync())
				c.Run(pgscript.Parse("pw", sql+" again"), pgscript.Sync())
				if changed {
					c.Run(pgscript.Query("SET search_path TO s1"))
				}
				c.Run(pgscript.Parse("b", "BEGIN"), pgscript.Parse("sl", "SET LOCAL DateStyle TO German"), pgscript.Parse("", sql+" unnamed"), pgscript.Sync())
			}
			direct := open(pg.Primary.Addr())
			prepare(direct)
			first, c, second := open(addr), open(addr), open(addr)
			first.Run(pgscript.Query("BEGIN"))
			prepare(c) // on the other server connection, which is taken from it
			second.Run(pgscript.Query("BEGIN"))
			first.Run(pgscript.Query("COMMIT"))
			for i, turn := range script {
				want, got := answers(direct, turn), answers(c, turn)
				equal(t, fmt.Sprintf("%s, changed before %v, turn %d", name, changed, i), got, want)
			}
			second.Run(pgscript.Query("COMMIT"))
			for _, x := range []*pgscript.Client{direct, first, c, second} {
				x.Close()
			}
		}
	}
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// answers sends a turn and returns what comes up to the last ReadyForQuery that it asks for.
func answers(c *pgscript.Client, turn []byte) string {
	c.Send(turn)
	var all []string
	for len(turn) > 0 {
		if turn[0] == 'Q' || turn[0] == 'S' {
			all = append(all, c.Ready()...)
		}
		turn = turn[1+binary.BigEndian.Uint32(turn[1:]):]
	}
	return strings.Join(all, "; ")
}

func join(msgs ...[]byte) []byte { return bytes.Join(msgs, nil) }
