// Package tlsconf is the TLS of both sides of the proxy: PostgreSQL's sslmode, certificates, authorities and revocation lists, loaded from files that may change.
// It never opens a connection, and never starts a goroutine: its callers say when files are looked at again.
//
// A spec is checked without I/O, then loaded through a [Files], which parses each authority file and revocation list once for all who name it:
//
//	problems := spec.Check()
//	server, err := files.LoadServer(spec)
//	conn := tls.Server(raw, server.Config())
//	...
//	if server.Changed() { // on a timer
//		err = server.Reload() // an error leaves in force what was
//	}
package tlsconf

import "fmt"

// ALPN is the protocol's name in TLS (PostgreSQL 17).
const ALPN = "postgresql"

// Mode is an sslmode. Towards clients it has PgBouncer's meaning (client_tls_sslmode), towards servers libpq's.
type Mode uint8

// The modes, from the weakest to the strictest.
const (
	// Disable is no TLS: a client that asks for it is told no.
	Disable Mode = iota
	// Allow is TLS for a client that asks; towards a server, TLS only when it refuses to talk in clear text.
	Allow
	// Prefer is as Allow for clients; towards a server, TLS unless it has none. Nothing is verified towards a server.
	Prefer
	// Require refuses clear text. A server's certificate is verified as by VerifyCA if there is a CAFile.
	Require
	// VerifyCA demands a certificate that an authority of CAFile has signed.
	VerifyCA
	// VerifyFull is VerifyCA, and the server's certificate must be the host's. A client's must be the user's, which the login checks with [NamesOf].
	VerifyFull
)

// modes are the names by Mode.
func modes() []string {
	return []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
}

// ParseMode reads a mode as PostgreSQL writes it, such as "verify-full".
func ParseMode(s string) (Mode, error) {
	for m, name := range modes() {
		if s == name {
			return Mode(m), nil
		}
	}
	return Disable, fmt.Errorf("unknown sslmode %q", s)
}

// String is the mode as PostgreSQL writes it.
func (m Mode) String() string {
	if names := modes(); int(m) < len(names) {
		return names[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// Offered says that TLS may be spoken.
func (m Mode) Offered() bool { return m != Disable }

// Required says that clear text may not be spoken.
func (m Mode) Required() bool { return m >= Require }

// Password opens a private key. It does not show itself.
type Password string

// String hides the password from logs.
func (Password) String() string { return "[redacted]" }

// GoString hides the password from %#v.
func (Password) GoString() string { return "[redacted]" }

// Spec is what both sides have in common. Files are PEM; an empty name is no file.
type Spec struct {
	Mode Mode
	// CertFile holds the own certificate, and behind it those of authorities that the peer may lack; KeyFile its private key.
	CertFile, KeyFile string
	// KeyPassword opens an encrypted KeyFile, and is ignored otherwise.
	KeyPassword Password
	// CAFile holds the authorities that the peer's certificate may come from: roots, and perhaps authorities below them. As with PostgreSQL, only what has signed
	// itself is trusted for itself.
	CAFile string
	// CRLFile holds revocation lists. With it, the peer's certificate and each authority above it needs a valid list of its issuer, as PostgreSQL demands.
	CRLFile string
	// MinVersion and MaxVersion are TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3. Empty ones are TLSv1.2 and the newest.
	MinVersion, MaxVersion string
	// Ciphers are the suites allowed below TLS 1.3, by OpenSSL's names (ECDHE-RSA-AES128-GCM-SHA256) or IANA's. None is crypto/tls's choice. Their order says nothing:
	// crypto/tls has its own.
	Ciphers []string
	// Curves are the key exchanges allowed, such as X25519, prime256v1 (or P-256), X25519MLKEM768. None is crypto/tls's choice. Their order says nothing.
	Curves []string
}

// ServerSpec is TLS towards clients, where the proxy is the server. With a CAFile a client is asked for a certificate in every mode, and one that cannot be
// verified is refused.
type ServerSpec struct{ Spec }

// ClientSpec is TLS towards servers, where the proxy is the client. CAFile may be [System].
type ClientSpec struct {
	Spec
	// Direct is libpq's sslnegotiation=direct: the server must agree on [ALPN].
	Direct bool
	// SNI tells the server the host name, unless it is an address (libpq's sslsni).
	SNI bool
}

// System as CAFile of a [ClientSpec] is the authorities that the machine trusts (libpq's sslrootcert=system).
const System = "system"
