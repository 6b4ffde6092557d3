package exact

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/faultconn"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// secure makes PostgreSQL, the proxy and the clients speak TLS, and log in by SCRAM. Between PostgreSQL and the proxy is a relay that
// cuts what goes through it. The harnesses speak TLS 1.3 and 1.2 in turn.
func (st *stage) secure(t testing.TB) {
	t.Helper()
	const password = "a password"
	ca, dir := certs.NewAuthority(t), t.TempDir()
	root := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(root, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	pair := ca.Server("127.0.0.1")
	st.pg.Exec(t, "SET password_encryption = 'scram-sha-256'; ALTER ROLE postgres PASSWORD '"+password+"'")
	st.pg.SpeakTLS(t, pair.Cert, pair.Key, nil)
	cert, key := pair.Files(t, dir, "server")

	host, port, err := net.SplitHostPort(faultconn.Relay(t, st.pg.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	at, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	st.set.Nodes["n1"].Host, st.set.Nodes["n1"].Port = host, uint32(at)
	st.set.Clusters["main"].Tls = &heliosv1.ServerTLS{
		Mode: heliosv1.SSLMode_SSL_MODE_VERIFY_CA, CaFile: root, ChannelBinding: heliosv1.ChannelBinding_CHANNEL_BINDING_REQUIRE,
	}
	st.set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	st.set.Listeners["main"].Tls = &heliosv1.ClientTLS{Mode: heliosv1.SSLMode_SSL_MODE_REQUIRE, CertFile: cert, KeyFile: key}
	st.set.Users = map[string]*heliosv1.User{"postgres": {Name: "postgres", Secret: &heliosv1.Secret{Value: password}}}

	st.logins = nil
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		st.logins = append(st.logins, Login{Password: password, TLS: &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", MaxVersion: version}})
	}
}

// TestTLS is a part of TestExact over TLS, whose packets are cut within records and between them.
func TestTLS(t *testing.T) {
	if *secured {
		t.Skip("TestExact is all of it")
	}
	st := newStage(t, *parallel, true)
	st.open(t, time.Minute)
	st.greet(t)
	st.run(t, "generated sequences over TLS", tlsCount, generated(*first, tlsCount))
}

// tlsCount is how many sequences a part is.
const tlsCount = 120
