package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
)

// TestCheckHost holds which names fit a host, and what is said when none does, against libpq with sslmode=verify-full.
func TestCheckHost(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Fatal("psql is not installed: it comes with PostgreSQL")
	}
	ca := certs.NewAuthority(t)
	root := newDir(t).write("root.crt", ca.PEM)
	for _, tt := range []struct {
		cn   string
		sans string // separated by spaces; addresses come last
		host string
		want string // empty: it is the host's
	}{
		{"x", "db.test", "db.test", ""},
		{"x", "db.test", "DB.Test", ""},
		{"x", "a.test db.test", "db.test", ""},
		{"x", "a.test", "db.test", `server certificate for "a.test" does not match host name "db.test"`},
		{"x", "a.test b.test", "db.test", `server certificate for "a.test" (and 1 other name) does not match host name "db.test"`},
		{"x", "a.test b.test 10.0.0.1", "db.test", `server certificate for "a.test" (and 2 other names) does not match host name "db.test"`},
		{"db.test", "", "db.test", ""},
		{"db.test", "a.test", "db.test", `server certificate for "a.test" does not match host name "db.test"`},
		{"db.test", "10.0.0.1", "db.test", ""},
		{"a.test", "10.0.0.1", "db.test", `server certificate for "10.0.0.1" (and 1 other name) does not match host name "db.test"`},
		{"", "", "db.test", `could not get server's host name from server certificate`},

		{"x", "*.test", "db.test", ""},
		{"x", "*.TEST", "db.test", ""},
		{"*.test", "", "db.test", ""},
		{"x", "*.test", "a.db.test", `server certificate for "*.test" does not match host name "a.db.test"`},
		{"x", "*.test", "test", `server certificate for "*.test" does not match host name "test"`},
		{"x", "*.test", ".test", `server certificate for "*.test" does not match host name ".test"`},
		{"x", "*.db.test", "a.db.test", ""},
		{"x", "d*.test", "db.test", `server certificate for "d*.test" does not match host name "db.test"`},
		{"x", "a.*.test", "a.db.test", `server certificate for "a.*.test" does not match host name "a.db.test"`},
		{"x", "*", "db", `server certificate for "*" does not match host name "db"`},
		{"x", "*b.test", "db.test", `server certificate for "*b.test" does not match host name "db.test"`},

		{"x", "10.0.0.1", "10.0.0.1", ""},
		{"x", "10.0.0.1", "10.0.0.2", `server certificate for "10.0.0.1" does not match host name "10.0.0.2"`},
		{"10.0.0.1", "", "10.0.0.1", ""},
		{"10.0.0.1", "a.test", "10.0.0.1", ""},
		{"10.0.0.1", "10.0.0.2", "10.0.0.1", `server certificate for "10.0.0.2" does not match host name "10.0.0.1"`},
		{"a.test", "b.test", "10.0.0.1", `server certificate for "b.test" (and 1 other name) does not match host name "10.0.0.1"`},
		{"x", "dns:10.0.0.1", "10.0.0.1", ""},
		{"*.0.0.1", "", "10.0.0.1", ""},
		{"x", "2001:db8::1", "2001:db8::1", ""},
		{"x", "2001:db8::1", "2001:DB8:0::1", ""},
		{"x", "2001:db8::1", "2001:db8::2", `server certificate for "2001:db8::1" does not match host name "2001:db8::2"`},
		{"2001:db8::1", "", "2001:db8::1", ""},
		{"x", "10.0.0.1", "::ffff:10.0.0.1", `server certificate for "10.0.0.1" does not match host name "::ffff:10.0.0.1"`},
	} {
		t.Run(tt.cn+" "+tt.sans+" for "+tt.host, func(t *testing.T) {
			t.Parallel()
			pair := ca.Issue(tt.cn, func(c *x509.Certificate) {
				for san := range strings.FieldsSeq(tt.sans) {
					if ip := net.ParseIP(san); ip != nil {
						c.IPAddresses = append(c.IPAddresses, ip)
					} else {
						c.DNSNames = append(c.DNSNames, strings.TrimPrefix(san, "dns:"))
					}
				}
			})
			if got := checkHost(pair.Leaf(t), tt.host); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			port := accept(t, &tls.Config{Certificates: []tls.Certificate{pair.TLS(t)}})
			out, _ := exec.CommandContext(t.Context(), psql, "-X", "-c", "select 1", fmt.Sprintf(
				"host=%s hostaddr=127.0.0.1 port=%d user=u dbname=d sslmode=verify-full sslrootcert=%s gssencmode=disable", tt.host, port, root)).CombinedOutput()
			want := tt.want
			if want == "" {
				want = welcome
			}
			if !strings.Contains(string(out), want) {
				t.Errorf("libpq says %q, want %q", out, want)
			}
		})
	}
	t.Run("no host", func(t *testing.T) {
		if got := checkHost(ca.Server("db.test").Leaf(t), ""); got != "host name must be specified for a verified SSL connection" {
			t.Error(got)
		}
	})
	t.Run("common names", func(t *testing.T) { // libpq takes the first, crypto/x509 the last
		leaf := ca.Issue("x", func(c *x509.Certificate) {
			cn := asn1.ObjectIdentifier{2, 5, 4, 3}
			c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: cn, Value: "first.test"}, {Type: cn, Value: "last.test"}}}
		}).Leaf(t)
		if checkHost(leaf, "first.test") != "" || checkHost(leaf, "last.test") == "" {
			t.Error("the last common name counts")
		}
	})
	t.Run("NUL", func(t *testing.T) {
		if matchName("db.test\x00.evil.test", "db.test") {
			t.Error("a name that ends in the middle fits")
		}
	})
}

// welcome is what a client reads that got through TLS.
const welcome = "you are welcome"

// accept lets clients in until the test ends: an SSLRequest, TLS, and an error that says so. It returns the port.
func accept(t *testing.T, config *tls.Config) int {
	t.Helper()
	port := freeport.For(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the test has ended
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := io.CopyN(io.Discard, conn, 8); err != nil {
					return
				}
				conn.Write([]byte("S"))
				s := tls.Server(conn, config)
				if s.Handshake() == nil {
					s.Read(make([]byte, 1000))
					body := "SFATAL\x00VFATAL\x00C28000\x00M" + welcome + "\x00\x00"
					s.Write(append([]byte{'E', 0, 0, 0, byte(len(body) + 4)}, body...))
					s.Close()
				}
			}()
		}
	}()
	return port
}

// TestLibpq lets psql connect to a Server: libpq says what it is told.
func TestLibpq(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Fatal("psql is not installed: it comes with PostgreSQL")
	}
	ca := certs.NewAuthority(t)
	d := newDir(t)
	cert, key := d.pair("alice", ca.Client("alice"))
	caFile := d.write("ca.crt", ca.PEM)
	server := d.server(&Files{}, ca, Spec{Mode: VerifyCA, CAFile: caFile})
	port := accept(t, server.Config())
	for name, tt := range map[string]struct{ cert, key, want string }{
		"good":           {cert, key, welcome},
		"no certificate": {"", "", welcome}, // the login refuses it
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), psql, "-X", "-c", "select 1", fmt.Sprintf(
				"host=db.test hostaddr=127.0.0.1 port=%d user=u dbname=d sslmode=verify-full sslrootcert=%s sslcert=%s sslkey=%s gssencmode=disable",
				port, caFile, tt.cert, tt.key))
			cmd.Env = append(os.Environ(), "HOME=/nonexistent")
			out, _ := cmd.CombinedOutput()
			if !strings.Contains(string(out), tt.want) {
				t.Errorf("libpq says %q, want %q", out, tt.want)
			}
		})
	}
}
