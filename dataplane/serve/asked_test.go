package serve

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/startup"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
)

// TestNamed shows the whole address, and of the name what there is room for.
func TestNamed(t *testing.T) {
	at := func(s string) reactor.Address { return reactor.Address{IP: netip.MustParseAddrPort(s)} }
	for _, c := range []struct {
		name string
		peer reactor.Address
		want string
	}{
		{"psql", at("10.0.0.1:5000"), "psql - 10.0.0.1:5000"},
		{"psql", at("[::ffff:10.0.0.1]:5000"), "psql - 10.0.0.1:5000"},
		{"psql", at("[fd00::1]:5000"), "psql - [fd00::1]:5000"},
		{"psql", reactor.Address{}, "psql - unix"},
		{strings.Repeat("x", 100), at("10.0.0.1:5000"), strings.Repeat("x", 47) + " - 10.0.0.1:5000"},
		{"x" + strings.Repeat("é", 50), at("10.0.0.1:5000"), "x" + strings.Repeat("é", 23) + " - 10.0.0.1:5000"},
	} {
		if got := named(c.name, c.peer); got != c.want || len(got) > longestName {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestAsked drops what is ignored, in whatever case, and names who has no name.
func TestAsked(t *testing.T) {
	start := &startup.Start{Settings: []settings.Pair{{Name: "Extra_Float_Digits", Value: "3"}, {Name: "work_mem", Value: "5MB"}}}
	asked(start, snapshot.Route{Ignore: []string{"extra_float_digits"}, AddHost: true}, reactor.Address{})
	if got, want := settings.Of(start.Settings...), settings.Of(settings.Pair{Name: "work_mem", Value: "5MB"}, settings.Pair{Name: "application_name", Value: "app - unix"}); got != want {
		t.Errorf("asked for is %v", start.Settings)
	}
}
