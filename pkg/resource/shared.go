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

// sharedPools checks that databases which share pools agree about their size and times. Each is held against
// the first in the order of names; the mode is a session's own and may differ. Those whose clients are not the same users at the
// server share no pools, but the bound of all connections to the database there.
func (c *checker) sharedPools() {
	before := map[serverDatabase][]string{}
	for _, name := range slices.Sorted(maps.Keys(c.set.Databases)) {
		d := c.set.Databases[name]
		at := reaches(d)
		if at.name == "" {
			continue
		}
		others := before[at]
		before[at] = append(others, name)
		if len(others) == 0 && at.name != AnyDatabase {
			if any, ok := c.anyReaches(at); ok {
				others = []string{any}
			}
		}
		c.kind, c.name = KindDatabase, name
		for _, other := range others {
			o := c.set.Databases[other]
			if sameUsers(d, o) && !c.agree(d, o) {
				c.refuse("pool_profile", "shares the pool of %q at the server with database %q, so nothing but the mode and the times of sessions may differ", at.name, other)
				break
			}
			if d.GetMaxServerConnections() != o.GetMaxServerConnections() {
				c.refuse("max_server_connections", "database %q leads to %q at the server too, with another bound", other, at.name)
				break
			}
		}
	}
}

// sameUsers says whether clients of two databases may be the same user at the server.
func sameUsers(a, b *heliosv1.Database) bool {
	return a.GetServerUser() == "" || b.GetServerUser() == "" || a.GetServerUser() == b.GetServerUser()
}

// reaches returns the database that d leads to. One that is known as [AnyDatabase] may lead to many, which have its name here.
func reaches(d *heliosv1.Database) serverDatabase {
	return serverDatabase{d.GetCluster(), cmp.Or(d.GetServerName(), KnownAs(d))}
}

// anyReaches says through which Database, known as [AnyDatabase], clients can come to a server's database by its own name.
func (c *checker) anyReaches(at serverDatabase) (through string, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(c.set.Databases)) {
		d := c.set.Databases[name]
		if KnownAs(d) == at.name && len(d.GetServerNames()) == 0 {
			return "", false // who asks for that name gets this one, by whatever host name it comes
		}
		if !ok && reaches(d) == (serverDatabase{at.cluster, AnyDatabase}) {
			through, ok = name, true
		}
	}
	return through, ok
}

// agree says whether the pools of two databases are alike but for what is a session's own: its mode, times and parameters. What has no profile agrees
// with all: that it has none is a problem of its own.
func (c *checker) agree(a, b *heliosv1.Database) bool {
	p, q := c.set.PoolProfiles[a.GetPoolProfile()], c.set.PoolProfiles[b.GetPoolProfile()]
	if p == nil || q == nil {
		return true
	}
	p, q = proto.Clone(p).(*heliosv1.PoolProfile), proto.Clone(q).(*heliosv1.PoolProfile)
	for _, x := range []*heliosv1.PoolProfile{p, q} {
		x.Name, x.Mode = "", heliosv1.PoolMode_POOL_MODE_UNSPECIFIED
		x.QueryTimeout, x.TransactionTimeout, x.IdleTransactionTimeout, x.ClientIdleTimeout = nil, nil, nil, nil
		x.ApplicationNameAddHost, x.IgnoreStartupParameters = false, nil
	}
	return proto.Equal(p, q)
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
// pools of one size: they share its connections. So do the clients of a database that are all one user there.
func (c *checker) sharedUsers() {
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
		c.oneSecret(secrets, as, x)
	}
	for _, name := range slices.Sorted(maps.Keys(c.set.Databases)) {
		d := c.set.Databases[name]
		as, password := d.GetServerUser(), d.GetServerPassword().GetValue()
		if as == "" || password == "" {
			continue
		}
		c.kind, c.name = KindDatabase, name
		if u := c.set.Users[as]; u != nil && cmp.Or(u.GetServerUser(), as) == as && u.GetServerPasswords() == nil && u.GetServerPassword().GetValue() == "" {
			if form, _ := FormOf(u.GetSecret().GetValue()); form == SecretPassword {
				c.oneSecret(map[string]serverUser{as: {by: "user " + strconv.Quote(as), password: u.GetSecret().GetValue()}}, as, serverUser{password: password})
			}
		}
		c.oneSecret(secrets, as, serverUser{by: "database " + strconv.Quote(name), password: password})
	}
}

// oneSecret refuses another secret for the same name at servers than the first.
func (c *checker) oneSecret(first map[string]serverUser, as string, x serverUser) {
	other, taken := first[as]
	switch {
	case !taken:
		first[as] = x
	case !proto.Equal(other.passwords, x.passwords):
		c.refuse("server_passwords", "%s logs in at servers as %q too, with a password from another place", other.by, as)
	case other.password != x.password:
		c.refuse("server_password", "%s logs in at servers as %q too, with another password", other.by, as)
	}
}
