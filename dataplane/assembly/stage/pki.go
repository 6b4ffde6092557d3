package stage

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// PKI is an authority and what it has signed, in files.
type PKI struct {
	*certs.Authority
	Dir, CA, Cert, Key string
}

// NewPKI makes one for the length of a test, with a certificate for localhost.
func NewPKI(t *testing.T) *PKI {
	p := &PKI{Authority: certs.NewAuthority(t), Dir: t.TempDir()}
	p.CA = filepath.Join(p.Dir, "ca.crt")
	if err := os.WriteFile(p.CA, p.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Cert, p.Key = p.Server("localhost", "127.0.0.1").Files(t, p.Dir, "server")
	return p
}

// Conninfo is the part of a connection string that presents a certificate.
func (p *PKI) Conninfo(t *testing.T, name string, pair certs.Pair) string {
	cert, key := pair.Files(t, p.Dir, name)
	return " sslcert=" + cert + " sslkey=" + key
}
