package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
)

func TestMutualHandshake(t *testing.T) {
	ours, stranger := NewAuthority(t), NewAuthority(t)
	server := ours.Server("db.test", "127.0.0.1")
	tests := []struct {
		name   string
		client Pair
		trust  *x509.CertPool
		host   string
		ok     bool
	}{
		{"good", ours.Client("alice"), ours.Pool(), "db.test", true},
		{"good by address", ours.Client("alice"), ours.Pool(), "127.0.0.1", true},
		{"wrong host", ours.Client("alice"), ours.Pool(), "other.test", false},
		{"client of a stranger", stranger.Client("alice"), ours.Pool(), "db.test", false},
		{"server of a stranger", ours.Client("alice"), stranger.Pool(), "db.test", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := loopback(t)
			go func() {
				defer b.Close()
				_ = tls.Client(b, &tls.Config{
					ServerName: tt.host, RootCAs: tt.trust, Certificates: []tls.Certificate{tt.client.TLS(t)},
				}).Handshake() // the server's side tells how it went
			}()
			conn := tls.Server(a, &tls.Config{
				Certificates: []tls.Certificate{server.TLS(t)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.Pool(),
			})
			err := conn.Handshake()
			if (err == nil) != tt.ok {
				t.Fatalf("handshake: %v, want success %v", err, tt.ok)
			}
			if tt.ok && conn.ConnectionState().PeerCertificates[0].Subject.CommonName != "alice" {
				t.Error("the client is not alice")
			}
		})
	}
}

// loopback returns both ends of a connection that buffers, as a handshake that fails needs: both sides then write.
func loopback(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", freeport.For(t)))
	must(t, err)
	defer l.Close()
	b, err = net.Dial("tcp", l.Addr().String())
	must(t, err)
	a, err = l.Accept()
	must(t, err)
	t.Cleanup(func() { a.Close() })
	return a, b
}

// TestIntermediate follows a chain to its root.
func TestIntermediate(t *testing.T) {
	root := NewAuthority(t)
	middle := root.Intermediate("middle", nil)
	pair := middle.Intermediate("low", nil).Client("alice")
	chain := pair.TLS(t).Certificate
	if len(chain) != 3 {
		t.Fatalf("%d certificates, want the client's and two authorities'", len(chain))
	}
	links := x509.NewCertPool()
	links.AppendCertsFromPEM(pair.Cert)
	opts := x509.VerifyOptions{Roots: root.Pool(), Intermediates: links, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := pair.Leaf(t).Verify(opts); err != nil {
		t.Error(err)
	}
	opts.Roots = NewAuthority(t).Pool()
	if _, err := pair.Leaf(t).Verify(opts); err == nil {
		t.Error("another root will do")
	}
}

func TestRevoke(t *testing.T) {
	a := NewAuthority(t)
	leaf := a.Client("alice").Leaf(t)
	block, _ := pem.Decode(a.Revoke(leaf))
	list, err := x509.ParseRevocationList(block.Bytes)
	must(t, err)
	must(t, list.CheckSignatureFrom(a.Certificate()))
	if got := list.RevokedCertificateEntries; len(got) != 1 || got[0].SerialNumber.Cmp(leaf.SerialNumber) != 0 {
		t.Errorf("revoked are %v", got)
	}
}

func TestFiles(t *testing.T) {
	p := NewAuthority(t).Server("db.test")
	cert, key := p.Files(t, t.TempDir(), "server")
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
}
