package hba

import (
	"errors"
	"fmt"
)

// Parse reads a pg_hba.conf. file names it in problems, and what it includes is beside it. All problems are returned at once, in the order
// of the lines; with any there are no Rules. What PostgreSQL refuses is refused, and so is what it would take and the proxy cannot do; only
// some regular expressions that have no meaning to it, as ^*, are taken.
func Parse(file string, text []byte, opt Options) (*Rules, []Problem) {
	r := reader{opt: opt}
	rules := &Rules{}
	lines := r.lines(file, string(text), 0)
	for i := range lines {
		l := &lines[i]
		rule, err := parseRule(l)
		if err == nil {
			err = refuse(opt.Lack, rule.needs())
		}
		if err != nil {
			r.problem(l.file, l.number, err.Error())
			continue
		}
		rules.rules = append(rules.rules, *rule)
		rules.needs = rules.needs.and(rule.needs())
	}
	if len(rules.rules) == 0 && len(r.problems) == 0 {
		r.problem(file, 0, "contains no entries: nobody could connect")
	}
	if len(r.problems) > 0 {
		return nil, inOrder(r.problems)
	}
	return rules, nil
}

// columns hands out the fields of a line one by one.
type columns [][]token

// next takes the next column, or says that the line ends before what is looked for.
func (c *columns) next(what string) ([]token, error) {
	if len(*c) == 0 {
		return nil, fmt.Errorf("end-of-line before %s", what)
	}
	field := (*c)[0]
	*c = (*c)[1:]
	return field, nil
}

// one takes the next column, which must be one word.
func (c *columns) one(what, name string) (token, error) {
	field, err := c.next(what)
	if err != nil {
		return token{}, err
	}
	if len(field) > 1 {
		return token{}, fmt.Errorf("multiple values specified for %s", name)
	}
	return field[0], nil
}

// names takes the next column, a list.
func (c *columns) names(what string, parse func(token) (name, error)) ([]name, error) {
	field, err := c.next(what)
	if err != nil {
		return nil, err
	}
	names := make([]name, len(field))
	for i, t := range field {
		if names[i], err = parse(t); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func parseRule(l *line) (*Rule, error) {
	c := columns(l.fields)
	t, err := c.one("connection type", "connection type")
	if err != nil {
		return nil, err
	}
	rule := &Rule{File: l.file, Line: l.number, Type: ConnType(t.text)}
	if !rule.Type.known() {
		return nil, fmt.Errorf("invalid connection type %q", t.text)
	}
	if rule.databases, err = c.names("database specification", newDatabase); err != nil {
		return nil, err
	}
	if rule.users, err = c.names("role specification", newUser); err != nil {
		return nil, err
	}
	if rule.Type != Local {
		if err := rule.parseAddress(&c); err != nil {
			return nil, err
		}
	}
	if t, err = c.one("authentication method", "authentication type"); err != nil {
		return nil, err
	}
	if err := rule.parseMethod(Method(t.text)); err != nil {
		return nil, err
	}
	for _, field := range c {
		for _, t := range field {
			if err := rule.parseOption(t.text); err != nil {
				return nil, err
			}
		}
	}
	if rule.Method == Cert {
		rule.ClientCert = VerifyFull
	}
	return rule, unsupported(rule.Method)
}

func (r *Rule) parseAddress(c *columns) error {
	t, err := c.one("IP address specification", "host address")
	if err != nil {
		return err
	}
	address, wantsMask, err := parseAddress(t)
	if err != nil {
		return err
	}
	r.address = address
	if !wantsMask {
		return nil
	}
	if t, err = c.one("netmask specification", "netmask"); err != nil {
		return err
	}
	return r.address.addMask(t)
}

func (r *Rule) parseMethod(m Method) error {
	switch m {
	case Trust, Reject, Password, MD5, SCRAM, Cert, Peer, PAM, ident, gss, sspi, ldap, radius, bsd, oauth:
	default:
		return fmt.Errorf("invalid authentication method %q", m)
	}
	if r.Method = m; r.Type == Local && m == ident {
		r.Method = Peer // as ever since there is peer
	}
	switch {
	case r.Type == Local && m == gss:
		return errors.New("gssapi authentication is not supported on local sockets")
	case r.Type != Local && m == Peer:
		return errors.New("peer authentication is only supported on local sockets")
	case r.Type != HostSSL && m == Cert:
		return errors.New("cert authentication is only supported on hostssl connections")
	}
	return nil
}

// unsupported says what to do instead of a method of PostgreSQL's that the proxy does not have.
func unsupported(m Method) error {
	var instead string
	switch m {
	case ident:
		instead = "cert, which says who a client is without asking its machine"
	case ldap, radius, bsd:
		instead = "pam with a service that asks the same"
	case gss, sspi, oauth:
		instead = "cert or scram-sha-256"
	default:
		return nil
	}
	return fmt.Errorf("authentication method %q is not supported: use %s", m, instead)
}

func (r *Rule) needs() (n Needs) {
	for _, d := range r.databases {
		n.Roles = n.Roles || d.kind == sameRole
	}
	for _, u := range r.users {
		n.Roles = n.Roles || u.kind == member
	}
	n.HostNames = r.address.kind == hostName
	n.Interfaces = r.address.kind == sameHost || r.address.kind == sameNet
	return n
}

func (n Needs) and(m Needs) Needs {
	return Needs{n.Roles || m.Roles, n.HostNames || m.HostNames, n.Interfaces || m.Interfaces}
}

// refuse says what to do instead of a rule that needs what is lacking.
func refuse(lack, n Needs) error {
	switch {
	case lack.Roles && n.Roles:
		return errors.New("which roles a user is a member of is not known here: name the users, or their databases, one by one or by a regular expression")
	case lack.HostNames && n.HostNames:
		return errors.New("host names are not looked up here: write addresses")
	case lack.Interfaces && n.Interfaces:
		return errors.New("the addresses of this machine are not known here: write the networks instead of samehost and samenet")
	}
	return nil
}
