package resource

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// serverDatabase is a database at the servers of a cluster. All who reach it as the same user share a pool.
type serverDatabase struct{ cluster, name string }

// serverLogin is a user in a database at the servers of a cluster: whose pool it is.
type serverLogin struct {
	serverDatabase
	user string // empty: each client himself
}

// sharing is what is known of Databases that lead to the same places, gathered once: there may be thousands.
type sharing struct {
	names    []string          // of all Databases, in order
	alone    map[string]bool   // what clients ask for and get by whatever host name they come
	any      map[string]string // by cluster, the first that is known as [AnyDatabase] and leads to what is asked for
	profiles map[string]*heliosv1.PoolProfile
}

// sharing gathers it.
func (c *checker) sharing() *sharing {
	s := &sharing{names: slices.Sorted(maps.Keys(c.set.Databases)), alone: map[string]bool{}, any: map[string]string{}, profiles: map[string]*heliosv1.PoolProfile{}}
	for _, name := range s.names {
		d := c.set.Databases[name]
		if len(d.GetServerNames()) == 0 {
			s.alone[KnownAs(d)] = true
		}
		if at := reaches(d); at.name == AnyDatabase && s.any[at.cluster] == "" {
			s.any[at.cluster] = name
		}
	}
	for name, p := range c.set.PoolProfiles {
		s.profiles[name] = poolsOf(p)
	}
	return s
}

// ways are the places by which clients come to a server's database: by Databases that lead there, and, by its own name, through one that
// is known as [AnyDatabase].
func (s *sharing) ways(at serverDatabase) []serverDatabase {
	if _, any := s.any[at.cluster]; any && at.name != AnyDatabase && !s.alone[at.name] {
		return []serverDatabase{at, {at.cluster, AnyDatabase}}
	}
	return []serverDatabase{at}
}

// sharedPools checks that databases which share pools agree about their size and times. Each is held against the first in the order of names
// whose clients may be the same users at the server; the mode is a session's own and may differ. Those whose clients are not share no pools, but
// the bound of all connections to the database there.
func (c *checker) sharedPools(s *sharing) {
	places := map[serverDatabase]*sharedPlace{}
	for _, name := range s.names {
		d := c.set.Databases[name]
		at, user := reaches(d), d.GetServerUser()
		if at.name == "" {
			continue
		}
		p := places[at]
		if p == nil {
			p = &sharedPlace{as: map[string]string{}}
			if p.any = s.through(at); p.any != "" {
				p.add(p.any, c.set.Databases[p.any].GetServerUser())
			}
			places[at] = p
		}
		var others []string // that it agrees with if it does with all
		switch {
		case p.self != "":
			others = []string{p.self}
		case user == "":
			others = p.order // once in a place
		case p.as[user] != "":
			others = []string{p.as[user]}
		}
		c.kind, c.name = KindDatabase, name
		if i := slices.IndexFunc(others, func(other string) bool { return !s.agree(d, c.set.Databases[other]) }); i >= 0 {
			c.refuse("pool_profile", "shares the pool of %q at the server with database %q, so nothing but the mode and the times of sessions may differ", at.name, others[i])
		} else if p.other != "" && d.GetMaxServerConnections() != c.set.Databases[p.other].GetMaxServerConnections() {
			c.refuse("max_server_connections", "database %q leads to %q at the server too, with another bound", p.other, at.name)
		}
		p.add(name, user)
	}
}

// sharedPlace is what is known of the Databases that lead to a place, in their order.
type sharedPlace struct {
	any   string            // that leads there by its own name, before all others; it is named where no other can be
	other string            // the last
	self  string            // the first whose clients are themselves
	as    map[string]string // the first of each server user
	order []string          // these
}

// add adds a Database whose clients are user at the server.
func (p *sharedPlace) add(name, user string) {
	p.other = name
	if user == "" && (p.self == "" || p.self == p.any) {
		p.self = name
	}
	if o := p.as[user]; o == "" || o == p.any {
		p.as[user] = name
		p.order = append(p.order, name)
	}
}

// through is the Database, known as [AnyDatabase], by which clients can come to a server's database by its own name; empty: there is none.
func (s *sharing) through(at serverDatabase) string {
	if len(s.ways(at)) == 1 {
		return ""
	}
	return s.any[at.cluster]
}

// reaches returns the database that d leads to. One that is known as [AnyDatabase] may lead to many, which have its name here.
func reaches(d *heliosv1.Database) serverDatabase {
	return serverDatabase{d.GetCluster(), cmp.Or(d.GetServerName(), KnownAs(d))}
}

// agree says whether the pools of two databases are alike. What has no profile agrees with all: that it has none is a problem of its own.
func (s *sharing) agree(a, b *heliosv1.Database) bool {
	p, q := s.profiles[a.GetPoolProfile()], s.profiles[b.GetPoolProfile()]
	return p == nil || q == nil || p == q || proto.Equal(p, q)
}

// poolsOf is what a profile says of pools, without what is a session's own: its mode, times and parameters.
func poolsOf(p *heliosv1.PoolProfile) *heliosv1.PoolProfile {
	if p == nil {
		return nil
	}
	p = proto.Clone(p).(*heliosv1.PoolProfile)
	p.Name, p.Mode = "", heliosv1.PoolMode_POOL_MODE_UNSPECIFIED
	p.QueryTimeout, p.TransactionTimeout, p.IdleTransactionTimeout, p.ClientIdleTimeout = nil, nil, nil, nil
	p.ApplicationNameAddHost, p.IgnoreStartupParameters = false, nil
	return p
}

// serverUser is what is said of a name that the proxy logs in with at servers, and by whom.
type serverUser struct {
	by        string
	password  string
	passwords *heliosv1.PasswordSource
	pool      *heliosv1.PoolOverrides // what is the pool's: the mode and other times are a session's own
	most      uint32
}

// sharedUsers checks that users who log in at servers under one name do so with one password, or one from the same place, and with
// pools of one size: they share its connections. It returns what is said of their passwords, by that name.
func (c *checker) sharedUsers() map[string]serverUser {
	secrets, pools := map[string]serverUser{}, map[string]serverUser{}
	for _, name := range slices.Sorted(maps.Keys(c.set.Users)) {
		u := c.set.Users[name]
		if u == nil {
			continue
		}
		as := cmp.Or(u.GetServerUser(), name)
		x := serverUser{by: "user " + strconv.Quote(name), password: u.GetServerPassword().GetValue(), passwords: u.GetServerPasswords(), most: u.GetMaxServerConnections()}
		x.pool = &heliosv1.PoolOverrides{MaxConnections: u.GetPool().GetMaxConnections(), IdleTimeout: u.GetPool().GetIdleTimeout(), AcquireTimeout: u.GetPool().GetAcquireTimeout()}
		c.kind, c.name = KindUser, name
		if other, taken := pools[as]; !taken {
			pools[as] = x
		} else if !proto.Equal(other.pool, x.pool) {
			c.refuse("pool", "%s logs in at servers as %q too, and shares its pools, so their size and times may not differ", other.by, as)
		} else if other.most != x.most {
			c.refuse("max_server_connections", "%s logs in at servers as %q too, with another bound", other.by, as)
		}
		if x.password == "" && x.passwords == nil {
			continue
		}
		other, taken := secrets[as]
		switch {
		case !taken:
			secrets[as] = x
		case !proto.Equal(other.passwords, x.passwords):
			c.refuse("server_passwords", "%s logs in at servers as %q too, with a password from another place", other.by, as)
		case other.password != x.password:
			c.refuse("server_password", "%s logs in at servers as %q too, with another password", other.by, as)
		}
	}
	return secrets
}

// sharedPasswords checks that each pool has one password. A database's own is for the pools to which it leads, and stands beside those of
// other databases and of users who lead to others: at other servers, or in another database there. said is what users have for servers.
func (c *checker) sharedPasswords(s *sharing, said map[string]serverUser) {
	own, bare := map[serverLogin]string{}, map[serverLogin]string{} // the first Database with a password of its own, and without
	under := map[serverLogin]string{}                               // bare, of those to which one known as [AnyDatabase] leads too
	for _, name := range s.names {
		d := c.set.Databases[name]
		at, as := reaches(d), d.GetServerUser()
		if as != "" && d.GetServerPassword().GetValue() != "" {
			note(own, serverLogin{at, as}, name)
			continue
		}
		note(bare, serverLogin{at, as}, name)
		if s.through(at) != "" {
			note(under, serverLogin{serverDatabase{at.cluster, AnyDatabase}, as}, name)
		}
	}
	for _, name := range s.names {
		d := c.set.Databases[name]
		at, as, password := reaches(d), d.GetServerUser(), d.GetServerPassword().GetValue()
		if as == "" || password == "" {
			continue
		}
		c.kind, c.name = KindDatabase, name
		var other, by string // that have another password, and by which users come to the pool
		for _, way := range s.ways(at) {
			if o := own[serverLogin{way, as}]; other == "" && o != "" && c.set.Databases[o].GetServerPassword().GetValue() != password {
				other = o
			}
			by = cmp.Or(by, bare[serverLogin{way, as}], bare[serverLogin{way, ""}])
		}
		if at.name == AnyDatabase {
			by = cmp.Or(by, under[serverLogin{at, as}], under[serverLogin{at, ""}])
		}
		switch u, ok := c.opensAs(as, said); {
		case other != "":
			c.refuse("server_password", "database %q leads to the same one at the servers and logs in there as %q too, with another password, and they share a pool", other, as)
		case by != "" && ok && u.passwords != nil:
			c.refuse("server_password", "%s logs in at servers as %q too, with a password from another place, and by database %q shares this one's pool", u.by, as, by)
		case by != "" && ok && u.password != password:
			c.refuse("server_password", "%s logs in at servers as %q too, with another password, and by database %q shares this one's pool", u.by, as, by)
		}
	}
}

// note keeps the first name of each.
func note(first map[serverLogin]string, k serverLogin, name string) {
	if _, ok := first[k]; !ok {
		first[k] = name
	}
}

// opensAs is what users log in with at servers under a name: what is said for that, or a user's own password. ok is false where nothing is known.
func (c *checker) opensAs(as string, said map[string]serverUser) (x serverUser, ok bool) {
	if x, ok := said[as]; ok {
		return x, true
	}
	u := c.set.Users[as]
	if u == nil || cmp.Or(u.GetServerUser(), as) != as {
		return serverUser{}, false
	}
	form, _ := FormOf(u.GetSecret().GetValue())
	return serverUser{by: "user " + strconv.Quote(as), password: u.GetSecret().GetValue()}, form == SecretPassword
}
