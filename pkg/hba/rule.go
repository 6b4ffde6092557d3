package hba

import "strings"

// A Rule is one line of pg_hba.conf that counts. What it fits is told by [Rules.Match].
type Rule struct {
	File string // the file that the line stands in, as it was named to Parse or by the including file
	Line int    // of that file, from 1

	Type   ConnType
	Method Method

	// Map is the option map, a map of pg_ident.conf; empty if the names must be equal. See [Maps.Allows].
	Map string
	// ClientCert is the option clientcert. The method cert has [VerifyFull] always.
	ClientCert ClientCert
	// ClientDN is the option clientname=DN: a certificate names by its whole subject, as RFC 2253 writes it, not by its common name.
	ClientDN bool
	// ClientSAN is the option clientname=SAN, which PostgreSQL does not have: each of a certificate's alternative names names, DNS names,
	// addresses of mail, URIs and IP addresses.
	ClientSAN bool
	// PAMService is the option pamservice; empty is PAM's service "postgresql".
	PAMService string
	// PAMUseHostname is the option pam_use_hostname=1: PAM is told the client's host name, not its address.
	PAMUseHostname bool

	databases []name
	users     []name
	address   address // not of a local rule
}

// ConnType is the first column: how a client must be connected.
type ConnType string

// The types of connections.
const (
	Local        ConnType = "local"        // by a unix socket
	Host         ConnType = "host"         // by TCP, encrypted or not
	HostSSL      ConnType = "hostssl"      // by TCP and TLS
	HostNoSSL    ConnType = "hostnossl"    // by TCP and not TLS
	HostGSSEnc   ConnType = "hostgssenc"   // by TCP and encrypted by GSSAPI
	HostNoGSSEnc ConnType = "hostnogssenc" // by TCP and not encrypted by GSSAPI
)

// Method is how a client is authenticated.
type Method string

// The methods that a Rule may have.
const (
	Trust    Method = "trust"
	Reject   Method = "reject"
	Password Method = "password" // in clear text
	MD5      Method = "md5"      // or SCRAM, where a password is stored so
	SCRAM    Method = "scram-sha-256"
	Cert     Method = "cert"
	Peer     Method = "peer" // only of a local rule; ident there is the same
	PAM      Method = "pam"
)

// The methods of PostgreSQL that are known by their names, to be refused.
const (
	ident  Method = "ident"
	gss    Method = "gss"
	sspi   Method = "sspi"
	ldap   Method = "ldap"
	radius Method = "radius"
	bsd    Method = "bsd"
	oauth  Method = "oauth"
)

// ClientCert is what is asked of a client's certificate beside what the method asks.
type ClientCert string

// The values of clientcert; "" asks for none.
const (
	VerifyCA   ClientCert = "verify-ca"   // there is one, and an authority that is trusted has signed it
	VerifyFull ClientCert = "verify-full" // and its name is the user's, by Map if the method is cert
)

// String returns the line that says the same, without what may be left out. A word is quoted where it must be.
func (r *Rule) String() string {
	columns := []string{string(r.Type), list(r.databases), list(r.users)}
	if r.Type != Local {
		columns = append(columns, r.address.String())
	}
	columns = append(columns, string(r.Method))
	option := func(set bool, text string) {
		if set {
			columns = append(columns, quote(text))
		}
	}
	option(r.Map != "", "map="+r.Map)
	option(r.ClientCert != "" && r.Method != Cert, "clientcert="+string(r.ClientCert))
	option(r.ClientDN, "clientname=DN")
	option(r.ClientSAN, "clientname=SAN")
	option(r.PAMService != "", "pamservice="+r.PAMService)
	option(r.PAMUseHostname, "pam_use_hostname=1")
	return strings.Join(columns, " ")
}

// fits says whether the client is connected so.
func (t ConnType) fits(q *Request) bool {
	switch t {
	case Local:
		return q.Local
	case HostSSL:
		return !q.Local && q.TLS
	case HostNoSSL:
		return !q.Local && !q.TLS
	case HostGSSEnc:
		return !q.Local && q.GSS
	case HostNoGSSEnc:
		return !q.Local && !q.GSS
	default:
		return !q.Local
	}
}

func (t ConnType) known() bool {
	switch t {
	case Local, Host, HostSSL, HostNoSSL, HostGSSEnc, HostNoGSSEnc:
		return true
	}
	return false
}
