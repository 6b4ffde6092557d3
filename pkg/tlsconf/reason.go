package tlsconf

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Error is why a peer was refused.
type Error struct {
	// Reason is in the words of OpenSSL or libpq, such as "certificate has expired"; it is what PostgreSQL logs.
	Reason string
	// Depth is how far Cert is from the peer's own certificate, which is 0, towards the root.
	Depth int
	// Cert is the certificate at fault, nil if none is. What it says is not verified.
	Cert *x509.Certificate
}

// Error is the reason and which certificate it is about.
func (e *Error) Error() string {
	if e.Cert == nil {
		return e.Reason
	}
	return fmt.Sprintf("certificate verify failed at depth %d: %s (subject %q, serial number %s, issuer %q)",
		e.Depth, e.Reason, shortName(e.Cert.RawSubject), e.Cert.SerialNumber, shortName(e.Cert.RawIssuer))
}

// shortName prints a name for the log: a stranger chose it, so it is bounded as PostgreSQL does.
func shortName(raw []byte) string {
	const longest = 71
	s, err := parseSubject(raw)
	if err != nil {
		return "?"
	}
	name := s.rfc2253()
	if len(name) > longest {
		name = name[:longest] + "..."
	}
	return name
}

// explain says in OpenSSL's words why crypto/x509 found no chain.
func (a *authorities) explain(err error, peer []*x509.Certificate, now time.Time) *Error {
	path := a.path(peer)
	last := len(path) - 1
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		depth := max(0, slices.IndexFunc(path, invalid.Cert.Equal))
		return &Error{Reason: reasonOf(invalid, now), Depth: depth, Cert: path[depth]}
	}
	if !errors.As(err, new(x509.UnknownAuthorityError)) {
		return &Error{Reason: strings.TrimPrefix(err.Error(), "x509: "), Cert: peer[0]}
	}
	for depth, child := range path[:last] {
		if !path[depth+1].IsCA && path[depth+1].Version == 3 {
			return &Error{Reason: "invalid CA certificate", Depth: depth + 1, Cert: path[depth+1]}
		}
		if err := child.CheckSignatureFrom(path[depth+1]); errors.As(err, new(x509.InsecureAlgorithmError)) {
			return &Error{Reason: "CA signature digest algorithm too weak", Depth: depth, Cert: child}
		} else if err != nil {
			return &Error{Reason: "certificate signature failure", Depth: depth, Cert: child}
		}
	}
	reason := "unable to get local issuer certificate"
	switch {
	case selfIssued(path[last]) && last == 0:
		reason = "self-signed certificate"
	case selfIssued(path[last]):
		reason = "self-signed certificate in certificate chain"
	case last > 0 && slices.ContainsFunc(a.certs, path[last].Equal):
		reason = "unable to get issuer certificate"
	}
	return &Error{Reason: reason, Depth: last, Cert: path[last]}
}

// path goes from the peer's certificate towards a root as far as names lead, whether or not signatures fit. It prefers those that do.
func (a *authorities) path(peer []*x509.Certificate) []*x509.Certificate {
	const maxChecks = 100 // as in crypto/x509: the peer, a stranger, says how many certificates there are
	checks := 0
	path := peer[:1:1]
	known := slices.Concat(a.certs, peer[1:])
	for child := peer[0]; !selfIssued(child); child = path[len(path)-1] {
		var next *x509.Certificate
		for _, c := range known {
			if !bytes.Equal(c.RawSubject, child.RawIssuer) || !keyFits(child.AuthorityKeyId, c) || slices.ContainsFunc(path, c.Equal) {
				continue
			}
			if checks++; checks > maxChecks {
				return path
			}
			if fits := child.CheckSignatureFrom(c) == nil; next == nil || fits {
				next = c
				if fits {
					break
				}
			}
		}
		if next == nil {
			break
		}
		path = append(path, next)
	}
	return path
}

// reasonOf puts what crypto/x509 says of one certificate into OpenSSL's words.
func reasonOf(e x509.CertificateInvalidError, now time.Time) string {
	switch e.Reason {
	case x509.Expired:
		if now.Before(e.Cert.NotBefore) {
			return "certificate is not yet valid"
		}
		return "certificate has expired"
	case x509.NotAuthorizedToSign:
		return "invalid CA certificate"
	case x509.TooManyIntermediates:
		return "path length constraint exceeded"
	case x509.IncompatibleUsage, x509.CANotAuthorizedForExtKeyUsage:
		return "unsuitable certificate purpose"
	case x509.CANotAuthorizedForThisName, x509.UnconstrainedName:
		return "permitted subtree violation"
	}
	return strings.TrimPrefix(e.Error(), "x509: ")
}
