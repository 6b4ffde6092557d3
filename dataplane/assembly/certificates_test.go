package assembly_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestClientCertificates lets clients in by their certificates, tells the others in words why not, and notices when a file
// changes.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE ann LOGIN")
	p := stage.NewPKI(t)
	stranger := certs.NewAuthority(t)
	good, revoked := p.Client("ann"), p.Client("ann")
	old := p.Issue("ann", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	crl := filepath.Join(p.Dir, "crl")
	write := func(path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(crl, p.Revoke(revoked.Leaf(t)))
	for _, c := range []struct {
		mode heliosv1.SSLMode
		auth heliosv1.AuthMethod
		pair certs.Pair // none if it is empty
		want string
	}{
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, good, "ann"},
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, p.Client("eve"), `certificate authentication failed for user "ann"`},
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, certs.Pair{}, "connection requires a valid client certificate"},
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, old, "client certificate was refused: certificate has expired"},
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, revoked, "client certificate was refused: certificate revoked"},
		{heliosv1.SSLMode_SSL_MODE_REQUIRE, heliosv1.AuthMethod_AUTH_METHOD_CERT, stranger.Client("ann"), "client certificate was refused: "},
		{heliosv1.SSLMode_SSL_MODE_VERIFY_CA, heliosv1.AuthMethod_AUTH_METHOD_TRUST, good, "ann"},
		{heliosv1.SSLMode_SSL_MODE_VERIFY_CA, heliosv1.AuthMethod_AUTH_METHOD_TRUST, p.Client("eve"), "ann"},
		{heliosv1.SSLMode_SSL_MODE_VERIFY_CA, heliosv1.AuthMethod_AUTH_METHOD_TRUST, certs.Pair{}, "client certificate was refused: peer did not return a certificate"},
		{heliosv1.SSLMode_SSL_MODE_VERIFY_FULL, heliosv1.AuthMethod_AUTH_METHOD_TRUST, good, "ann"},
		{heliosv1.SSLMode_SSL_MODE_VERIFY_FULL, heliosv1.AuthMethod_AUTH_METHOD_TRUST, p.Client("eve"), `authentication failed for user "ann"`},
	} {
		set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
		set.Listeners["main"].Auth = c.auth
		set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: c.mode, CertFile: p.Cert, KeyFile: p.Key, CaFile: p.CA, CrlFile: crl}
		_, addr := stage.Start(t, set)
		conninfo := "user=ann sslmode=require"
		if c.pair.Cert != nil {
			conninfo += p.Conninfo(t, "client", c.pair)
		}
		if got := stage.Psql(t, addr, conninfo, "SELECT current_user"); got != c.want && (c.want == "ann" || !strings.Contains(got, c.want)) {
			t.Errorf("%v, %v: %s; want %s", c.mode, c.auth, got, c.want)
		}
	}

	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_CERT
	set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: p.Cert, KeyFile: p.Key, CaFile: p.CA, CrlFile: crl}
	px, addr := stage.Start(t, set, func(o *assembly.Options) { o.FilesPeriod = 10 * time.Millisecond })
	conninfo := "user=ann sslmode=require" + p.Conninfo(t, "client", good)
	if got := stage.Psql(t, addr, conninfo, "SELECT 1"); got != "1" {
		t.Fatal(got)
	}
	write(crl, p.Revoke(revoked.Leaf(t), good.Leaf(t)))
	stage.Eventually(t, 10*time.Second, "the list that has become longer", func() bool {
		return strings.Contains(stage.Psql(t, addr, conninfo, "SELECT 1"), "certificate revoked")
	})
	write(crl, []byte("rubbish"))
	stage.Eventually(t, 10*time.Second, "a file that cannot be read", func() bool { return !px.Secrets().Door("main").Changed() })
	if got := stage.Psql(t, addr, conninfo, "SELECT 1"); !strings.Contains(got, "certificate revoked") {
		t.Errorf("with a list that cannot be read: %s", got)
	}
	if _, err := px.Apply(set, nil); err == nil || !strings.Contains(err.Error(), "crl") {
		t.Errorf("a configuration with a list that cannot be read is taken: %v", err)
	}
}
