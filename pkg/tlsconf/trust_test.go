package tlsconf

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// TestVerify holds what is accepted, and in which words what is refused, against OpenSSL with the flags that PostgreSQL sets.
func TestVerify(t *testing.T) {
	root, stranger := certs.NewAuthority(t), certs.NewAuthority(t)
	other := certs.NewAuthorityWith(t, nil, named("other authority"))
	middle := root.Intermediate("middle", nil)
	alice, below := root.Client("alice"), middle.Client("bob")
	past := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = hours(-3), hours(-2) }
	future := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = hours(2), hours(3) }
	oldRoot := certs.NewAuthorityWith(t, nil, past)
	oldMiddle := root.Intermediate("old", past)
	twin := certs.NewAuthorityWith(t, nil, func(c *x509.Certificate) { c.SubjectKeyId = root.Certificate().SubjectKeyId })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	mute := certs.NewAuthorityWith(t, key, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	unmuted := certs.NewAuthorityWith(t, key, nil) // the same, and yet it signs
	noCA := root.Intermediate("no authority", func(c *x509.Certificate) { c.IsCA = false; c.KeyUsage = x509.KeyUsageDigitalSignature })
	short := certs.NewAuthorityWith(t, nil, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	tooLong := short.Intermediate("too long", nil)
	self := certs.NewAuthorityWith(t, nil, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = "self", false, false, x509.KeyUsageDigitalSignature
	})
	stale := func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = hours(-3), hours(-2) }
	early := func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = hours(2), hours(3) }

	for _, tt := range []struct {
		name   string
		peer   []byte // PEM, its own first
		ca     []byte
		crl    []byte // nil: none
		reason string // empty: accepted
		depth  int
	}{
		{"good", alice.Cert, root.PEM, nil, "", 0},
		{"good, of several", alice.Cert, join(stranger.PEM, other.PEM, root.PEM), nil, "", 0},
		{"stranger's, other name", alice.Cert, other.PEM, nil, "unable to get local issuer certificate", 0},
		{"stranger's, same name", alice.Cert, stranger.PEM, nil, "unable to get local issuer certificate", 0},
		{"twin's", alice.Cert, twin.PEM, nil, "certificate signature failure", 0},
		{"stranger's, with its root", join(alice.Cert, root.PEM), other.PEM, nil, "self-signed certificate in certificate chain", 1},
		{"self-signed", self.PEM, root.PEM, nil, "self-signed certificate", 0},
		{"self-signed and trusted", self.PEM, self.PEM, nil, "", 0},
		{"expired", root.Issue("x", past).Cert, root.PEM, nil, "certificate has expired", 0},
		{"not yet", root.Issue("x", future).Cert, root.PEM, nil, "certificate is not yet valid", 0},
		{"of an expired root", oldRoot.Client("x").Cert, oldRoot.PEM, nil, "certificate has expired", 1},
		{"for servers", root.Server("x").Cert, root.PEM, nil, "unsuitable certificate purpose", 0},
		{"for all uses", root.Issue("x", nil).Cert, root.PEM, nil, "", 0},

		{"intermediate from the peer", below.Cert, root.PEM, nil, "", 0},
		{"intermediate from the file", below.Leaf(t).Raw, join(root.PEM, middle.PEM), nil, "", 0},
		{"intermediate missing", below.Leaf(t).Raw, root.PEM, nil, "unable to get local issuer certificate", 0},
		{"intermediate without root", below.Leaf(t).Raw, middle.PEM, nil, "unable to get issuer certificate", 1},
		{"root missing", below.Cert, other.PEM, nil, "unable to get local issuer certificate", 1},
		{"expired intermediate", oldMiddle.Client("x").Cert, root.PEM, nil, "certificate has expired", 1},
		{"intermediate that is none", noCA.Client("x").Cert, root.PEM, nil, "invalid CA certificate", 1},
		{"intermediate too many", tooLong.Intermediate("longer", nil).Client("x").Cert, short.PEM, nil, "path length constraint exceeded", 3},

		{"not revoked", alice.Cert, root.PEM, root.Revoke(below.Leaf(t)), "", 0},
		{"revoked", alice.Cert, root.PEM, root.Revoke(alice.Leaf(t)), "certificate revoked", 0},
		{"revoked, no list", alice.Cert, root.PEM, nil, "", 0}, // the fault that "revoked" finds
		{"revoked, of many", alice.Cert, root.PEM, root.Revoke(below.Leaf(t), root.Client("z").Leaf(t), alice.Leaf(t)), "certificate revoked", 0},
		{"revoked, on hold no more", alice.Cert, root.PEM, root.RevocationList(reason(8), alice.Leaf(t)), "", 0},
		{"revoked, stolen", alice.Cert, root.PEM, root.RevocationList(reason(1), alice.Leaf(t)), "certificate revoked", 0},
		{"list of another", alice.Cert, root.PEM, other.Revoke(), "unable to get certificate CRL", 0},
		{"list of a twin", alice.Cert, root.PEM, twin.Revoke(), "CRL signature failure", 0},
		{"for servers as well", root.Issue("x", bothUses).Cert, root.PEM, nil, "", 0},
		{"list of a stranger with the name", alice.Cert, root.PEM, stranger.Revoke(), "unable to get certificate CRL", 0},
		{"lists of both with the name", alice.Cert, root.PEM, join(stranger.Revoke(), root.Revoke()), "", 0},
		{"lists of both, revoked", alice.Cert, root.PEM, join(stranger.Revoke(), root.Revoke(alice.Leaf(t)), stranger.Revoke()), "certificate revoked", 0},
		{"expired list", alice.Cert, root.PEM, root.RevocationList(stale), "CRL has expired", 0},
		{"early list", alice.Cert, root.PEM, root.RevocationList(early), "CRL is not yet valid", 0},
		{"expired and current list", alice.Cert, root.PEM, join(root.RevocationList(stale), root.Revoke()), "", 0},
		{"current and early list", alice.Cert, root.PEM, join(root.Revoke(), root.RevocationList(early)), "", 0},
		{"expired and revoking list", alice.Cert, root.PEM, join(root.RevocationList(stale), root.Revoke(alice.Leaf(t))), "certificate revoked", 0},
		{"lists for both", below.Cert, root.PEM, join(root.Revoke(), middle.Revoke()), "", 0},
		{"list of the root alone", below.Cert, root.PEM, root.Revoke(), "unable to get certificate CRL", 0},
		{"list of the intermediate alone", below.Cert, root.PEM, middle.Revoke(), "unable to get certificate CRL", 1},
		{"revoked intermediate", below.Cert, root.PEM, join(root.Revoke(middle.Certificate()), middle.Revoke()), "certificate revoked", 1},
		{"root that may not sign lists", mute.Client("x").Cert, mute.PEM, unmuted.RevocationList(nil), "key usage does not include CRL signing", 0},
		{"trusted itself, no list", self.PEM, self.PEM, root.Revoke(), "unable to get certificate CRL", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			peer := parse(t, tt.peer)
			cas, err := parseAuthorities(tt.ca)
			must(t, err)
			m := &material{cas: cas}
			if tt.crl != nil {
				m.crls, err = parseRevocations(tt.crl)
				must(t, err)
			}
			for range 2 { // the second time a signature is known
				got, depth := "", 0
				if err := m.verify(peer, x509.ExtKeyUsageClientAuth, time.Now()); err != nil {
					e := err.(*Error)
					got, depth = e.Reason, e.Depth
				}
				if got != tt.reason || depth != tt.depth {
					t.Errorf("got %q at depth %d, want %q at %d", got, depth, tt.reason, tt.depth)
				}
			}
			if got, depth := opensslVerify(t, peer, tt.ca, tt.crl); got != tt.reason || depth != tt.depth {
				t.Errorf("OpenSSL says %q at depth %d, want %q at %d", got, depth, tt.reason, tt.depth)
			}
		})
	}
}

// opensslVerify asks the program openssl what it thinks of a client's certificate.
func opensslVerify(t *testing.T, peer []*x509.Certificate, ca, crl []byte) (reason string, depth int) {
	t.Helper()
	d := newDir(t)
	args := []string{"verify", "-purpose", "sslclient", "-CAfile", d.write("ca", ca), "-no-CApath", "-no-CAstore"}
	if crl != nil {
		args = append(args, "-crl_check_all", "-CRLfile", d.write("crl", crl))
	}
	for _, c := range peer[1:] {
		args = append(args, "-untrusted", d.write("untrusted"+c.SerialNumber.String(), encode(c)))
	}
	out, err := exec.Command("openssl", append(args, d.write("peer", encode(peer[0])))...).CombinedOutput()
	if err == nil {
		return "", 0
	}
	found := regexp.MustCompile(`error \d+ at (\d+) depth lookup: ?(.*)`).FindStringSubmatch(string(out))
	if found == nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	depth, _ = strconv.Atoi(found[1])
	return strings.TrimSpace(found[2]), depth
}

// TestRefusedLists are those that OpenSSL would read in a way that this package does not know.
func TestRefusedLists(t *testing.T) {
	root := certs.NewAuthority(t)
	delta := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}
	issuer := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}
	for want, list := range map[string][]byte{
		"X509 CRL number 1 in it: unhandled critical CRL extension 2.5.29.27": root.RevocationList(func(l *x509.RevocationList) {
			l.ExtraExtensions = append(l.ExtraExtensions, delta)
		}),
		"X509 CRL number 2 in it: unhandled critical CRL extension 2.5.29.29 of an entry": join(root.Revoke(), root.RevocationList(func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = append(l.RevokedCertificateEntries[0].ExtraExtensions, issuer)
		}, root.Client("x").Leaf(t))),
		"there is no X509 CRL in it": root.PEM,
	} {
		if _, err := parseRevocations(list); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestErrorIsBounded reads what a stranger may write into the log.
func TestErrorIsBounded(t *testing.T) {
	cert := certs.NewAuthority(t).Client(strings.Repeat("x", 5000) + "\nLOG: all is well").Leaf(t)
	text := (&Error{Reason: "certificate revoked", Cert: cert}).Error()
	if len(text) > 400 || strings.Contains(text, "\n") || !strings.HasPrefix(text, `certificate verify failed at depth 0: certificate revoked (subject "CN=xxx`) {
		t.Error(text)
	}
}

func hours(n int) time.Time { return time.Now().Add(time.Duration(n) * time.Hour) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func bothUses(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
}

func named(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject.CommonName = name }
}

func reason(code int) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = code }
}

// parse reads certificates from PEM, or one from DER.
func parse(t *testing.T, content []byte) (out []*x509.Certificate) {
	t.Helper()
	if !bytes.HasPrefix(content, []byte("-----")) {
		content = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: content})
	}
	must(t, eachBlock(content, "CERTIFICATE", func(der []byte) error {
		c, err := x509.ParseCertificate(der)
		out = append(out, c)
		return err
	}))
	return out
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// TestSigner looks whether the signature of a list fits by more than the last answer.
func TestSigner(t *testing.T) {
	root := certs.NewAuthority(t)
	twin := certs.NewAuthorityWith(t, nil, func(c *x509.Certificate) { c.SubjectKeyId = root.Certificate().SubjectKeyId })
	lists, err := parseRevocations(root.Revoke())
	must(t, err)
	l := lists.byIssuer[string(root.Certificate().RawSubject)][0]
	for i, want := range []bool{false, true, true, false, true} {
		issuer := twin
		if want {
			issuer = root
		}
		if got := l.signedBy(issuer.Certificate()); got != want {
			t.Errorf("step %d: got %t", i, got)
		}
	}
}

// TestManyCertificates looks for a way through what a hostile peer might send: many certificates of two names, each of which may have signed those of the other.
func TestManyCertificates(t *testing.T) {
	same := func(c *x509.Certificate) { c.SubjectKeyId = []byte{1} }
	a := certs.NewAuthorityWith(t, nil, func(c *x509.Certificate) { c.Subject.CommonName = "a"; same(c) })
	b := certs.NewAuthorityWith(t, nil, func(c *x509.Certificate) { c.Subject.CommonName = "b"; same(c) })
	peer := []*x509.Certificate{a.Client("alice").Leaf(t)}
	for range 60 {
		peer = append(peer, a.Intermediate("b", same).Certificate(), b.Intermediate("a", same).Certificate())
	}
	cas, err := parseAuthorities(certs.NewAuthorityWith(t, nil, named("other")).PEM)
	must(t, err)
	if n := len(cas.path(peer)); n > 10 {
		t.Errorf("a way of %d certificates: the search has no end", n)
	}
	if err := (&material{cas: cas}).verify(peer, x509.ExtKeyUsageClientAuth, time.Now()); err == nil {
		t.Error("accepted")
	}
}

// TestListWithoutEnd is one that crypto/x509 does not make.
func TestListWithoutEnd(t *testing.T) {
	l := &revocationList{list: &x509.RevocationList{ThisUpdate: hours(-1000)}}
	if reason := l.outdated(time.Now()); reason != "" {
		t.Error(reason)
	}
}
