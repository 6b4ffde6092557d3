package changeover

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestWithout leaves out what a statement sets anew, and nothing where it does anything else.
func TestWithout(t *testing.T) {
	want := settings.Of(settings.Pair{Name: "app.x", Value: "1"}, settings.Pair{Name: "role", Value: "r"}, settings.Pair{Name: "work_mem", Value: "1MB"})
	drop := func(names ...string) settings.Set {
		return want.Change(nil, names)
	}
	for _, c := range []struct {
		p    []byte
		left settings.Set
	}{
		{pgscript.Query("SET work_mem = '2MB'"), drop("work_mem")},
		{pgscript.Query(" /* a */ reset WORK_MEM ;"), drop("work_mem")},
		{pgscript.Query("SET app.x TO DEFAULT"), drop("app.x")},
		{append(pgscript.Parse("", "RESET app.x"), pgscript.Sync()...), drop("app.x")},
		{pgscript.Parse("s", "RESET ROLE"), drop("role")},
		{pgscript.Query("RESET SESSION AUTHORIZATION"), drop("role")},
		{pgscript.Query("RESET ALL"), drop("app.x", "work_mem")},
		{pgscript.Query("DISCARD ALL"), settings.Set{}},
		{pgscript.Query("SET ROLE other"), want},
		{pgscript.Query("SET LOCAL work_mem = '2MB'"), want},
		{pgscript.Query("RESET datestyle"), want},
		{pgscript.Query("RESET work_mem; SELECT 1"), want},
		{pgscript.Query("RESET work_mem; RESET work_mem"), want},
		{pgscript.Query("SELECT 1"), want},
		{pgscript.Query(""), want},
		{pgscript.Query("DISCARD TEMP"), want},
		{pgscript.Query("RESET work_mem")[:9], want},
		{pgscript.Query("RESET work_mem")[:3], want},
		{pgscript.Sync(), want},
	} {
		if rest, ok := without(want, c.p); rest != c.left || ok != (c.left != want) {
			t.Errorf("%q: %v is left, want %v; %v", c.p, rest, c.left, ok)
		}
	}
}
