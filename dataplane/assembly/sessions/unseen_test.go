package sessions

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestUnseenLeavesNothing has sessions end in every way behind a text that is too large to be looked at: the next one on the server connection meets nothing of it.
func TestUnseenLeavesNothing(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE unseen")
	big := "/*" + strings.Repeat("x", 10_000) + "*/ "
	query, parse, bind, exec, sync := pgscript.Query, pgscript.Parse, pgscript.Bind, pgscript.Execute, pgscript.Sync()
	const digest = "SELECT concat_ws(' ', current_user, current_setting('work_mem'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'))"
	login := func(addr string) *pgscript.Client {
		cl := pgscript.Dial(t, "tcp", addr)
		cl.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		return cl
	}
	ends := map[string][]byte{"goodbye": nil, "lost": nil, "another statement": query("SELECT 1"), "deallocated": query("DEALLOCATE ALL"), "discarded": query("DISCARD ALL")}
	for _, guard := range []heliosv1.LeakGuard{heliosv1.LeakGuard_LEAK_GUARD_TEXT, heliosv1.LeakGuard_LEAK_GUARD_CATALOG, heliosv1.LeakGuard_LEAK_GUARD_ALWAYS} {
		for _, pin := range []heliosv1.Pin{heliosv1.Pin_PIN_ON, heliosv1.Pin_PIN_OFF, heliosv1.Pin_PIN_ERROR} {
			set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
			set.Limits["default"].MaxStatementBytes = 10_000
			set.PoolProfiles["default"].LeakGuard, set.PoolProfiles["default"].Pin = guard, pin
			_, addr := stage.Start(t, set)
			for _, text := range []string{"SET ROLE unseen", "SELECT set_config('work_mem', '9MB', false)", "SELECT pg_advisory_lock(5)"} {
				for how, units := range map[string][][]byte{
					"a Query":                              {query(big + text)},
					"an unnamed statement":                 {slices.Concat(parse("", big+text), bind("", ""), exec("", 0), sync)},
					"an unnamed statement, parsed before":  {slices.Concat(parse("", big+text), sync), slices.Concat(bind("", ""), exec("", 0), sync)},
					"a named statement":                    {slices.Concat(parse("n", big+text), sync), slices.Concat(bind("", "n"), exec("", 0), sync)},
					"a named statement, within one packet": {slices.Concat(parse("n", big+text), bind("", "n"), exec("", 0), sync)},
				} {
					for end, last := range ends {
						cl := login(addr)
						for _, u := range units {
							cl.Run(u)
						}
						if last != nil {
							cl.Run(last)
						}
						if end != "lost" {
							cl.Send(pgscript.Terminate())
						}
						cl.Close()
						next := login(addr)
						if got := strings.Join(next.Run(query(digest)), " | "); !strings.Contains(got, "| D postgres 4MB 0 |") {
							t.Errorf("%v, %v, %s as %s, %s: the next session finds %s", guard, pin, text, how, end, got)
						}
						next.Send(pgscript.Terminate())
						next.Close()
					}
				}
			}
		}
	}
}

// TestUnseenNamed prepares a statement that is too large to be looked at: with pin = off it is dropped with a warning, with error refused, and what comes
// behind is warned of nothing.
func TestUnseenNamed(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	parse := slices.Concat(pgscript.Parse("big", "/*"+strings.Repeat("x", 100_000)+"*/ SELECT 1"), pgscript.Sync())
	use := slices.Concat(pgscript.Bind("", "big"), pgscript.Execute("", 0), pgscript.Sync())
	const looked = "DO $$BEGIN SET work_mem = '9MB'; END$$"
	for pin, want := range map[heliosv1.Pin][3]string{
		heliosv1.Pin_PIN_ON:    {"1 | Z I", "2 | D 1 | C SELECT 1 | Z I", "2 | D 1 | C SELECT 1 | Z I"},
		heliosv1.Pin_PIN_OFF:   {"1 | N 01000 dropped at the end of the transaction: something that could not be followed | Z I", "26000", "26000"},
		heliosv1.Pin_PIN_ERROR: {"E 0A000 this statement would keep the server connection: something that could not be followed | Z I", "26000", "26000"},
	} {
		set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
		set.Limits["default"].MaxStatementBytes = 100_000
		set.PoolProfiles["default"].LeakGuard, set.PoolProfiles["default"].Pin = heliosv1.LeakGuard_LEAK_GUARD_CATALOG, pin
		_, addr := stage.Start(t, set)
		cl := pgscript.Dial(t, "tcp", addr)
		cl.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		var got []string
		for _, msg := range [][]byte{parse, use, pgscript.Query(looked), use} {
			got = append(got, strings.Join(cl.Run(msg), " | "))
		}
		if got[0] != want[0] || !strings.Contains(got[1], want[1]) || got[2] != "C DO | Z I" || !strings.Contains(got[3], want[2]) {
			t.Errorf("%v: %s", pin, fmt.Sprintf("%q", got))
		}
	}
}
