package tlsconf

import (
	"crypto/x509"
	"fmt"
	"time"
)

// Authorities are whom a certificate is verified with, apart from any connection. Several goroutines may use them.
type Authorities struct{ m material }

// LoadAuthorities reads the authorities of a file and, unless that name is empty, the revocation lists of another. caFile may be [System]. An error names the file.
func (f *Files) LoadAuthorities(caFile, crlFile string) (*Authorities, error) {
	s := source{files: f, spec: Spec{Mode: VerifyCA, CAFile: caFile, CRLFile: crlFile}, system: caFile == System}
	m, err := s.read(&reading{})
	if err != nil {
		return nil, err
	}
	return &Authorities{*m}, nil
}

// Verify says why a certificate is not good at this time for a use; nil if it is. chain begins with it and goes on with authorities that may be
// between it and one that is trusted, in any order. It is what a [Client] does in mode [VerifyCA] and a [Server] with a CAFile.
func (a *Authorities) Verify(chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) *Error {
	if len(chain) == 0 {
		return &Error{Reason: "there is no certificate"}
	}
	err := a.m.verify(chain, usage, now)
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		return e
	}
	return &Error{Reason: fmt.Sprint(err), Cert: chain[0]}
}

// Subject is a name of a certificate, RawSubject or RawIssuer, as PostgreSQL writes it (see [Names].DN). It is in hexadecimal where it cannot be read.
func Subject(raw []byte) string {
	s, err := parseSubject(raw)
	if err != nil {
		return fmt.Sprintf("#%X", raw)
	}
	return s.rfc2253()
}
