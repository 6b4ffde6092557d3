package startup

import (
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Ignore drops parameters that the client asks for, in whatever case their names are. A copy of s that was made before still has them.
func (s *Start) Ignore(names []string) {
	if len(names) == 0 {
		return
	}
	ignored := func(name string) bool {
		return slices.ContainsFunc(names, func(x string) bool { return strings.EqualFold(x, name) })
	}
	s.Settings = slices.DeleteFunc(slices.Clone(s.Settings), func(p settings.Pair) bool { return ignored(p.Name) })
	s.Parameters = slices.DeleteFunc(slices.Clone(s.Parameters), func(p pgwire.Parameter) bool { return ignored(p.Name) })
}

// Fill sets parameters that the client does not ask for itself, in whatever case their names are.
func (s *Start) Fill(unless []settings.Pair) {
	if len(unless) > 0 && !s.Replication {
		s.Settings = append(slices.Clone(unless), s.Settings...) // the last counts
	}
}

// AddHost puts the client's address behind its application_name; an address that is not valid is that of a unix socket.
func (s *Start) AddHost(peer netip.AddrPort) {
	if s.Replication {
		return
	}
	name := "app"
	for _, p := range s.Settings {
		if strings.EqualFold(p.Name, "application_name") && p.Value != "" {
			name = p.Value
		}
	}
	s.Settings = append(s.Settings, settings.Pair{Name: "application_name", Value: named(name, peer)}) // the last counts
}

// longestName is how many bytes of an application_name PostgreSQL shows.
const longestName = 63

// named is a name with the address of the client behind it, which is shown whole.
func named(name string, peer netip.AddrPort) string {
	host := " - unix"
	if peer.IsValid() {
		host = " - " + netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()).String()
	}
	for len(name) > 0 && len(name)+len(host) > longestName {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name + host
}
