package changeover

import (
	"bytes"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestLeaves knows what a statement resets, and nothing of one that does anything else, or that is not carried out.
func TestLeaves(t *testing.T) {
	pair := func(n, v string) settings.Pair { return settings.Pair{Name: n, Value: v} }
	startup := settings.Of(pair("datestyle", "German"), pair("role", "first"))
	want := settings.Of(pair("app.x", "1"), pair("datestyle", "SQL"), pair("role", "r"), pair("work_mem", "1MB"))
	less := func(names ...string) settings.Set { return want.Change(nil, names) }
	with := func(ps ...settings.Pair) settings.Set { return want.Change(ps, nil) }
	sync := pgscript.Sync()
	extended := func(sql string, behind ...[]byte) []byte {
		return bytes.Join(append([][]byte{pgscript.Parse("s", sql), pgscript.DescribeStatement("s"), pgscript.Bind("p", "s")}, behind...), nil)
	}
	execute := pgscript.Execute("p", 0)
	for _, c := range []struct {
		p    []byte
		left settings.Set
	}{
		{pgscript.Query("RESET work_mem"), less("work_mem")},
		{pgscript.Query(" /* a */ reset WORK_MEM ;"), less("work_mem")},
		{pgscript.Query("SET app.x TO DEFAULT"), less("app.x")},
		{pgscript.Query("RESET datestyle"), with(pair("datestyle", "German"))},
		{pgscript.Query("RESET ROLE"), with(pair("role", "first"))},
		{pgscript.Query("RESET SESSION AUTHORIZATION"), with(pair("role", "first"))},
		{pgscript.Query("RESET ALL"), settings.Of(pair("datestyle", "German"), pair("role", "r"))},
		{pgscript.Query("DISCARD ALL"), startup},
		{append(pgscript.Query("RESET work_mem"), pgscript.Query("SELECT 1")...), less("work_mem")},
		{extended("RESET app.x", execute, sync), less("app.x")},
		{extended("RESET app.x", pgscript.DescribePortal("p"), execute, sync), less("app.x")},
		{extended("RESET app.x", execute), want},
		{extended("RESET app.x", sync), want},
		{extended("RESET app.x", execute, execute, sync), want},
		{extended("RESET app.x", execute, pgscript.Parse("", "SELECT 1"), sync), want},
		{extended("RESET app.x", pgscript.Bind("p", "s"), execute, sync), want},
		{extended("RESET app.x", pgscript.Execute("q", 0), sync), want},
		{extended("SELECT 1", execute, sync), want},
		{bytes.Join([][]byte{pgscript.Parse("s", "RESET app.x"), pgscript.Bind("p", "t"), execute, sync}, nil), want},
		{bytes.Join([][]byte{pgscript.Parse("s", "RESET app.x"), execute, sync}, nil), want},
		{pgscript.Parse("s", "RESET ROLE"), want},
		{append(pgscript.Parse("s", "RESET ROLE"), sync...), want},
		{append(pgscript.Parse("s", "RESET ROLE"), pgscript.Query("RESET ROLE")...), want},
		{pgscript.Query("SET work_mem = '2MB'"), want},
		{pgscript.Query("SET ROLE other"), want},
		{pgscript.Query("SET LOCAL work_mem TO DEFAULT"), want},
		{pgscript.Query("RESET timezone"), want},
		{pgscript.Query("RESET work_mem; SELECT 1"), want},
		{pgscript.Query("RESET work_mem; RESET work_mem"), want},
		{pgscript.Query("SELECT 1"), want},
		{pgscript.Query(""), want},
		{pgscript.Query("DISCARD TEMP"), want},
		{pgscript.Query("RESET work_mem")[:9], want},
		{pgscript.Query("RESET work_mem")[:3], want},
		{pgscript.Frame('Q'), want},
		{sync, want},
		{nil, want},
	} {
		if rest, ok := leaves(want, startup, c.p); rest != c.left || ok != (c.left != want) {
			t.Errorf("%q: %v is left, want %v; %v", c.p, rest, c.left, ok)
		}
	}
}
