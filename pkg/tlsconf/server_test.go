package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// reasonIn is the reason of an *Error, empty if there is none.
func reasonIn(err error) string {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// reasonFor is what a server says why it refused a client, empty if it did not.
func reasonFor(s *Server, o outcome) string {
	if o.server != nil {
		return "handshake: " + o.server.Error()
	}
	if e := s.Verify(o.serverState); e != nil {
		return e.Reason
	}
	return ""
}

// TestServerModes lets clients with each kind of certificate come in each mode.
func TestServerModes(t *testing.T) {
	ca, stranger := certs.NewAuthority(t), certs.NewAuthorityWith(t, nil, named("stranger"))
	middle := ca.Intermediate("middle", nil)
	server := ca.Server("db.test")
	good, below, bad, revoked := ca.Client("alice"), middle.Client("bob"), stranger.Client("alice"), ca.Client("mallory")
	old := ca.Issue("alice", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = hours(-3), hours(-2) })
	d := newDir(t)
	caFile := d.write("ca", ca.PEM)
	crlFile := d.write("crl", ca.Revoke(revoked.Leaf(t)), middle.Revoke())
	const unknown = "unable to get local issuer certificate"
	for _, tt := range []struct {
		name   string
		spec   Spec
		client *certs.Pair
		want   string
	}{
		{"no authorities, none", Spec{Mode: Require}, nil, ""},
		{"no authorities, bad", Spec{Mode: Require}, &bad, ""},
		{"prefer, none", Spec{Mode: Prefer, CAFile: caFile}, nil, ""},
		{"prefer, good", Spec{Mode: Prefer, CAFile: caFile}, &good, ""},
		{"prefer, bad", Spec{Mode: Prefer, CAFile: caFile}, &bad, unknown},
		{"require, none", Spec{Mode: Require, CAFile: caFile}, nil, ""},
		{"require, bad", Spec{Mode: Require, CAFile: caFile}, &bad, unknown},
		{"verify-ca, none", Spec{Mode: VerifyCA, CAFile: caFile}, nil, "peer did not return a certificate"},
		{"verify-ca, good", Spec{Mode: VerifyCA, CAFile: caFile}, &good, ""},
		{"verify-ca, intermediate", Spec{Mode: VerifyCA, CAFile: caFile}, &below, ""},
		{"verify-ca, bad", Spec{Mode: VerifyCA, CAFile: caFile}, &bad, unknown},
		{"verify-ca, for servers", Spec{Mode: VerifyCA, CAFile: caFile}, &server, "unsuitable certificate purpose"},
		{"verify-ca, expired", Spec{Mode: VerifyCA, CAFile: caFile}, &old, "certificate has expired"},
		{"verify-ca, revoked", Spec{Mode: VerifyCA, CAFile: caFile, CRLFile: crlFile}, &revoked, "certificate revoked"},
		{"verify-ca, revoked, no list", Spec{Mode: VerifyCA, CAFile: caFile}, &revoked, ""}, // the fault that the one above finds
		{"verify-ca, not revoked", Spec{Mode: VerifyCA, CAFile: caFile, CRLFile: crlFile}, &below, ""},
		{"verify-full, none", Spec{Mode: VerifyFull, CAFile: caFile}, nil, "peer did not return a certificate"},
		{"verify-full, good", Spec{Mode: VerifyFull, CAFile: caFile}, &good, ""},
		{"intermediate alone trusted", Spec{Mode: VerifyCA, CAFile: d.write("middle", middle.PEM)}, &below, "unable to get issuer certificate"},
	} {
		for version, v := range versions() {
			t.Run(tt.name+" "+version, func(t *testing.T) {
				s := newDir(t).server(&Files{}, ca, tt.spec)
				o := handshake(t, s.Config(), clientOf(t, ca, tt.client, v))
				if got := reasonFor(s, o); got != tt.want {
					t.Fatalf("got %q (%v), want %q", got, o.server, tt.want)
				}
				if o.client != nil {
					t.Errorf("the client got %v", o.client)
				}
				if tt.want == "" && (o.serverState.Version != v || o.serverState.NegotiatedProtocol != ALPN) {
					t.Errorf("version %x, protocol %q", o.serverState.Version, o.serverState.NegotiatedProtocol)
				}
			})
		}
	}
}

// TestResumption comes back with a session from before something changed: the certificate is looked at again.
func TestResumption(t *testing.T) {
	ca, other := certs.NewAuthority(t), certs.NewAuthorityWith(t, nil, named("other"))
	middle := ca.Intermediate("middle", nil)
	for version, v := range versions() {
		for name, tt := range map[string]struct {
			change  func(d dir, s Spec, now *time.Time, client certs.Pair)
			resumed bool // the session is, or was when the client was refused
			want    string
		}{
			"nothing": {func(dir, Spec, *time.Time, certs.Pair) {}, true, ""},
			"another is revoked": {func(d dir, _ Spec, _ *time.Time, client certs.Pair) {
				d.write("crl", ca.Revoke(ca.Client("bob").Leaf(t)), middle.Revoke())
			}, true, ""},
			"it is revoked": {func(d dir, _ Spec, _ *time.Time, client certs.Pair) {
				d.write("crl", ca.Revoke(), middle.Revoke(client.Leaf(t)))
			}, true, "certificate revoked"},
			"its authority is revoked": {func(d dir, _ Spec, _ *time.Time, client certs.Pair) {
				d.write("crl", ca.Revoke(middle.Certificate()), middle.Revoke())
			}, true, "certificate revoked"},
			"its authority's list is gone": {func(d dir, _ Spec, _ *time.Time, client certs.Pair) {
				d.write("crl", ca.Revoke())
			}, true, "unable to get certificate CRL"},
			"the lists have expired": {func(_ dir, _ Spec, now *time.Time, _ certs.Pair) {
				*now = now.Add(45 * time.Minute)
			}, true, "CRL has expired"},
			"it has expired": {func(_ dir, _ Spec, now *time.Time, _ certs.Pair) {
				*now = now.Add(55 * time.Minute)
			}, false, "certificate has expired"},
			"other authorities": {func(d dir, _ Spec, _ *time.Time, _ certs.Pair) {
				d.write("ca", other.PEM)
			}, false, "unable to get local issuer certificate"},
			"more authorities": {func(d dir, _ Spec, _ *time.Time, _ certs.Pair) {
				d.write("ca", ca.PEM, other.PEM)
			}, false, ""},
			"the proxy's certificate": {func(d dir, _ Spec, _ *time.Time, _ certs.Pair) {
				d.pair("server", ca.Server("db.test"))
			}, false, ""},
			"the same again": {func(d dir, s Spec, _ *time.Time, _ certs.Pair) {
				d.write("ca", ca.PEM)
			}, true, ""},
		} {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				client := middle.Issue("alice", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(50 * time.Minute) })
				d := newDir(t)
				now := time.Now()
				soon := func(l *x509.RevocationList) { l.NextUpdate = now.Add(40 * time.Minute) }
				f := &Files{clock: func() time.Time { return now }}
				spec := Spec{Mode: VerifyCA, CAFile: d.write("ca", ca.PEM), CRLFile: d.write("crl", ca.RevocationList(soon), middle.RevocationList(soon))}
				s := d.server(f, ca, spec)
				config := clientOf(t, ca, &client, v)
				config.ClientSessionCache = tls.NewLRUClientSessionCache(2)
				if o := handshake(t, s.Config(), config); o.server != nil || o.client != nil || o.serverState.DidResume {
					t.Fatalf("first: %v, %v, resumed %t", o.server, o.client, o.serverState.DidResume)
				}
				tt.change(d, spec, &now, client)
				if s.Changed() {
					must(t, s.Reload())
				}
				o := handshake(t, s.Config(), config)
				if got := reasonFor(s, o); got != tt.want || o.serverState.DidResume != tt.resumed {
					t.Errorf("got %q (%v), resumed %t; want %q, %t", got, o.server, o.serverState.DidResume, tt.want, tt.resumed)
				}
			})
		}
	}
}

// TestReload replaces the proxy's certificate under a connection, then breaks it.
func TestReload(t *testing.T) {
	ca := certs.NewAuthority(t)
	d := newDir(t)
	first, second := ca.Server("db.test"), ca.Server("db.test")
	cert, key := d.pair("server", first)
	s, err := (&Files{}).LoadServer(ServerSpec{Spec{Mode: Require, CertFile: cert, KeyFile: key}})
	must(t, err)
	config := s.Config() // of all that follows
	presented := func() *x509.Certificate {
		t.Helper()
		o := handshake(t, config, clientOf(t, ca, nil, 0))
		must(t, o.client)
		return o.clientState.PeerCertificates[0]
	}
	a, b := connect(t)
	open, client := tls.Server(a, config), tls.Client(b, clientOf(t, ca, nil, 0))
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	must(t, open.Handshake())
	must(t, <-done)

	d.pair("server", second)
	if !presented().Equal(first.Leaf(t)) {
		t.Error("a file counts before it is loaded")
	}
	must(t, s.Reload())
	if !presented().Equal(second.Leaf(t)) {
		t.Error("the first certificate is still presented")
	}
	_, err = open.Write([]byte("x"))
	must(t, err)
	if _, err := client.Read(make([]byte, 1)); err != nil {
		t.Errorf("the open connection: %v", err)
	}

	d.write("server.key", first.Key)
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "server.key") {
		t.Errorf("reloading a key that does not fit: %v", err)
	}
	if s.Changed() {
		t.Error("what was refused is said to have changed again")
	}
	config, leaf := s.Current()
	if !presented().Equal(second.Leaf(t)) || !leaf.Equal(second.Leaf(t)) {
		t.Error("after a reload that failed, the second certificate is gone")
	}
	d.write("server.key", second.Key)
	if !s.Changed() {
		t.Error("the key that fits is not noticed")
	}
	must(t, s.Reload())
}

func TestDisabled(t *testing.T) {
	s, err := (&Files{}).LoadServer(ServerSpec{Spec{CertFile: "/nonexistent"}})
	must(t, err)
	config, cert := s.Current()
	if s.Config() != nil || config != nil || cert != nil || s.Changed() || s.Reload() != nil || s.Warnings() != nil {
		t.Error("a server without TLS has some")
	}
	c, err := (&Files{}).LoadClient(ClientSpec{})
	must(t, err)
	if c.Config("db.test") != nil || c.Changed() || c.Reload() != nil || c.Warnings() != nil {
		t.Error("a client without TLS has some")
	}
}

func TestWarnings(t *testing.T) {
	ca := certs.NewAuthority(t)
	d := newDir(t)
	now := time.Now()
	f := &Files{clock: func() time.Time { return now }}
	s := d.server(f, ca, Spec{Mode: VerifyCA, CAFile: d.write("ca", ca.PEM), CRLFile: d.write("crl", ca.Revoke())})
	if w := s.Warnings(); w != nil {
		t.Errorf("all is well, and yet: %q", w)
	}
	for _, tt := range []struct {
		at   time.Time
		want []string
	}{
		{now.Add(2 * time.Hour), []string{"has expired", "CRL has expired", "has expired"}},
		{now.Add(-2 * time.Hour), []string{"is not valid before", "CRL is not yet valid", "is not valid before"}},
	} {
		now = tt.at
		got := s.Warnings()
		if len(got) != len(tt.want) {
			t.Errorf("got %q", got)
			continue
		}
		for i, file := range []string{"certificate file", "certificate revocation list file", "root certificate file"} {
			if !strings.HasPrefix(got[i], file) || !strings.Contains(got[i], tt.want[i]) {
				t.Errorf("got %q, want %q", got[i], tt.want[i])
			}
		}
		if _, err := f.LoadServer(ServerSpec{s.source.spec}); err != nil {
			t.Errorf("a certificate whose time is over cannot be loaded: %v", err)
		}
	}
}

// TestVersions offers one version each to servers that allow some.
func TestVersions(t *testing.T) {
	ca := certs.NewAuthority(t)
	all := map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	for _, tt := range []struct {
		spec Spec
		want string
	}{
		{Spec{Mode: Require}, "TLSv1.2 TLSv1.3"},
		{Spec{Mode: Require, MinVersion: "TLSv1.3"}, "TLSv1.3"},
		{Spec{Mode: Require, MaxVersion: "TLSv1.2"}, "TLSv1.2"},
		{Spec{Mode: Require, MinVersion: "TLSv1"}, "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3"},
		{Spec{Mode: Require, MinVersion: "TLSv1.1", MaxVersion: "TLSv1.1"}, "TLSv1.1"},
	} {
		s := newDir(t).server(&Files{}, ca, tt.spec)
		for name, v := range all {
			config := clientOf(t, ca, nil, v)
			config.MinVersion = v
			o := handshake(t, s.Config(), config)
			if want := strings.Contains(" "+tt.want+" ", " "+name+" "); (o.client == nil) != want {
				t.Errorf("%+v: %s got %v", tt.spec, name, o.client)
			}
		}
	}
}

// TestChoice sees that ciphers and curves are those of the spec.
func TestChoice(t *testing.T) {
	ca := certs.NewAuthority(t)
	s := newDir(t).server(&Files{}, ca, Spec{Mode: Require, Ciphers: []string{"ECDHE-ECDSA-CHACHA20-POLY1305"}, Curves: []string{"secp384r1"}})
	if config, _ := s.Current(); !config.DynamicRecordSizingDisabled || config.Renegotiation != tls.RenegotiateNever {
		t.Error("records are small at first, or there is renegotiation")
	}
	for version, v := range versions() {
		o := handshake(t, s.Config(), clientOf(t, ca, nil, v))
		must(t, o.client)
		if o.clientState.CurveID != tls.CurveP384 || v == tls.VersionTLS12 && o.clientState.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 {
			t.Errorf("%s: %s, %s", version, tls.CipherSuiteName(o.clientState.CipherSuite), o.clientState.CurveID)
		}
	}
}

func TestALPN(t *testing.T) {
	ca := certs.NewAuthority(t)
	s := newDir(t).server(&Files{}, ca, Spec{Mode: Require})
	for _, tt := range []struct {
		offered   []string
		handshake bool
		direct    string
	}{
		{[]string{"postgresql"}, true, ""},
		{[]string{"h2", "postgresql"}, true, ""},
		{[]string{"h2"}, false, ""},
		{nil, true, "received direct SSL connection request without ALPN protocol negotiation extension"},
	} {
		config := clientOf(t, ca, nil, 0)
		config.NextProtos = tt.offered
		o := handshake(t, s.Config(), config)
		if (o.server == nil) != tt.handshake {
			t.Errorf("%q: %v", tt.offered, o.server)
		}
		if got := reasonIn(CheckDirect(o.serverState)); tt.handshake && got != tt.direct {
			t.Errorf("%q: got %q, want %q", tt.offered, got, tt.direct)
		}
	}
}
