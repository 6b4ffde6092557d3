package auth

import (
	"crypto/x509"
	"net/netip"
	"slices"

	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
)

// Method is how clients prove who they are.
type Method uint8

// Methods. LocalOnly is what holds when nothing was said: those on this machine are let in under any name.
const (
	LocalOnly Method = iota
	Trust
	Reject
	Cert
	Peer
	Password
	MD5
	SCRAM
	SCRAMPlus
	Judged // a password in clear text, of which the door's Judge knows whether it is right
)

// NeedsUser says whether only users whose secret is known may log in.
func (m Method) NeedsUser() bool { return m >= Password && m != Judged }

// asks says whether clients are asked for a secret.
func (m Method) asks() bool { return m >= Password }

// Door is how the clients of a listener prove who they are: all by one method, or each by the first of the rules that fits.
// It does not change.
type Door struct {
	Method Method
	Rules  *hba.Rules // nil: Method is for all
	Maps   *hba.Maps  // nil: there are none
	// Named says that every client has a certificate with the name of its user, besides what else it proves.
	Named bool
	// Hashes says that method md5 asks those for an MD5 hash who are not there, as it does those who are. Else it is SCRAM, as with PostgreSQL.
	Hashes bool
	// Judge is whom Judged asks; it is there if clients may come to that.
	Judge Judge
}

// Client is what is known of a client before it proves anything.
type Client struct {
	User, Database string
	Physical       bool // it wants physical replication, and no database
	Unix           bool // it is at a unix socket
	Local          bool // it is on this machine
	Addr           netip.Addr
	TLS            bool
	EndPoint       []byte            // what SCRAM binds to, [tlsconf.EndPoint]; nil where there is nothing
	Cert           *x509.Certificate // nil, or verified
	// OSUser returns the operating system's name of who is at the other end of a unix socket. It may block.
	OSUser func() (string, error)
	// Interfaces and HostName are those of [hba.Request]. They may block.
	Interfaces func() ([]netip.Prefix, error)
	HostName   func() string
}

// rule is what a door asks of one client.
type rule struct {
	method  Method
	usermap string
	cert    hba.ClientCert
	dn      bool // the certificate's whole subject names
	san     bool // its alternative names do
	service string
}

var methods = map[hba.Method]Method{
	hba.Trust: Trust, hba.Reject: Reject, hba.Password: Password, hba.MD5: MD5, hba.SCRAM: SCRAM, hba.Cert: Cert, hba.Peer: Peer,
	hba.PAM: Judged,
}

// blocks says whether decide may block.
func (d *Door) blocks() bool {
	if d.Rules == nil {
		return false
	}
	n := d.Rules.Needs()
	return n.HostNames || n.Interfaces
}

// decide finds the rule for a client.
func (d *Door) decide(c *Client) (rule, *pgerr.Error) {
	r := rule{method: d.Method}
	switch {
	case d.Rules != nil:
		var err *pgerr.Error
		if r, err = d.match(c); err != nil {
			return rule{}, err
		}
	case r.method == Cert:
		r.cert = hba.VerifyFull
	}
	if d.Named {
		r.cert = hba.VerifyFull
	}
	if r.cert != "" && c.Cert == nil && !c.Unix {
		return rule{}, pgerr.New(pgerr.NoCertificate)
	}
	return r, nil
}

// match finds the rule of pg_hba.conf for a client.
func (d *Door) match(c *Client) (rule, *pgerr.Error) {
	q := &hba.Request{User: c.User, Database: c.Database, Replication: c.Physical, Local: c.Unix, Addr: c.Addr, TLS: c.TLS, HostName: c.HostName}
	if !c.Unix && d.Rules.Needs().Interfaces {
		own, err := c.Interfaces()
		if err != nil {
			return rule{}, noRule(c).Because(err)
		}
		q.Interfaces = own
	}
	m, err := d.Rules.Match(q)
	switch {
	case err != nil:
		return rule{}, noRule(c).Because(err)
	case m == nil:
		return rule{}, noRule(c)
	case m.Method == hba.Reject:
		return rule{}, refused(c).Because(&ruleError{m})
	}
	return rule{method: methods[m.Method], usermap: m.Map, cert: m.ClientCert, dn: m.ClientDN, san: m.ClientSAN, service: m.PAMService}, nil
}

// ruleError names a rule, for the log.
type ruleError struct{ r *hba.Rule }

func (e *ruleError) Error() string { return e.r.File + ": " + e.r.String() }

// noRule says that no rule fits a client, and refused that one rejects it, in PostgreSQL's words.
func noRule(c *Client) *pgerr.Error {
	if c.Physical {
		return pgerr.New(pgerr.NoRule, "replication connection from "+where(c))
	}
	return pgerr.New(pgerr.NoRule, where(c))
}

func refused(c *Client) *pgerr.Error {
	if c.Physical {
		return pgerr.New(pgerr.RuleRejects, "replication connection for "+where(c))
	}
	return pgerr.New(pgerr.RuleRejects, "connection for "+where(c))
}

// where says who a client is and from where it comes.
func where(c *Client) string {
	s := "host \"[local]\""
	if !c.Unix {
		s = "host \"" + c.Addr.String() + "\""
	}
	s += ", user \"" + c.User + "\", "
	if !c.Physical {
		s += "database \"" + c.Database + "\", "
	}
	if c.TLS {
		return s + "SSL encryption"
	}
	return s + "no encryption"
}

// allows says whether somebody whom a method knows as system may be user.
func (d *Door) allows(r rule, system, user string) bool {
	return d.Maps.Allows(r.usermap, system, user, nil)
}

// certified says whether the client's certificate has the name of the user.
func (d *Door) certified(r rule, c *Client) bool {
	if c.Cert == nil {
		return false
	}
	names, err := tlsconf.NamesOf(c.Cert)
	if err != nil {
		return false
	}
	all := []string{names.CN}
	switch {
	case r.dn:
		all[0] = names.DN
	case r.san:
		all = slices.Concat(names.DNS, names.Emails, names.URIs, names.IPs)
	}
	return slices.ContainsFunc(all, func(name string) bool { return name != "" && d.allows(r, name, c.User) })
}
