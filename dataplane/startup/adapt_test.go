package startup

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
)

// TestNamed shows the whole address, and of the name what there is room for.
func TestNamed(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		name string
		peer netip.AddrPort
		want string
	}{
		{"psql", at("10.0.0.1:5000"), "psql - 10.0.0.1:5000"},
		{"psql", at("[::ffff:10.0.0.1]:5000"), "psql - 10.0.0.1:5000"},
		{"psql", at("[fd00::1]:5000"), "psql - [fd00::1]:5000"},
		{"psql", netip.AddrPort{}, "psql - unix"},
		{strings.Repeat("x", 100), at("10.0.0.1:5000"), strings.Repeat("x", 47) + " - 10.0.0.1:5000"},
		{"x" + strings.Repeat("é", 50), at("10.0.0.1:5000"), "x" + strings.Repeat("é", 23) + " - 10.0.0.1:5000"},
	} {
		if got := named(c.name, c.peer); got != c.want || len(got) > longestName {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestFill sets what the client does not, and nothing for replication.
func TestFill(t *testing.T) {
	unless := []settings.Pair{{Name: "timezone", Value: "UTC"}, {Name: "work_mem", Value: "1MB"}}
	start := &Start{Settings: []settings.Pair{{Name: "TimeZone", Value: "Asia/Tokyo"}}}
	start.Fill(unless)
	if got, want := settings.Of(start.Settings...), settings.Of(settings.Pair{Name: "timezone", Value: "Asia/Tokyo"}, settings.Pair{Name: "work_mem", Value: "1MB"}); got != want {
		t.Errorf("asked for is %v", start.Settings)
	}
	start = &Start{Replication: true}
	if start.Fill(unless); start.Settings != nil {
		t.Errorf("replication asks for %v", start.Settings)
	}
}

// TestAdapt drops what is ignored, in whatever case, and names who has no name.
func TestAdapt(t *testing.T) {
	start := &Start{Settings: []settings.Pair{{Name: "Extra_Float_Digits", Value: "3"}, {Name: "work_mem", Value: "5MB"}}}
	start.Ignore([]string{"extra_float_digits"})
	start.AddHost(netip.AddrPort{})
	if got, want := settings.Of(start.Settings...), settings.Of(settings.Pair{Name: "work_mem", Value: "5MB"}, settings.Pair{Name: "application_name", Value: "app - unix"}); got != want {
		t.Errorf("asked for is %v", start.Settings)
	}
}
