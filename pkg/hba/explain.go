package hba

import (
	"fmt"
	"net/netip"
	"strings"
)

// A Step is one rule that was looked at for a client.
type Step struct {
	Rule *Rule // belongs to the Rules, and may not be changed
	Fits bool
	// Why it fits, or what of it does not: clauses without capital and full stop. What the client sent stands in quotes in them, as Go writes them.
	Why string
}

// Explain is [Rules.Match] that says what it does: it returns the rules that Match looks at in their order, the last one being the one that fits if one does. Where
// Match has an error, so has Explain, and the steps are those before.
func (r *Rules) Explain(q *Request) ([]Step, error) {
	c := newClient(q)
	var steps []Step
	for i := range r.rules {
		rule := &r.rules[i]
		misfit := c.misfit(rule)
		if c.lacks != "" {
			return steps, c.lacking(rule)
		}
		if misfit == fitsAll {
			return append(steps, Step{Rule: rule, Fits: true, Why: c.fit(rule)}), nil
		}
		steps = append(steps, Step{Rule: rule, Why: c.unfit(rule, misfit)})
	}
	return steps, nil
}

// unfit says why a column does not fit.
func (c *client) unfit(rule *Rule, misfit column) string {
	switch misfit {
	case ofType:
		return c.otherType(rule.Type)
	case ofDatabases:
		return c.noDatabase(rule.databases)
	case ofUsers:
		return c.noUser(rule.users)
	default:
		return c.elsewhere(&rule.address)
	}
}

// otherType says for whom a rule is that is not connected so.
func (c *client) otherType(t ConnType) string {
	switch {
	case t == Local:
		return "it is for unix sockets, and the client comes by TCP"
	case c.Local:
		return "it is for TCP, and the client comes by a unix socket"
	case t == HostSSL:
		return "it is for TLS, and the connection is not encrypted by it"
	case t == HostNoSSL:
		return "it is for connections without TLS, and this one has it"
	case t == HostGSSEnc:
		return "it is for encryption by GSSAPI, and the connection has none"
	default:
		return "it is for connections without encryption by GSSAPI, and this one has it"
	}
}

func (c *client) noDatabase(names []name) string {
	words := list(names)
	switch {
	case c.Replication:
		return fmt.Sprintf("only the word replication fits physical replication, not %s", words)
	case words == "replication":
		return "it is for physical replication, and the client wants a database"
	case words == "sameuser":
		return fmt.Sprintf("it is for a database with the user's name, and database %q is not named as user %q", c.database, c.user)
	case words == "samerole":
		return fmt.Sprintf("user %q is not a member of a role %q, as its database is called", c.user, c.database)
	}
	return fmt.Sprintf("database %q is not in %s", c.database, words) + quotedWord(names)
}

func (c *client) noUser(names []name) string {
	if len(names) == 1 && names[0].kind == member {
		return fmt.Sprintf("user %q is not a member of %q", c.user, names[0].text)
	}
	return fmt.Sprintf("user %q is not in %s", c.user, list(names)) + quotedWord(names)
}

// quotedWord warns of a name that would be a keyword without its quotes.
func quotedWord(names []name) string {
	for i := range names {
		switch n := &names[i]; {
		case n.kind != exact:
		case n.text == "all", n.text == "sameuser", n.text == "samerole", n.text == "samegroup", n.text == "replication", strings.HasPrefix(n.text, "+"):
			return fmt.Sprintf(" (in quotes %q is a name and no keyword)", n.text)
		}
	}
	return ""
}

// elsewhere says where a client is not.
func (c *client) elsewhere(a *address) string {
	switch a.kind {
	case hostName:
		name := c.hostName()
		if name == "" {
			return fmt.Sprintf("address %s has no host name that leads back to it, so it is not %s", c.addr, a)
		}
		return fmt.Sprintf("host %q is not %s", name, a)
	case sameHost:
		return fmt.Sprintf("address %s is none of the proxy's machine", c.addr)
	case sameNet:
		return fmt.Sprintf("address %s is in no network of the proxy's machine", c.addr)
	}
	if c.addr.IsValid() && c.addr.Is4() != a.ip.Is4() {
		return fmt.Sprintf("address %s is %s, and %s is %s", c.addr, family(c.addr), a, family(a.ip))
	}
	return fmt.Sprintf("address %s is not in %s", c.addr, a)
}

func family(ip netip.Addr) string {
	if ip.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// fit says why every column of a rule fits.
func (c *client) fit(rule *Rule) string {
	var why []string
	switch rule.Type {
	case Local:
		why = append(why, "a unix socket")
	case HostSSL:
		why = append(why, "TCP with TLS")
	case HostNoSSL:
		why = append(why, "TCP without TLS")
	case HostGSSEnc:
		why = append(why, "TCP with encryption by GSSAPI")
	case HostNoGSSEnc:
		why = append(why, "TCP without encryption by GSSAPI")
	default:
		why = append(why, "TCP")
	}
	if c.Replication {
		why = append(why, "physical replication")
	} else {
		why = append(why, c.among("database", c.database, rule.databases, func(n []name) bool { return c.isDatabase(n) }))
	}
	why = append(why, c.among("user", c.user, rule.users, func(n []name) bool { return c.isUser(n) }))
	if rule.Type != Local {
		why = append(why, c.at(&rule.address))
	}
	return strings.Join(why, "; ")
}

// among says which word of a column is this name.
func (c *client) among(what, s string, names []name, fits func([]name) bool) string {
	for i := range names {
		if one := names[i : i+1]; fits(one) {
			switch n := &one[0]; n.kind {
			case all:
				return "any " + what
			case exact:
				return fmt.Sprintf("%s %q", what, s)
			default:
				return fmt.Sprintf("%s %q by %s", what, s, n)
			}
		}
	}
	return fmt.Sprintf("%s %q", what, s)
}

// at says where the client is.
func (c *client) at(a *address) string {
	switch a.kind {
	case anyAddress:
		return "any address"
	case hostName:
		return fmt.Sprintf("host %q by %s", c.hostName(), a)
	case sameHost:
		return fmt.Sprintf("address %s is one of the proxy's machine", c.addr)
	case sameNet:
		return fmt.Sprintf("address %s is in a network of the proxy's machine", c.addr)
	}
	return fmt.Sprintf("address %s in %s", c.addr, a)
}
