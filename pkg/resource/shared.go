package resource

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// serverDatabase is a database at the servers of a cluster. All who reach it as the same user share a pool.
type serverDatabase struct{ cluster, name string }

// sharedPools checks that databases which share pools agree about their size and times. Each is held against
// the first in the order of names; the mode is a session's own and may differ.
func (c *checker) sharedPools() {
	first := map[serverDatabase]string{}
	for _, name := range slices.Sorted(maps.Keys(c.set.Databases)) {
		d := c.set.Databases[name]
		at := reaches(d)
		if at.name == "" {
			continue
		}
		other, taken := first[at]
		if !taken {
			first[at] = name
			if at.name != AnyDatabase {
				other, taken = c.anyReaches(at)
			}
		}
		if taken && !c.agree(d, c.set.Databases[other]) {
			c.kind, c.name = KindDatabase, name
			c.refuse("pool_profile", "shares the pool of %q at the server with database %q, so nothing but the mode may differ", at.name, other)
		}
	}
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

// agree says whether the pools of two databases are alike but for their mode. What has no profile agrees
// with all: that it has none is a problem of its own.
func (c *checker) agree(a, b *heliosv1.Database) bool {
	p, q := c.set.PoolProfiles[a.GetPoolProfile()], c.set.PoolProfiles[b.GetPoolProfile()]
	if p == nil || q == nil {
		return true
	}
	p, q = proto.Clone(p).(*heliosv1.PoolProfile), proto.Clone(q).(*heliosv1.PoolProfile)
	p.Name, p.Mode = q.Name, q.Mode
	return proto.Equal(p, q)
}

// sharedUsers checks that users who log in at servers under one name do so with one password, or one from the same place: they
// share its connections.
func (c *checker) sharedUsers() {
	first := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.set.Users)) {
		u := c.set.Users[name]
		if u.GetServerPassword().GetValue() == "" && u.GetServerPasswords() == nil {
			continue
		}
		as := u.GetServerUser()
		if as == "" {
			as = name
		}
		other, taken := first[as]
		if !taken {
			first[as] = name
			continue
		}
		o := c.set.Users[other]
		if !proto.Equal(o.GetServerPasswords(), u.GetServerPasswords()) {
			c.kind, c.name = KindUser, name
			c.refuse("server_passwords", "user %q logs in at servers as %q too, with a password from another place", other, as)
		} else if o.GetServerPassword().GetValue() != u.GetServerPassword().GetValue() {
			c.kind, c.name = KindUser, name
			c.refuse("server_password", "user %q logs in at servers as %q too, with another password", other, as)
		}
	}
}
