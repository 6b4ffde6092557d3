package tlsconf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// TestEndPoint signs with every kind of key. What Ed25519 ends with is what libpq and PostgreSQL 15 with OpenSSL 3.0 say.
func TestEndPoint(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	sha1 := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] } // of MD5 and SHA-1, too
	sha384 := func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }
	sha512 := func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }
	for _, tt := range []struct {
		key       crypto.Signer
		algorithm x509.SignatureAlgorithm
		want      func([]byte) []byte
		err       string
	}{
		{rsaKey, x509.SHA1WithRSA, sha1, ""},
		{rsaKey, x509.SHA256WithRSA, sha1, ""},
		{rsaKey, x509.SHA384WithRSA, sha384, ""},
		{rsaKey, x509.SHA512WithRSA, sha512, ""},
		{rsaKey, x509.SHA256WithRSAPSS, sha1, ""},
		{rsaKey, x509.SHA384WithRSAPSS, sha384, ""},
		{rsaKey, x509.SHA512WithRSAPSS, sha512, ""},
		{p256, x509.ECDSAWithSHA1, sha1, ""},
		{p256, x509.ECDSAWithSHA256, sha1, ""},
		{p256, x509.ECDSAWithSHA384, sha384, ""},
		{p256, x509.ECDSAWithSHA512, sha512, ""},
		{ed, x509.PureEd25519, nil, "could not find digest for NID UNDEF"},
	} {
		t.Run(tt.algorithm.String(), func(t *testing.T) {
			cert := certs.NewAuthorityWith(t, tt.key, func(c *x509.Certificate) { c.SignatureAlgorithm = tt.algorithm }).Certificate()
			got, err := EndPoint(cert)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("got %x, %v; want %s", got, err, tt.err)
				}
				return
			}
			if want := tt.want(cert.Raw); err != nil || string(got) != string(want) {
				t.Errorf("got %x, %v; want %x", got, err, want)
			}
		})
	}
	for algorithm, want := range map[x509.SignatureAlgorithm]crypto.Hash{x509.MD5WithRSA: crypto.SHA256, x509.DSAWithSHA1: crypto.SHA256, x509.DSAWithSHA256: crypto.SHA256} {
		if got, err := endPointHash(algorithm); got != want || err != nil { // Go does not make them
			t.Errorf("%s: got %s, %v", algorithm, got, err)
		}
	}
	if _, err := EndPoint(&x509.Certificate{}); err == nil || err.Error() != "could not determine server certificate signature algorithm" {
		t.Errorf("unknown algorithm: %v", err)
	}
	if hex.EncodeToString(sha1(nil))[:8] != "e3b0c442" {
		t.Error("the test's own hash is wrong")
	}
}
