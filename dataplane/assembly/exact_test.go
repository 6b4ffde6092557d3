package assembly

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

type script struct {
	name  string
	units [][][]byte // each ends with what makes the server say ReadyForQuery
}

func unit(msgs ...[]byte) [][]byte { return msgs }

// scripts are sequences of messages whose answers have to be PostgreSQL's own.
func scripts() []script {
	q, parse, bind, exec := pgscript.Query, pgscript.Parse, pgscript.Bind, pgscript.Execute
	sync, flush := pgscript.Sync(), pgscript.Flush()
	ds, dp := pgscript.DescribeStatement, pgscript.DescribePortal
	cs, cp := pgscript.CloseStatement, pgscript.ClosePortal
	return []script{
		{"simple", [][][]byte{unit(q("SELECT 1")), unit(q("")), unit(q(";")), unit(q("SELECT 1; SELECT 2")), unit(q("SELECT 1/0; SELECT 2"))}},
		{"transaction", [][][]byte{
			unit(q("BEGIN")), unit(q("SELECT 1")), unit(q("SELECT nothing")), unit(q("SELECT 1")), unit(q("ROLLBACK")), unit(q("COMMIT")),
		}},
		{"several queries in one packet", [][][]byte{unit(q("SELECT 1"), q("SELECT 1/0"), q("SELECT 3")), unit(), unit()}},
		{"unnamed", [][][]byte{
			unit(parse("", "SELECT $1::int + 1"), bind("", "", "41"), dp(""), exec("", 0), sync),
			unit(bind("", "", "1"), exec("", 0), sync), // still there
			unit(q("SELECT 1")),
			unit(bind("", "", "1"), exec("", 0), sync), // gone with the Query
		}},
		{"named", [][][]byte{
			unit(parse("s", "SELECT $1::text"), ds("s"), sync),
			unit(bind("", "s", "a"), exec("", 0), bind("p", "s", "b"), exec("p", 0), sync),
			unit(parse("s", "SELECT 2"), sync),          // taken
			unit(parse("s", "SELECT nothing"), sync),    // another error comes first
			unit(parse("s", "SELEC"), sync),             // and another
			unit(bind("", "s", "c"), exec("", 0), sync), // still the first
			unit(cs("s"), sync), unit(cs("s"), sync),
			unit(bind("", "s", "c"), exec("", 0), sync), // no more
			unit(parse("s", "SELECT 'new', $1::int"), bind("", "s", "5"), exec("", 0), sync),
		}},
		{"unknown names", [][][]byte{
			unit(bind("", "nope"), exec("", 0), sync), unit(ds("nope"), sync), unit(dp("nope"), sync), unit(exec("nope", 0), sync),
			unit(cs("nope"), cp("nope"), sync), unit(bind("", ""), sync),
		}},
		{"skip to sync", [][][]byte{
			unit(parse("a", "SELECT 1"), parse("b", "SELEC"), parse("c", "SELECT 3"), bind("", "c"), exec("", 0), sync),
			unit(bind("", "a"), exec("", 0), sync), unit(bind("", "c"), exec("", 0), sync),
			unit(bind("", "a"), exec("", 0), bind("", "b"), exec("", 0), cs("a"), sync), unit(bind("", "a"), exec("", 0), sync),
		}},
		{"several syncs in flight", [][][]byte{
			unit(parse("", "SELECT 1"), bind("", ""), exec("", 0), sync, parse("", "SELECT 1/0"), bind("", ""), exec("", 0), sync,
				parse("", "SELECT 3"), bind("", ""), exec("", 0), sync), unit(), unit(),
		}},
		{"implicit transaction", [][][]byte{
			unit(q("CREATE TEMP TABLE IF NOT EXISTS skipped_in_transaction_mode_it_pins (a int)")),
			unit(parse("", "SELECT 1"), bind("", ""), exec("", 0), parse("", "SELECT 1/0"), bind("", ""), exec("", 0), sync),
		}},
		{"portal with limit", [][][]byte{
			unit(q("BEGIN")),
			unit(parse("g", "SELECT generate_series(1,5)"), bind("p", "g"), exec("p", 2), sync),
			unit(exec("p", 2), sync), unit(exec("p", 2), sync), unit(cp("p"), sync), unit(exec("p", 1), sync), unit(q("ROLLBACK")),
		}},
		{"copy out", [][][]byte{unit(q("COPY (SELECT generate_series(1,3)) TO STDOUT")), unit(q("SELECT 1"))}},
		{"copy in", [][][]byte{
			unit(q("BEGIN")), unit(q("CREATE TABLE c1 (a int)")),
			unit(q("COPY c1 FROM STDIN"), pgscript.CopyData("1\n2\n"), pgscript.CopyDone()),
			unit(q("SELECT sum(a) FROM c1")), unit(q("ROLLBACK")),
		}},
		{"copy in fails", [][][]byte{
			unit(q("BEGIN")), unit(q("CREATE TABLE c1 (a int)")), unit(q("SAVEPOINT s")),
			unit(q("COPY c1 FROM STDIN"), pgscript.CopyData("x\n"), pgscript.CopyDone()), unit(q("ROLLBACK TO s")),
			unit(q("COPY c1 FROM STDIN"), pgscript.CopyData("1\n"), pgscript.CopyFail("no")), unit(q("ROLLBACK")),
		}},
		{"copy in, extended, Sync ahead", [][][]byte{
			unit(q("BEGIN")), unit(q("CREATE TABLE c1 (a int)")),
			unit(parse("", "COPY c1 FROM STDIN"), bind("", ""), exec("", 0), sync, pgscript.CopyData("1\n2\n"), pgscript.CopyDone(), sync),
			unit(q("SELECT sum(a) FROM c1")), unit(q("ROLLBACK")),
		}},
		{"copy in, extended, fails", [][][]byte{
			unit(q("BEGIN")), unit(q("CREATE TABLE c1 (a int)")),
			unit(parse("", "COPY c1 FROM STDIN"), bind("", ""), exec("", 0), pgscript.CopyData("x\n"), pgscript.CopyDone(), sync),
			unit(q("ROLLBACK")),
		}},
		{"flush", [][][]byte{unit(parse("f", "SELECT 1"), flush, ds("f"), flush, bind("", "f"), flush, exec("", 0), flush, sync)}},
		{"failed transaction", [][][]byte{
			unit(q("BEGIN")), unit(parse("k", "SELECT 1"), parse("r", "ROLLBACK"), sync), unit(q("SELECT 1/0")),
			unit(bind("", "k"), exec("", 0), sync), unit(parse("", "SELECT 1"), sync), unit(parse("x", "SELECT 1"), sync),
			unit(bind("", "r"), exec("", 0), sync), unit(bind("", "k"), exec("", 0), sync), unit(bind("", "x"), exec("", 0), sync),
		}},
		{"deallocate", [][][]byte{
			unit(parse("d", "SELECT 1"), parse("e", "SELECT 2"), sync), unit(q("DEALLOCATE d")), unit(bind("", "d"), sync),
			unit(bind("", "e"), exec("", 0), sync), unit(q("DEALLOCATE nope")), unit(q("DEALLOCATE ALL")), unit(bind("", "e"), sync),
			unit(parse("e", "SELECT 3"), sync), unit(q("DISCARD ALL")), unit(bind("", "e"), sync),
			unit(parse("", "DEALLOCATE ALL"), bind("", ""), exec("", 0), sync),
		}},
		{"sync alone", [][][]byte{unit(sync), unit(flush, sync), unit(sync, sync), unit()}},
		{"notice", [][][]byte{unit(q("DO $$BEGIN RAISE NOTICE 'hear'; END$$")), unit(q("DROP TABLE IF EXISTS nothing_of_that_name"))}},
		{"stray copy messages", [][][]byte{unit(pgscript.CopyData("x"), pgscript.CopyDone(), q("SELECT 1"))}},
		{"settings", [][][]byte{
			unit(q("SET DateStyle = 'German'")), unit(q("SHOW datestyle")), unit(q("BEGIN")), unit(q("SET LOCAL TimeZone = 'Asia/Tokyo'")),
			unit(q("SHOW timezone")), unit(q("COMMIT")), unit(q("SHOW timezone")), unit(q("SET nothing_such = 1")),
			unit(parse("", "SET TimeZone = 'Asia/Tokyo'"), bind("", ""), exec("", 0), sync), unit(q("SHOW timezone")),
			unit(q("BEGIN")), unit(q("SAVEPOINT a")), unit(q("SET TimeZone = 'UTC'")), unit(q("ROLLBACK TO a")), unit(q("SHOW timezone")), unit(q("COMMIT")),
			unit(q("RESET ALL")), unit(q("SHOW timezone")), unit(q("SHOW datestyle")), unit(q("BEGIN")), unit(q("DISCARD ALL")), unit(q("ROLLBACK")),
		}},
	}
}

// run plays a script. What differs by nature (keys of the login) is not in it.
func (s script) run(t *testing.T, addr string, split int) []string {
	c := pgscript.Dial(t, "tcp", addr)
	c.Login(pgscript.Login{User: "postgres", Database: "postgres"})
	var got []string
	for _, u := range s.units {
		if split > 0 {
			c.SendPackets(pgscript.Split(split, u...)...)
		} else if len(u) > 0 {
			c.Send(u...)
		}
		got = append(got, c.Ready()...)
	}
	c.Send(pgscript.Terminate())
	c.Close()
	return got
}

// TestExact plays every script against PostgreSQL and against the proxy: the answers are the same,
// message by message, in both pool modes, however the bytes are cut into packets.
func TestExact(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	_, one := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	_, three := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3))
	_, session := start(t, config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 3))
	for _, s := range scripts() {
		want := s.run(t, pg.Primary.Addr(), 0)
		for name, addr := range map[string]string{"transaction/1": one, "transaction/3": three, "session": session} {
			for _, split := range []int{0, 7} {
				t.Run(fmt.Sprintf("%s/%s/%d", strings.ReplaceAll(s.name, " ", "_"), name, split), func(t *testing.T) {
					if got := s.run(t, addr, split); !slices.Equal(got, want) {
						t.Errorf("got\n\t%s\nPostgreSQL says\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
					}
				})
			}
		}
	}
}
