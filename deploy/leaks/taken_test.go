//go:build planted

package leaks

import (
	"flag"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/planted"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

var most = flag.Int("most", 10000, "interleavings in which a kind of tracking that is taken out has to be missed")

// TestTaken takes each kind of tracking out once, and wants a leak to be found.
func TestTaken(t *testing.T) {
	const (
		text    = heliosv1.LeakGuard_LEAK_GUARD_TEXT
		catalog = heliosv1.LeakGuard_LEAK_GUARD_CATALOG
	)
	defer planted.Plant("")
	for _, c := range []struct {
		fault planted.Fault
		guard heliosv1.LeakGuard
	}{
		{planted.Set, text},
		{planted.Rollback, text},
		{planted.SetConfig, text},
		{planted.Role, text},
		{planted.Custom, text},
		{planted.Temporary, text},
		{planted.Cursor, text},
		{planted.Lock, text},
		{planted.Listen, text},
		{planted.Prepared, text},
		{planted.Sequence, text},
		{planted.Seed, text},
		{planted.Unseen, text},
		{planted.Called, catalog},
		{planted.Judged, catalog},
		{planted.Do, catalog},
		{planted.Written, catalog},
		{planted.Operator, catalog},
		{planted.Trigger, catalog},
		{planted.Default, catalog},
		{planted.Check, catalog},
		{planted.Policy, catalog},
		{planted.Parameter, catalog},
		{planted.Rule, catalog},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			databases(t)
			planted.Plant(c.fault)
			defer planted.Plant("")
			from := units()
			if c.guard == text {
				from = shown()
			}
			w, wrong := interleave(t, &wires{}, c.guard, *most, from)
			if wrong == "" {
				t.Fatalf("no leak in %d interleavings", *most)
			}
			t.Logf("%s: %s", w.story[0], wrong)
		})
	}
}
