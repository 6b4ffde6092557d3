package snapshot

import (
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/state/hosts"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestSpread: what a node says of its hosts is passed on to where it is, with a book of names and without, and to the console.
func TestSpread(t *testing.T) {
	const disable, robin = heliosv1.LoadBalanceHosts_LOAD_BALANCE_HOSTS_DISABLE, heliosv1.LoadBalanceHosts_LOAD_BALANCE_HOSTS_ROUND_ROBIN
	for _, tt := range []struct {
		host    string
		says    heliosv1.LoadBalanceHosts
		spreads bool
		shows   string
	}{
		{"db1", 0, false, ""},
		{"db1", disable, false, ""},
		{"db1", robin, true, "round-robin"},
		{"db1,db2", 0, false, "disable"},
		{"db1,db2", disable, false, "disable"},
		{"db1,db2", robin, true, "round-robin"},
	} {
		set := example()
		set.Nodes["n1"].Host, set.Nodes["n1"].LoadBalanceHosts = tt.host, tt.says
		s := compile(t, set)
		for _, m := range []Machine{{}, {Hosts: hosts.New(hosts.Options{})}} {
			s.Equip(m)
			if r, _ := s.Route(Asked{Database: "anything"}, "clear"); r.Target.Server.Spreads() != tt.spreads {
				t.Errorf("%s, %s: spreads %v", tt.host, tt.says, !tt.spreads)
			}
		}
		if x, _ := s.About("anything"); x.LoadBalanceHosts != tt.shows || s.LoadBalanceHosts("n1") != tt.shows {
			t.Errorf("%s, %s: shown is %q, of the node %q", tt.host, tt.says, x.LoadBalanceHosts, s.LoadBalanceHosts("n1"))
		}
		if got := s.LoadBalanceHosts("nowhere"); got != "" {
			t.Errorf("of a node that is not there: %q", got)
		}
	}
}
