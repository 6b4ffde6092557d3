package snapshot

import (
	"cmp"
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Databases returns the names by which clients know the databases, in order.
func (s *Snapshot) Databases() []string {
	var names []string
	for asked := range s.databases {
		if asked.Database != resource.AnyDatabase {
			names = append(names, asked.Database)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Known says whether clients may ask for a database, by whatever host name.
func (s *Snapshot) Known(name string) bool { return s.known(name) != nil }

// NamesDatabase says whether the configuration names a database, other than by the name that stands for any.
func (s *Snapshot) NamesDatabase(name string) bool {
	if name == resource.AnyDatabase {
		return false
	}
	if s.databases[Asked{Database: name}] != nil {
		return true
	}
	for asked := range s.databases {
		if asked.Database == name {
			return true
		}
	}
	return false
}

// Names says whether the configuration names what a client has asked for, and the user. asked.Server is the one that it was chosen by.
func (s *Snapshot) Names(asked Asked, user string) bool {
	d := s.databases[asked]
	return d != nil && asked.Database != resource.AnyDatabase && (d.forced != "" || s.users[user] != nil)
}

// known returns a database that is known by the name, that of clients without a host name if there is one.
func (s *Snapshot) known(name string) *database {
	if d, _ := s.choose(Asked{Database: name}); d != nil {
		return d
	}
	for asked, d := range s.databases {
		if asked.Database == name {
			return d
		}
	}
	return nil
}

// About is a database as the console shows it, as far as the configuration says it; ok is false where it is not there.
func (s *Snapshot) About(name string) (x console.Database, ok bool) {
	d := s.known(name)
	if d == nil {
		return x, false
	}
	x = console.Database{
		Name: name, Database: name, ForceUser: d.forced, PoolSize: d.profile.Max, MinPoolSize: d.profile.Min,
		ReservePoolSize: d.profile.Reserve, ServerLifetime: d.profile.Lifetime, MaxServers: cmp.Or(d.most, s.most.Database), Mode: modeName(d.mode), MaxClients: s.Bounds(Asked{Database: name}, "").Database,
	}
	if d.server != "" {
		x.Database = d.server
	}
	if n := s.primaries[d.cluster]; n != nil {
		x.Host, x.Port, x.Node, x.LoadBalanceHosts = n.GetHost(), int(n.GetPort()), n.GetName(), s.LoadBalanceHosts(n.GetName())
	}
	return x, true
}

// LoadBalanceHosts is how connections are spread over the hosts of a node, in PgBouncer's words; empty where there is one host and
// nothing is said, or the node is not there.
func (s *Snapshot) LoadBalanceHosts(node string) string {
	l := s.links[node]
	switch {
	case l == nil:
		return ""
	case l.spread:
		return "round-robin"
	case len(l.hosts) > 1:
		return "disable"
	}
	return ""
}

// Mode is the pool mode of a database, for a user who may have one of his own; empty where the database is not there.
func (s *Snapshot) Mode(name, user string) string {
	d := s.known(name)
	if d == nil {
		return ""
	}
	if u := s.users[user]; u != nil && u.pool.mode != heliosv1.PoolMode_POOL_MODE_UNSPECIFIED {
		return modeName(u.pool.mode)
	}
	return modeName(d.mode)
}

func modeName(m heliosv1.PoolMode) string {
	switch m {
	case heliosv1.PoolMode_POOL_MODE_SESSION:
		return "session"
	case heliosv1.PoolMode_POOL_MODE_STATEMENT:
		return "statement"
	}
	return "transaction"
}

// AboutUser is a user as the console shows him, as far as the configuration says it: what it says of all where it says nothing of him.
func (s *Snapshot) AboutUser(name string) console.User {
	x := console.User{Name: name, MaxServers: cmp.Or(s.mostOf[name], s.most.User), MaxClients: s.Bounds(Asked{}, name).User}
	if u := s.users[name]; u != nil {
		x.PoolSize, x.MaxServers = u.pool.max, cmp.Or(s.mostOf[u.server], s.most.User)
		if u.pool.mode != heliosv1.PoolMode_POOL_MODE_UNSPECIFIED {
			x.Mode = modeName(u.pool.mode)
		}
	}
	return x
}

// Users yields the users that the configuration names.
func (s *Snapshot) Users(yield func(name string) bool) {
	for name := range s.users {
		if !yield(name) {
			return
		}
	}
}
