package tlsconf

import (
	"crypto"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// TestAuthorities verifies as connections do, but at any time and for any use.
func TestAuthorities(t *testing.T) {
	root, other := certs.NewAuthority(t), certs.NewAuthority(t)
	pair := root.Intermediate("between", nil).Server("localhost")
	chain := parse(t, pair.Cert)
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, content, 0o600))
		return path
	}
	load := func(ca, crl string) *Authorities {
		a, err := new(Files).LoadAuthorities(ca, crl)
		must(t, err)
		return a
	}
	good, bad := load(file("root", root.PEM), ""), load(file("other", other.PEM), "")
	listed := load(file("root", root.PEM), file("crl", root.Revoke()))
	now := time.Now()
	for _, tt := range []struct {
		name  string
		by    *Authorities
		chain []*x509.Certificate
		usage x509.ExtKeyUsage
		now   time.Time
		want  string
	}{
		{"good", good, chain, x509.ExtKeyUsageServerAuth, now, ""},
		{"any use", good, chain, x509.ExtKeyUsageAny, now, ""},
		{"of a client", good, chain, x509.ExtKeyUsageClientAuth, now, "unsuitable certificate purpose"},
		{"later", good, chain, x509.ExtKeyUsageAny, now.Add(48 * time.Hour), "certificate has expired"},
		{"without what is between", good, chain[:1], x509.ExtKeyUsageAny, now, "unable to get local issuer certificate"},
		{"another's", bad, chain, x509.ExtKeyUsageAny, now, "unable to get local issuer certificate"},
		{"no list", listed, chain, x509.ExtKeyUsageAny, now, "unable to get certificate CRL"},
		{"nothing", good, nil, x509.ExtKeyUsageAny, now, "there is no certificate"},
	} {
		got := ""
		if e := tt.by.Verify(tt.chain, tt.usage, tt.now); e != nil {
			got = e.Reason
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if _, err := new(Files).LoadAuthorities(filepath.Join(dir, "none"), ""); err == nil {
		t.Error("a file that is not there was loaded")
	}
	if s := Subject(chain[0].RawSubject); s != "CN=localhost" {
		t.Errorf("got %s", s)
	}
	if s := Subject([]byte{1, 2}); s != "#0102" {
		t.Errorf("got %s", s)
	}
	if why := HostMismatch(chain[0], "elsewhere"); why != `server certificate for "localhost" does not match host name "elsewhere"` || HostMismatch(chain[0], "localhost") != "" {
		t.Errorf("got %s", why)
	}
	if h, err := EndPointHash(chain[0]); err != nil || h != crypto.SHA256 {
		t.Errorf("got %v, %v", h, err)
	}
}

// TestParseKey reads what openssl writes, and finds the certificate's key in it.
func TestParseKey(t *testing.T) {
	pair := certs.NewAuthority(t).Server("localhost")
	key, err := ParseKey(pair.Key, "")
	must(t, err)
	if public := key.(crypto.Signer).Public(); !pair.Leaf(t).PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(public) {
		t.Error("it is another key")
	}
	if _, err := ParseKey(pair.Cert, ""); err == nil || err.Error() != "there is no private key in it" {
		t.Errorf("got %v", err)
	}
	d := newDir(t)
	plain := filepath.Join(d.path, "plain")
	must(t, os.WriteFile(plain, pair.Key, 0o600))
	for name, args := range map[string][]string{
		"sec1": {"ec", "-in", plain}, "encrypted": {"ec", "-in", plain, "-aes256", "-passout", "pass:sesame"},
		"pkcs8": {"pkcs8", "-topk8", "-in", plain, "-passout", "pass:sesame"}, "rsa": {"genrsa", "-traditional"},
	} {
		if _, err := ParseKey(openssl(t, d, name, args...), "sesame"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
