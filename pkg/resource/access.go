package resource

import (
	"strings"

	"github.com/heliosproxy/heliosproxy/pkg/hba"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// modes are the modes of TLS. What is not said is prefer.
var modes = map[heliosv1.SSLMode]tlsconf.Mode{
	heliosv1.SSLMode_SSL_MODE_UNSPECIFIED: tlsconf.Prefer,
	heliosv1.SSLMode_SSL_MODE_DISABLE:     tlsconf.Disable,
	heliosv1.SSLMode_SSL_MODE_ALLOW:       tlsconf.Allow,
	heliosv1.SSLMode_SSL_MODE_PREFER:      tlsconf.Prefer,
	heliosv1.SSLMode_SSL_MODE_REQUIRE:     tlsconf.Require,
	heliosv1.SSLMode_SSL_MODE_VERIFY_CA:   tlsconf.VerifyCA,
	heliosv1.SSLMode_SSL_MODE_VERIFY_FULL: tlsconf.VerifyFull,
}

// names splits a list with colons between.
func names(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ":")
}

// TowardsClients is the TLS of a listener. Without a ClientTLS there is none.
func TowardsClients(x *heliosv1.ClientTLS) tlsconf.ServerSpec {
	if x == nil {
		return tlsconf.ServerSpec{}
	}
	return tlsconf.ServerSpec{Spec: tlsconf.Spec{
		Mode: modes[x.GetMode()], CertFile: x.GetCertFile(), KeyFile: x.GetKeyFile(),
		KeyPassword: tlsconf.Password(x.GetKeyPassword().GetValue()), CAFile: x.GetCaFile(), CRLFile: x.GetCrlFile(),
		MinVersion: x.GetMinVersion(), MaxVersion: x.GetMaxVersion(), Ciphers: names(x.GetCiphers()), Curves: names(x.GetCurves()),
	}}
}

// TowardsServers is the TLS of connections to a node, which says so itself or leaves it to its cluster, and whether SCRAM is bound to
// it.
func TowardsServers(c *heliosv1.Cluster, n *heliosv1.Node) (tlsconf.ClientSpec, scram.ChannelBinding) {
	x := n.GetTls()
	if x == nil {
		x = c.GetTls()
	}
	return serverTLS(x)
}

func serverTLS(x *heliosv1.ServerTLS) (tlsconf.ClientSpec, scram.ChannelBinding) {
	binding := map[heliosv1.ChannelBinding]scram.ChannelBinding{
		heliosv1.ChannelBinding_CHANNEL_BINDING_DISABLE: scram.Disable,
		heliosv1.ChannelBinding_CHANNEL_BINDING_REQUIRE: scram.Require,
	}[x.GetChannelBinding()]
	mode := modes[x.GetMode()]
	if x.GetDirect() && x.GetMode() == heliosv1.SSLMode_SSL_MODE_UNSPECIFIED {
		mode = tlsconf.Require
	}
	return tlsconf.ClientSpec{Spec: tlsconf.Spec{
		Mode: mode, CertFile: x.GetCertFile(), KeyFile: x.GetKeyFile(),
		KeyPassword: tlsconf.Password(x.GetKeyPassword().GetValue()), CAFile: x.GetCaFile(), CRLFile: x.GetCrlFile(),
		MinVersion: x.GetMinVersion(), MaxVersion: x.GetMaxVersion(), Ciphers: names(x.GetCiphers()), Curves: names(x.GetCurves()),
	}, Direct: x.GetDirect(), SNI: true}, binding
}

// Rules reads the rules and the user name maps of a listener; rules is nil where it has none. Who is a member of which role
// cannot be looked up.
func Rules(l *heliosv1.Listener) (rules *hba.Rules, maps *hba.Maps, problems []hba.Problem) {
	o := hba.Options{Lack: hba.Needs{Roles: true}}
	if l.GetHba() != "" {
		if rules, problems = hba.Parse("hba", []byte(l.GetHba()), o); rules != nil {
			problems = NotServed(rules, l.GetProgram() != nil)
		}
	}
	maps, more := hba.ParseIdent("ident", []byte(l.GetIdent()), o)
	return rules, maps, append(problems, more...)
}

// NotServed lists the rules that cannot be carried out. program says that there is one that judges passwords, which the method pam
// needs.
func NotServed(rules *hba.Rules, program bool) (problems []hba.Problem) {
	for r := range rules.All() {
		refuse := func(reason string) {
			problems = append(problems, hba.Problem{File: r.File, Line: r.Line, Reason: reason})
		}
		switch {
		case r.Method != hba.PAM:
		case !program:
			refuse("method pam needs a program that judges passwords: set program (auth.program in a configuration file), or use another method")
		case r.PAMUseHostname:
			refuse("pam_use_hostname is not supported: the program is told the address")
		}
	}
	return problems
}

// tls says what is wrong with a spec.
func (c *checker) tls(problems []tlsconf.Problem) {
	for _, p := range problems {
		c.refuse("tls."+snake(p.Field), "%s", p.Reason)
	}
}

func (c *checker) mode(m heliosv1.SSLMode) {
	if _, ok := modes[m]; !ok {
		c.refuse("tls.mode", "%d is not a mode of TLS", m)
	}
}

func (c *checker) towardsServers(x *heliosv1.ServerTLS) {
	if x == nil {
		return
	}
	c.mode(x.GetMode())
	c.unshown("tls.key_password", x.GetKeyPassword())
	spec, binding := serverTLS(x)
	c.tls(spec.Check())
	if _, ok := heliosv1.ChannelBinding_name[int32(x.GetChannelBinding())]; !ok {
		c.refuse("tls.channel_binding", "%d is not a way to bind channels", x.GetChannelBinding())
	}
	if binding == scram.Require && !spec.Mode.Offered() {
		c.refuse("tls.channel_binding", "there is nothing to bind to without TLS")
	}
}

// AuthOf is how clients of a listener without rules prove who they are. Where it does not say, and it is known who there is, they have to.
func (s *Set) AuthOf(l *heliosv1.Listener) heliosv1.AuthMethod {
	if l.GetAuth() != heliosv1.AuthMethod_AUTH_METHOD_UNSPECIFIED {
		return l.GetAuth()
	}
	for _, u := range s.Users {
		if !u.GetLookedUp() {
			return heliosv1.AuthMethod_AUTH_METHOD_SCRAM
		}
	}
	for _, d := range s.Databases {
		if d.GetAuthQuery() != nil {
			return heliosv1.AuthMethod_AUTH_METHOD_SCRAM
		}
	}
	return heliosv1.AuthMethod_AUTH_METHOD_UNSPECIFIED
}

// rules checks who is let in at a listener.
func (c *checker) rules(l *heliosv1.Listener) {
	_, _, problems := Rules(l)
	for _, p := range problems {
		c.refuse(p.File, "line %d: %s", p.Line, p.Reason)
	}
	a, err := ParseAddress(l.GetAddress())
	unix := err == nil && a.Path != ""
	switch m := l.GetAuth(); {
	case l.GetHba() != "":
	case m == heliosv1.AuthMethod_AUTH_METHOD_PROGRAM && l.GetProgram() == nil:
		c.refuse("auth", "program needs one that judges passwords: set program (auth.program in a configuration file)")
	case unix && (m == heliosv1.AuthMethod_AUTH_METHOD_CERT || m == heliosv1.AuthMethod_AUTH_METHOD_SCRAM_PLUS):
		word := map[heliosv1.AuthMethod]string{heliosv1.AuthMethod_AUTH_METHOD_CERT: "cert", heliosv1.AuthMethod_AUTH_METHOD_SCRAM_PLUS: "scram-plus"}[m]
		c.refuse("auth", "a unix socket never speaks TLS and cannot have %s: say who gets in by rules (hba, auth.hba_file in a configuration file), with a line for local", word)
	case m == heliosv1.AuthMethod_AUTH_METHOD_CERT && l.GetTls().GetCaFile() == "":
		c.refuse("auth", "cert needs tls.ca_file (tls.ca_path in a configuration file), which says whose certificates are good")
	case m == heliosv1.AuthMethod_AUTH_METHOD_SCRAM_PLUS && !TowardsClients(l.GetTls()).Mode.Offered():
		c.refuse("auth", "scram-plus needs TLS: set tls (tls.cert_path and tls.key_path in a configuration file)")
	case m == heliosv1.AuthMethod_AUTH_METHOD_PEER && !unix && err == nil:
		c.refuse("auth", "peer is for unix sockets")
	}
	c.program(l.GetProgram())
	if unix && l.GetTls() != nil {
		c.refuse("tls", "there is no TLS at a unix socket")
	}
}

func (c *checker) authQuery(q *heliosv1.AuthQuery) {
	c.text("auth_query.user", q.GetUser())
	c.noNUL("auth_query.database", q.GetDatabase())
	c.noNUL("auth_query.query", q.GetQuery())
	c.unshown("auth_query.password", q.GetPassword())
	if s := q.GetQuery(); s != "" && !strings.Contains(s, "$1") {
		c.refuse("auth_query.query", "has no $1, which stands for the name of the user")
	}
	if form, err := FormOf(q.GetPassword().GetValue()); err != nil {
		c.refuse("auth_query.password", "%s", err)
	} else if form == SecretSCRAM {
		c.refuse("auth_query.password", "a SCRAM verifier cannot log in anywhere; the password is needed")
	}
	c.duration("auth_query.cache_time", q.GetCacheTime(), true)
}

// snake is the name of a field of a contract, as "ca_file", that a spec calls "CAFile".
func snake(field string) string {
	var b strings.Builder
	for i := range len(field) {
		ch := field[i]
		upper := func(i int) bool { return i >= 0 && i < len(field) && field[i] >= 'A' && field[i] <= 'Z' }
		if upper(i) && i > 0 && (!upper(i-1) || i+1 < len(field) && !upper(i+1)) {
			b.WriteByte('_')
		}
		b.WriteByte(ch | 0x20)
	}
	return b.String()
}
