package serve

import (
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/startup"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// asked changes what a client asks for at log-in as the configuration says.
func asked(start *startup.Start, r snapshot.Route, peer reactor.Address) {
	ignored := func(name string) bool {
		return slices.ContainsFunc(r.Ignore, func(x string) bool { return strings.EqualFold(x, name) })
	}
	if len(r.Ignore) > 0 {
		start.Settings = slices.DeleteFunc(start.Settings, func(p settings.Pair) bool { return ignored(p.Name) })
		start.Parameters = slices.DeleteFunc(start.Parameters, func(p pgwire.Parameter) bool { return ignored(p.Name) })
	}
	if r.AddHost && !start.Replication {
		name := "app"
		for _, p := range start.Settings {
			if strings.EqualFold(p.Name, "application_name") && p.Value != "" {
				name = p.Value
			}
		}
		start.Settings = append(start.Settings, settings.Pair{Name: "application_name", Value: named(name, peer)}) // the last counts
	}
}

// longestName is how many bytes of an application_name PostgreSQL shows.
const longestName = 63

// named is a name with the address of the client behind it, which is shown whole.
func named(name string, peer reactor.Address) string {
	host := " - unix"
	if !peer.IsUnix() {
		host = " - " + netip.AddrPortFrom(peer.IP.Addr().Unmap(), peer.IP.Port()).String()
	}
	for len(name) > 0 && len(name)+len(host) > longestName {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name + host
}
