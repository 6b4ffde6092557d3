package tlsconf

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// authorities is who may have signed a peer's certificate.
type authorities struct {
	roots  *x509.CertPool // trusted for themselves: OpenSSL takes only what has signed itself
	others *x509.CertPool // links between a peer's certificate and a root
	all    *x509.CertPool // both
	certs  []*x509.Certificate
}

func parseAuthorities(content []byte) (*authorities, error) {
	a := &authorities{roots: x509.NewCertPool(), others: x509.NewCertPool(), all: x509.NewCertPool()}
	err := eachBlock(content, "CERTIFICATE", func(der []byte) error {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		if selfIssued(cert) {
			a.roots.AddCert(cert)
		} else {
			a.others.AddCert(cert)
		}
		a.all.AddCert(cert)
		a.certs = append(a.certs, cert)
		return nil
	})
	return a, err
}

// chains are the ways from a certificate, of which its peer gave the next links, to a root.
func (a *authorities) chains(peer []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) ([][]*x509.Certificate, error) {
	links := a.others.Clone()
	for _, c := range peer[1:] {
		links.AddCert(c)
	}
	return peer[0].Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: links, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
}

// keyFits says whether an issuer may have the key with this identifier, which is what a certificate or a list says of its issuer; as in OpenSSL, nothing fits all.
func keyFits(id []byte, issuer *x509.Certificate) bool {
	return len(id) == 0 || len(issuer.SubjectKeyId) == 0 || bytes.Equal(id, issuer.SubjectKeyId)
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// revocations are lists by the name of their issuer, DER.
type revocations struct{ byIssuer map[string][]*revocationList }

// A revocationList is what is kept of a list.
type revocationList struct {
	list    *x509.RevocationList // without its entries
	revoked map[string]struct{}  // serial numbers, big-endian
	signer  atomic.Pointer[[]byte]
}

func parseRevocations(content []byte) (*revocations, error) {
	r := &revocations{map[string][]*revocationList{}}
	err := eachBlock(content, "X509 CRL", func(der []byte) error {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return err
		}
		l := &revocationList{list: list, revoked: map[string]struct{}{}}
		for _, e := range list.Extensions {
			if e.Critical { // a part of the revocations, or only changes
				return fmt.Errorf("unhandled critical CRL extension %s", e.Id)
			}
		}
		for _, entry := range list.RevokedCertificateEntries {
			for _, e := range entry.Extensions {
				if e.Critical { // of another issuer
					return fmt.Errorf("unhandled critical CRL extension %s of an entry", e.Id)
				}
			}
			const removeFromCRL = 8
			if entry.ReasonCode != removeFromCRL {
				l.revoked[string(entry.SerialNumber.Bytes())] = struct{}{}
			}
		}
		list.RevokedCertificateEntries = nil
		//lint:ignore SA1019 it is emptied, not used
		list.RevokedCertificates = nil
		r.byIssuer[string(list.RawIssuer)] = append(r.byIssuer[string(list.RawIssuer)], l)
		return nil
	})
	return r, err
}

// check is OpenSSL's X509_V_FLAG_CRL_CHECK_ALL: every certificate of the chain needs a list of its issuer, the root one of its own. It returns nil, or an *Error
// that says where the chain breaks.
func (r *revocations) check(chain []*x509.Certificate, now time.Time) error {
	for depth, cert := range chain {
		issuer := chain[min(depth+1, len(chain)-1)]
		if reason := r.reason(cert, issuer, now); reason != "" {
			return &Error{Reason: reason, Depth: depth, Cert: cert}
		}
	}
	return nil
}

// reason says why a certificate is not known to be good; it is empty if it is.
func (r *revocations) reason(cert, issuer *x509.Certificate, now time.Time) string {
	var best *revocationList // as in OpenSSL, the newest of those that hold
	for _, l := range r.byIssuer[string(cert.RawIssuer)] {
		if !keyFits(l.list.AuthorityKeyId, issuer) {
			continue
		}
		if best == nil || holds(l, now) && !holds(best, now) || holds(l, now) == holds(best, now) && l.list.ThisUpdate.After(best.list.ThisUpdate) {
			best = l
		}
	}
	if best == nil {
		return "unable to get certificate CRL"
	}
	if !best.signedBy(issuer) {
		if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
			return "key usage does not include CRL signing"
		}
		return "CRL signature failure"
	}
	if reason := best.outdated(now); reason != "" {
		return reason
	}
	if _, revoked := best.revoked[string(cert.SerialNumber.Bytes())]; revoked {
		return "certificate revoked"
	}
	return ""
}

// signedBy checks the list's signature. As a list has one signer, the last one that fit is remembered: the signature is over all of the list.
func (l *revocationList) signedBy(issuer *x509.Certificate) bool {
	if known := l.signer.Load(); known != nil && bytes.Equal(*known, issuer.Raw) {
		return true
	}
	if l.list.CheckSignatureFrom(issuer) != nil {
		return false
	}
	l.signer.Store(&issuer.Raw)
	return true
}

// outdated says why the list does not hold at this time; it is empty if it does. A list without an end holds for ever.
func (l *revocationList) outdated(now time.Time) string {
	switch {
	case now.Before(l.list.ThisUpdate):
		return "CRL is not yet valid"
	case !l.list.NextUpdate.IsZero() && now.After(l.list.NextUpdate):
		return "CRL has expired"
	}
	return ""
}

func holds(l *revocationList, now time.Time) bool { return l.outdated(now) == "" }

// eachBlock calls f for all PEM blocks of a type, of which there must be one. An error says which block it is about.
func eachBlock(content []byte, kind string, f func(der []byte) error) error {
	n := 0
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		if block.Type != kind {
			continue
		}
		n++
		if err := f(block.Bytes); err != nil {
			return fmt.Errorf("%s number %d in it: %w", kind, n, err)
		}
	}
	if n == 0 {
		return errors.New("there is no " + kind + " in it")
	}
	return nil
}
