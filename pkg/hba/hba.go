// Package hba is PostgreSQL's client authentication configuration: the rules of pg_hba.conf and the user name maps of pg_ident.conf, read and matched as PostgreSQL 18 does. It never authenticates anybody, and does no I/O but by the functions that its caller hands in.
//
// The source of every rule here is PostgreSQL's src/backend/libpq/hba.c and the chapter "Client Authentication" of its
// documentation. Before PostgreSQL 16 there were no regular expressions in the columns of databases and users, no include,
// include_if_exists and include_dir, and in pg_ident.conf no all, +role and regular expression as database user; here they are always
// there.
package hba

import (
	"fmt"
	"io/fs"
	"iter"
	"net/netip"
	"strings"
)

// Options are what [Parse] and [ParseIdent] may do, and what their caller can do later. The zero value reads no further file and refuses
// no rule.
type Options struct {
	// ReadFile reads a file that is included, as os.ReadFile does. A relative path was made one beside the including file. Nil refuses
	// include, include_if_exists and @file.
	ReadFile func(path string) ([]byte, error)
	// ReadDir lists the directory of an include_dir, as os.ReadDir does. Nil refuses include_dir.
	ReadDir func(path string) ([]fs.DirEntry, error)
	// Lack is what cannot be looked up for a [Request]: a rule that needs it is a problem.
	Lack Needs
}

// Needs is what must be looked up for some rules, beside what a connection shows by itself.
type Needs struct {
	Roles      bool // which roles a user is a member of: for +role, samerole and samegroup
	HostNames  bool // the host name of a client's address: for a host name or .suffix in the column of addresses
	Interfaces bool // the machine's own addresses: for samehost and samenet
}

// Rules are the rules of one pg_hba.conf in their order, with those of the files that it includes. They do not change, and any number of
// goroutines may use them.
type Rules struct {
	rules []Rule
	needs Needs
}

// A Request is what a client asks for, and how it is connected. Of the names, the first 63 bytes count: to PostgreSQL the others were never
// there.
type Request struct {
	User     string
	Database string
	// Replication says that this is a connection for physical replication: it has no database, and only the word replication fits it. One
	// for logical replication has a database and is as any other.
	Replication bool

	Local bool       // by a unix socket; Addr, TLS and GSS then mean nothing
	Addr  netip.Addr // the client's address; an IPv4 address that is mapped into IPv6 is the IPv4 address
	TLS   bool       // encrypted by TLS
	GSS   bool       // encrypted by GSSAPI

	// Interfaces are the addresses of this machine, each with the length of its network's mask: not masked, and no IPv4 address mapped.
	Interfaces []netip.Prefix
	// HostName returns the name that Addr resolves to, if that name resolves to Addr again; otherwise "". It may block, and is called at most
	// once by a Match, and only for a rule whose other columns fit. Nil if [Needs] has no HostNames.
	HostName func() string
	// Member says whether user is role or, directly or not, a member of role, by grants alone: a superuser is not a member of everything.
	// Where one of the two does not exist the answer is no. Nil if [Needs] has no Roles.
	Member func(user, role string) bool
}

// Match returns the first rule that fits, nil if there is none: the client is then refused, as by reject. An error says that whether a rule
// fits cannot be told because q lacks what it needs; the client must be refused. The Rule belongs to r and may not be changed.
func (r *Rules) Match(q *Request) (*Rule, error) {
	c := newClient(q)
	for i := range r.rules {
		rule := &r.rules[i]
		misfit := c.misfit(rule)
		if c.lacks != "" {
			return nil, c.lacking(rule)
		}
		if misfit == fitsAll {
			return rule, nil
		}
	}
	return nil, nil
}

// Needs returns what the rules need to be looked up, all taken together.
func (r *Rules) Needs() Needs { return r.needs }

// All returns the rules in their order. They belong to r and may not be changed.
func (r *Rules) All() iter.Seq[*Rule] {
	return func(yield func(*Rule) bool) {
		for i := range r.rules {
			if !yield(&r.rules[i]) {
				return
			}
		}
	}
}

// Text returns a pg_hba.conf with the same rules, a line each, as [Rule.String] has it. It includes no file.
func (r *Rules) Text() string {
	var b strings.Builder
	for rule := range r.All() {
		b.WriteString(rule.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// A client is a Request while it is matched.
type client struct {
	*Request
	user, database string
	addr           netip.Addr // neither mapped nor with a zone
	lacks          string     // what a rule needed and Request does not have; empty: nothing

	name  string // what HostName answered
	named bool   // it was asked
}

func newClient(q *Request) client {
	return client{Request: q, user: truncate(q.User), database: truncate(q.Database), addr: q.Addr.Unmap().WithZone("")}
}

// column is a column of a rule that may fit a client or not.
type column uint8

const (
	fitsAll column = iota // no column that does not fit
	ofType
	ofDatabases
	ofUsers
	ofAddresses
)

// misfit returns the first column of a rule that does not fit. What it returns means nothing once lacks is set.
func (c *client) misfit(rule *Rule) column {
	switch {
	case !rule.Type.fits(c.Request):
		return ofType
	case !c.isDatabase(rule.databases):
		return ofDatabases
	case !c.isUser(rule.users):
		return ofUsers
	case !c.Local && !c.isAt(&rule.address):
		return ofAddresses
	}
	return fitsAll
}

// lacking says that whether a rule fits cannot be told.
func (c *client) lacking(rule *Rule) error {
	return fmt.Errorf("%s:%d: the rule needs %s, which the request does not have", rule.File, rule.Line, c.lacks)
}

// truncate cuts a name of a start-up packet as PostgreSQL does, after NAMEDATALEN-1 bytes.
func truncate(name string) string { return name[:min(len(name), 63)] }

func (c *client) hostName() string {
	if !c.named && c.HostName == nil {
		c.lacks = "the client's host name"
	} else if !c.named {
		c.name, c.named = c.HostName(), true
	}
	return c.name
}

func (c *client) isMember(role string) bool {
	if c.Member == nil {
		c.lacks = "the memberships of roles"
		return false
	}
	return c.Member(c.user, role)
}
