// Package certs makes certificates for tests: an authority, and what it signs. It never reads a certificate of the machine,
// and nothing it makes outlives the test.
package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority signs certificates and revocation lists.
type Authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
	// PEM is the authority's own certificate.
	PEM []byte
	// above holds, PEM, the authorities between this one and the root, this one first; a root has none.
	above []byte
}

// A Pair is a certificate and its key, both PEM. Behind the certificate stand the authorities between it and the root.
type Pair struct {
	Cert, Key []byte
}

// NewAuthority makes an authority that is valid for an hour. All of them have the same name, and each its own key.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	return NewAuthorityWith(t, nil, nil)
}

// NewAuthorityWith is [NewAuthority] with a key of the caller's, nil being a new one, and a certificate that edit changes before it is signed; nil changes nothing.
func NewAuthorityWith(t testing.TB, key crypto.Signer, edit func(*x509.Certificate)) *Authority {
	t.Helper()
	if key == nil {
		key = newKey(t)
	}
	a := &Authority{t: t, key: key}
	a.cert = authorityTemplate("test authority", edit)
	a.become(a.sign(a.cert, key.Public()))
	return a
}

// Intermediate makes an authority that this one has signed.
func (a *Authority) Intermediate(name string, edit func(*x509.Certificate)) *Authority {
	a.t.Helper()
	key := newKey(a.t)
	sub := &Authority{t: a.t, key: key}
	sub.become(a.sign(authorityTemplate(name, edit), key.Public()))
	sub.above = append(bytes.Clone(sub.PEM), a.above...)
	return sub
}

// Server makes a certificate for host names and addresses.
func (a *Authority) Server(hosts ...string) Pair {
	a.t.Helper()
	return a.Issue(hosts[0], func(template *x509.Certificate) {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		for _, h := range hosts {
			if ip := net.ParseIP(h); ip != nil {
				template.IPAddresses = append(template.IPAddresses, ip)
			} else {
				template.DNSNames = append(template.DNSNames, h)
			}
		}
	})
}

// Client makes a certificate for a user.
func (a *Authority) Client(user string) Pair {
	a.t.Helper()
	return a.Issue(user, func(template *x509.Certificate) {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
}

// Issue makes a certificate with this common name and no other, valid for an hour and for every use; edit changes it before it is signed, nil changes nothing.
func (a *Authority) Issue(commonName string, edit func(*x509.Certificate)) Pair {
	a.t.Helper()
	template := newTemplate(commonName)
	if edit != nil {
		edit(template)
	}
	key := newKey(a.t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(a.t, err)
	return Pair{
		Cert: append(a.sign(template, &key.PublicKey), a.above...),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
}

// Revoke makes the authority's revocation list, PEM: it names these certificates, the authority having signed them, and is valid for an hour.
func (a *Authority) Revoke(revoked ...*x509.Certificate) []byte {
	a.t.Helper()
	return a.RevocationList(nil, revoked...)
}

// RevocationList is [Authority.Revoke] of a list that edit changes before it is signed; nil changes nothing.
func (a *Authority) RevocationList(edit func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	a.t.Helper()
	now := time.Now()
	list := &x509.RevocationList{Number: big.NewInt(now.UnixNano()), ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: c.SerialNumber, RevocationTime: now.Add(-time.Minute),
		})
	}
	if edit != nil {
		edit(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	must(a.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// Certificate returns the authority's own certificate, which is not to be changed.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Pool returns a pool that trusts the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.PEM)
	return pool
}

// TLS returns the pair as crypto/tls takes it.
func (p Pair) TLS(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	must(t, err)
	return c
}

// Leaf returns the pair's certificate.
func (p Pair) Leaf(t testing.TB) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(p.Cert)
	leaf, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return leaf
}

// Files writes the pair into a directory and returns the paths.
func (p Pair) Files(t testing.TB, dir, name string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	must(t, os.WriteFile(cert, p.Cert, 0o600))
	must(t, os.WriteFile(key, p.Key, 0o600))
	return cert, key
}

// become takes a certificate as the authority's own.
func (a *Authority) become(certificate []byte) {
	a.PEM = certificate
	a.cert = Pair{Cert: certificate}.Leaf(a.t)
}

func (a *Authority) sign(template *x509.Certificate, key crypto.PublicKey) []byte {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	must(a.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func authorityTemplate(name string, edit func(*x509.Certificate)) *x509.Certificate {
	template := newTemplate(name)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	if edit != nil {
		edit(template)
	}
	return template
}

func newTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
