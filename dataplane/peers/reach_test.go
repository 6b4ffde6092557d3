package peers

import (
	"net/netip"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// TestReach chooses the address at which most others reach the proxy.
func TestReach(t *testing.T) {
	for _, tt := range []struct {
		listeners []string
		host      string
		want      string
	}{
		{nil, "10.0.0.1", ""},
		{[]string{"127.0.0.1:6432"}, "10.0.0.1", "127.0.0.1:6432"},
		{[]string{"unix:/run/x", "127.0.0.1:6432", "10.9.9.9:5432"}, "10.0.0.1", "10.9.9.9:5432"},
		{[]string{"unix:/run/x", "127.0.0.1:6432"}, "", "127.0.0.1:6432"},
		{[]string{"unix:/run/x"}, "10.0.0.1", "unix:/run/x"},
		{[]string{"0.0.0.0:6432"}, "10.0.0.1", "10.0.0.1:6432"},
		{[]string{"[::]:6432", "127.0.0.1:1"}, "2001:db8::1", "[2001:db8::1]:6432"},
		{[]string{"0.0.0.0:6432"}, "", "127.0.0.1:6432"},
		{[]string{"10.0.0.2:2", "10.0.0.2:1"}, "", "10.0.0.2:1"},
	} {
		var all []reactor.Address
		for _, l := range tt.listeners {
			a, err := reactor.ParseAddress(l)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, a)
		}
		host, _ := netip.ParseAddr(tt.host)
		if got := Reach(all, host); got != tt.want {
			t.Errorf("%v on %s: %q, want %q", tt.listeners, tt.host, got, tt.want)
		}
	}
}

// TestHost is an address on a network where the control plane is on loopback, or none.
func TestHost(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("fe80::1/64"), netip.MustParsePrefix("10.1.2.3/24"), netip.MustParsePrefix("10.1.2.4/24")}
	for n, want := range map[int]string{0: "invalid IP", 2: "invalid IP", 4: "10.1.2.3"} {
		got := Host([]string{"unix:/run/x", "127.0.0.1:7401", "nonsense"}, func() ([]netip.Prefix, error) { return own[:n], nil })
		if got.String() != want {
			t.Errorf("with %v: %s, want %s", own[:n], got, want)
		}
	}
}
