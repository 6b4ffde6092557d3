package tlsconf

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
)

// An outcome is how a handshake went.
type outcome struct {
	server, client           error
	serverState, clientState tls.ConnectionState
}

// handshake lets both sides shake hands, and then exchange a byte, which is when a client of TLS 1.3 hears that it is refused, or gets its tickets.
func handshake(t *testing.T, server, client *tls.Config) outcome {
	t.Helper()
	a, b := connect(t)
	s, c := tls.Server(a, server), tls.Client(b, client)
	var o outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		if o.client = c.Handshake(); o.client == nil {
			_, o.client = c.Read(make([]byte, 1))
		}
		o.clientState = c.ConnectionState()
	}()
	if o.server = s.Handshake(); o.server == nil {
		_, o.server = s.Write([]byte{'x'})
	}
	o.serverState = s.ConnectionState()
	a.Close()
	<-done
	return o
}

// connect returns both ends of a connection that buffers, as a handshake that fails needs: both sides then write.
func connect(t *testing.T) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(t, err)
	end := func(fd int) net.Conn {
		f := os.NewFile(uintptr(fd), "socketpair")
		defer f.Close()
		c, err := net.FileConn(f)
		must(t, err)
		must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
		t.Cleanup(func() { c.Close() })
		return c
	}
	return end(fds[0]), end(fds[1])
}

// A dir is where a test keeps its files.
type dir struct {
	t    *testing.T
	path string
}

func newDir(t *testing.T) dir { return dir{t, t.TempDir()} }

// write makes or replaces a file, always with another inode, and returns its path.
func (d dir) write(name string, parts ...[]byte) string {
	d.t.Helper()
	path := filepath.Join(d.path, name)
	var content []byte
	for _, p := range parts {
		content = append(content, p...)
	}
	must(d.t, os.WriteFile(path+".new", content, 0o600))
	must(d.t, os.Rename(path+".new", path))
	return path
}

// pair writes a certificate and its key.
func (d dir) pair(name string, p certs.Pair) (cert, key string) {
	d.t.Helper()
	return d.write(name+".crt", p.Cert), d.write(name+".key", p.Key)
}

// server loads a server with a certificate of ca for db.test.
func (d dir) server(f *Files, ca *certs.Authority, spec Spec) *Server {
	d.t.Helper()
	if spec.CertFile == "" {
		spec.CertFile, spec.KeyFile = d.pair("server", ca.Server("db.test"))
	}
	s, err := f.LoadServer(ServerSpec{spec})
	must(d.t, err)
	return s
}

// clientOf is a client that crypto/tls alone makes, with a certificate or without.
func clientOf(t *testing.T, ca *certs.Authority, pair *certs.Pair, version uint16) *tls.Config {
	c := &tls.Config{ServerName: "db.test", RootCAs: ca.Pool(), MaxVersion: version, NextProtos: []string{ALPN}}
	if pair != nil {
		own := pair.TLS(t)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	}
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// versions are those that differ in when certificates are looked at.
func versions() map[string]uint16 {
	return map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
}
