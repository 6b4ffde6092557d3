package snapshot

import (
	"maps"
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// Databases returns the databases that have a name, in order.
func (s *Snapshot) Databases() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.databases)) {
		if name != resource.AnyDatabase {
			names = append(names, name)
		}
	}
	return names
}

// About is a database as the console shows it, as far as the configuration says it; ok is false where it is not there.
func (s *Snapshot) About(name string) (x console.Database, ok bool) {
	d := s.database(name)
	if d == nil {
		return x, false
	}
	x = console.Database{
		Name: name, Database: name, PoolSize: d.profile.Max, Mode: s.Mode(name), MaxClients: s.Bounds(name, "").Database,
	}
	if d.server != "" {
		x.Database = d.server
	}
	if n := s.primaries[d.cluster]; n != nil {
		x.Host, x.Port, x.Node = n.GetHost(), int(n.GetPort()), n.GetName()
	}
	return x, true
}

// Mode is the pool mode of a database; empty where it is not there.
func (s *Snapshot) Mode(name string) string {
	d := s.database(name)
	switch {
	case d == nil:
		return ""
	case d.keeps:
		return "session"
	case d.policy.OneStatement:
		return "statement"
	}
	return "transaction"
}

// Users yields the users that the configuration names, and how many clients may be each of them; 0 is no bound.
func (s *Snapshot) Users(yield func(name string, max int) bool) {
	for name := range s.users {
		if !yield(name, s.Bounds("", name).User) {
			return
		}
	}
}
