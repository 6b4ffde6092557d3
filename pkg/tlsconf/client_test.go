package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// TestClientModes connects in each mode to each kind of server.
func TestClientModes(t *testing.T) {
	ca, stranger := certs.NewAuthority(t), certs.NewAuthorityWith(t, nil, named("stranger"))
	middle := ca.Intermediate("middle", nil)
	d := newDir(t)
	caFile := d.write("ca", ca.PEM)
	servers := map[string]certs.Pair{
		"good":         ca.Server("db.test"),
		"wrong name":   ca.Server("other.test"),
		"stranger":     stranger.Server("db.test"),
		"old":          ca.Issue("db.test", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = hours(-3), hours(-2) }),
		"intermediate": middle.Server("db.test"),
		"revoked":      ca.Server("db.test"),
		"for clients":  ca.Client("db.test"),
	}
	crlFile := d.write("crl", ca.Revoke(servers["revoked"].Leaf(t)), middle.Revoke())
	const (
		unknown = "unable to get local issuer certificate"
		name    = `server certificate for "other.test" does not match host name "db.test"`
	)
	for _, tt := range []struct {
		server string
		spec   Spec
		want   string
	}{
		{"stranger", Spec{Mode: Allow, CAFile: caFile}, ""},
		{"stranger", Spec{Mode: Prefer, CAFile: caFile}, ""},
		{"stranger", Spec{Mode: Require}, ""},
		{"old", Spec{Mode: Require}, ""},
		{"stranger", Spec{Mode: Require, CAFile: caFile}, unknown},
		{"wrong name", Spec{Mode: Require, CAFile: caFile}, ""},
		{"old", Spec{Mode: Require, CAFile: caFile}, "certificate has expired"},
		{"good", Spec{Mode: VerifyCA, CAFile: caFile}, ""},
		{"wrong name", Spec{Mode: VerifyCA, CAFile: caFile}, ""},
		{"stranger", Spec{Mode: VerifyCA, CAFile: caFile}, unknown},
		{"for clients", Spec{Mode: VerifyCA, CAFile: caFile}, "unsuitable certificate purpose"},
		{"good", Spec{Mode: VerifyFull, CAFile: caFile}, ""},
		{"intermediate", Spec{Mode: VerifyFull, CAFile: caFile}, ""},
		{"wrong name", Spec{Mode: VerifyFull, CAFile: caFile}, name},
		{"stranger", Spec{Mode: VerifyFull, CAFile: caFile}, unknown},
		{"revoked", Spec{Mode: VerifyFull, CAFile: caFile}, ""}, // the fault that the next one finds
		{"revoked", Spec{Mode: VerifyFull, CAFile: caFile, CRLFile: crlFile}, "certificate revoked"},
		{"intermediate", Spec{Mode: VerifyFull, CAFile: caFile, CRLFile: crlFile}, ""},
	} {
		for version, v := range versions() {
			t.Run(tt.server+" "+tt.spec.Mode.String()+" "+version, func(t *testing.T) {
				c, err := (&Files{}).LoadClient(ClientSpec{Spec: tt.spec})
				must(t, err)
				o := handshake(t, &tls.Config{Certificates: []tls.Certificate{servers[tt.server].TLS(t)}, MaxVersion: v}, c.Config("db.test"))
				if got := reasonIn(o.client); got != tt.want || (o.client == nil) != (tt.want == "") {
					t.Errorf("got %q (%v), want %q", got, o.client, tt.want)
				}
			})
		}
	}
}

// TestClientReload uses one config all along: what is loaded last counts.
func TestClientReload(t *testing.T) {
	ca, other := certs.NewAuthority(t), certs.NewAuthorityWith(t, nil, named("other"))
	d := newDir(t)
	pair := ca.Server("db.test")
	cert, key := d.pair("alice", ca.Client("alice"))
	now := time.Now()
	c, err := (&Files{clock: func() time.Time { return now }}).LoadClient(ClientSpec{Spec: Spec{
		Mode: VerifyFull, CertFile: cert, KeyFile: key, CAFile: d.write("ca", ca.PEM), CRLFile: d.write("crl", ca.Revoke()),
	}})
	must(t, err)
	server := &tls.Config{Certificates: []tls.Certificate{pair.TLS(t)}, ClientAuth: tls.RequireAnyClientCert}
	config := c.Config("db.test")
	try := func() (user, reason string) {
		t.Helper()
		o := handshake(t, server, config)
		if o.client == nil {
			user = o.serverState.PeerCertificates[0].Subject.CommonName
		}
		return user, reasonIn(o.client)
	}
	check := func(step, user, reason string) {
		t.Helper()
		if gotUser, gotReason := try(); gotUser != user || gotReason != reason {
			t.Errorf("%s: got user %q, reason %q; want %q, %q", step, gotUser, gotReason, user, reason)
		}
	}
	check("first", "alice", "")
	d.pair("alice", ca.Client("bob"))
	check("before the reload", "alice", "")
	must(t, c.Reload())
	check("another user", "bob", "")
	now = now.Add(2 * time.Hour)
	check("later", "", "certificate has expired")
	now = now.Add(-2 * time.Hour)
	d.write("crl", ca.Revoke(pair.Leaf(t)))
	must(t, c.Reload())
	check("revoked", "", "certificate revoked")
	d.write("crl", []byte("none"))
	if err := c.Reload(); err == nil {
		t.Error("nonsense is a revocation list")
	}
	check("list broken", "", "certificate revoked")
	d.write("crl", other.Revoke())
	d.write("ca", other.PEM)
	must(t, c.Reload())
	check("other authorities", "", "unable to get local issuer certificate")
}

// TestClientHello reads what a server hears from the client.
func TestClientHello(t *testing.T) {
	ca := certs.NewAuthority(t)
	pair := ca.Server("db.test").TLS(t)
	for _, tt := range []struct {
		sni  bool
		host string
		want string
	}{
		{true, "db.test", "db.test"},
		{false, "db.test", ""},
		{true, "10.0.0.1", ""},
		{true, "2001:db8::1", ""},
	} {
		c, err := (&Files{}).LoadClient(ClientSpec{Spec: Spec{Mode: Require}, SNI: tt.sni})
		must(t, err)
		var heard *tls.ClientHelloInfo
		server := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
		server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { heard = h; return nil, nil }
		o := handshake(t, server, c.Config(tt.host))
		if o.client != nil || heard.ServerName != tt.want || len(heard.SupportedProtos) != 1 || heard.SupportedProtos[0] != ALPN {
			t.Errorf("%+v: %v, server name %q, protocols %q", tt, o.client, heard.ServerName, heard.SupportedProtos)
		}
	}
}

func TestClientDirect(t *testing.T) {
	pair := certs.NewAuthority(t).Server("db.test").TLS(t)
	for _, tt := range []struct {
		direct bool
		protos []string
		want   string
	}{
		{true, []string{ALPN}, ""},
		{true, nil, "direct SSL connection was established without ALPN protocol negotiation extension"},
		{false, nil, ""},
	} {
		c, err := (&Files{}).LoadClient(ClientSpec{Spec: Spec{Mode: Require}, Direct: tt.direct})
		must(t, err)
		o := handshake(t, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: tt.protos}, c.Config("db.test"))
		if got := reasonIn(o.client); got != tt.want {
			t.Errorf("%+v: got %q", tt, got)
		}
	}
}
