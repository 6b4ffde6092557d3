package inspect

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
)

// look is what things are held against.
type look struct {
	now         time.Time
	authorities *tlsconf.Authorities // nil: nothing is verified
	ca          string
	key         any // the public half of --key; nil: there is none
	keyFile     string
	password    tlsconf.Password
}

// file reads all blocks of a PEM file.
func (l *look) file(name string, content []byte) (*Report, error) {
	r := &Report{Target: name, Certificates: []Certificate{}}
	var chain []*x509.Certificate
	n := 0
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		n++
		switch {
		case block.Type == "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("certificate number %d: %w", len(chain)+1, err)
			}
			chain = append(chain, cert)
		case block.Type == "X509 CRL":
			list, err := x509.ParseRevocationList(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("revocation list number %d: %w", len(r.Lists)+1, err)
			}
			r.Lists = append(r.Lists, l.list(list))
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			r.Keys = append(r.Keys, l.private(pem.EncodeToMemory(block), block))
		}
	}
	switch {
	case n == 0:
		return nil, errors.New("there is no PEM in it")
	case len(chain)+len(r.Keys)+len(r.Lists) == 0:
		return nil, errors.New("there is neither a certificate nor a key nor a revocation list in it")
	}
	l.chain(r, chain, x509.ExtKeyUsageAny)
	return r, nil
}

// live is what a host has shown.
func (l *look) live(target, host string, seen *TLS, chain []*x509.Certificate) *Report {
	r := &Report{Target: target, TLS: seen, Certificates: []Certificate{}}
	seen.HostMismatch = tlsconf.HostMismatch(chain[0], host)
	l.chain(r, chain, x509.ExtKeyUsageServerAuth)
	return r
}

// chain judges certificates, and with them the report.
func (l *look) chain(r *Report, chain []*x509.Certificate, usage x509.ExtKeyUsage) {
	for _, cert := range chain {
		r.Certificates = append(r.Certificates, l.certificate(cert))
	}
	r.Good = true
	if len(chain) > 0 && l.authorities != nil {
		err := l.authorities.Verify(chain, usage, l.now)
		verified := err == nil
		r.Certificates[0].Verified = &verified
		if err != nil {
			r.Certificates[0].NotVerified = err.Error()
		}
		r.Good = verified
	}
	if len(chain) > 0 && l.key != nil {
		matches := same(chain[0].PublicKey, l.key)
		r.Certificates[0].Matches = &matches
		r.Good = r.Good && matches
	}
	for i := range r.Certificates {
		r.Good = r.Good && r.Certificates[i].State == "valid"
	}
	for i := range r.Lists {
		r.Good = r.Good && r.Lists[i].State == "valid"
	}
	for i := range r.Keys {
		r.Good = r.Good && (r.Keys[i].Problem == "" || r.Keys[i].Encrypted && l.password == "")
	}
}

func (l *look) certificate(cert *x509.Certificate) Certificate {
	c := Certificate{
		Subject: tlsconf.Subject(cert.RawSubject), Issuer: tlsconf.Subject(cert.RawIssuer), Serial: colons(cert.SerialNumber.Bytes()),
		Validity: validity(cert.NotBefore, cert.NotAfter, l.now), Authority: cert.IsCA,
		Key: keyWords(cert.PublicKey), SignatureAlgorithm: cert.SignatureAlgorithm.String(), Usages: usages(cert),
	}
	sum := sha256.Sum256(cert.Raw)
	c.Fingerprint = colons(sum[:])
	names, err := tlsconf.NamesOf(cert)
	if err != nil {
		c.Problem = err.Error()
	}
	c.CN, c.DNS, c.IPs, c.URIs, c.Emails = names.CN, names.DNS, names.IPs, names.URIs, names.Emails
	if hash, err := tlsconf.EndPointHash(cert); err == nil {
		c.EndPointHash = hash.String()
	}
	return c
}

func (l *look) list(x *x509.RevocationList) List {
	list := List{
		Issuer: tlsconf.Subject(x.RawIssuer), Validity: validity(x.ThisUpdate, x.NextUpdate, l.now),
		Revoked: len(x.RevokedCertificateEntries), SignatureAlgorithm: x.SignatureAlgorithm.String(),
	}
	if x.Number != nil {
		list.Number = x.Number.String()
	}
	return list
}

// private looks at a private key.
func (l *look) private(text []byte, block *pem.Block) Key {
	k := Key{Encrypted: block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != ""}
	key, err := public(text, l.password)
	if err != nil {
		k.Problem = err.Error()
		return k
	}
	k.Key = keyWords(key)
	if der, err := x509.MarshalPKIXPublicKey(key); err == nil {
		sum := sha256.Sum256(der)
		k.Fingerprint = colons(sum[:])
	}
	return k
}

// public is the public half of the private key in a file.
func public(text []byte, password tlsconf.Password) (any, error) {
	key, err := tlsconf.ParseKey(text, password)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	return signer.Public(), nil
}

// same says whether two public keys are one.
func same(a, b any) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// keyWords is a public key in words.
func keyWords(key any) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}

// usages are what a certificate may be used for; none is everything.
func usages(cert *x509.Certificate) []string {
	var all []string
	for _, u := range cert.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageServerAuth:
			all = append(all, "server")
		case x509.ExtKeyUsageClientAuth:
			all = append(all, "client")
		case x509.ExtKeyUsageAny:
			all = append(all, "any")
		default:
			all = append(all, "other")
		}
	}
	for range cert.UnknownExtKeyUsage {
		all = append(all, "other")
	}
	return all
}

// colons writes bytes as certificates are written, such as 4A:0F.
func colons(b []byte) string {
	var parts []string
	for _, x := range b {
		parts = append(parts, strings.ToUpper(hex.EncodeToString([]byte{x})))
	}
	return strings.Join(parts, ":")
}

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return strings.TrimSuffix(string(line), "\r")
}
