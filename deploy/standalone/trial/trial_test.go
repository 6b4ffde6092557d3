package trial

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/configfile"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/dnsserver"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// tried is what comes of trying a file, a line each.
func tried(t *testing.T, text string, offline bool) string {
	t.Helper()
	file, findings := configfile.Parse("proxy.toml", []byte(text), os.LookupEnv)
	if file == nil {
		t.Fatal(findings)
	}
	var b strings.Builder
	for _, o := range Try(t.Context(), file, offline) {
		fmt.Fprintf(&b, "%s|%s|%s\n", o.Level, o.What, o.Why)
	}
	return b.String()
}

func wants(t *testing.T, got string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)^" + p + "$").MatchString(got) {
			t.Errorf("lacks %s in\n%s", p, got)
		}
	}
}

// server answers a request for TLS, and speaks it if it answers S; 0 is to say nothing.
func server(t *testing.T, answer byte, pair certs.Pair) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.ReadFull(c, make([]byte, 8))
				if answer != 0 {
					c.Write([]byte{answer})
				}
				if answer == 'S' {
					cert, _ := tls.X509KeyPair(pair.Cert, pair.Key)
					tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
				}
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func node(name string, port int, more string) string {
	return fmt.Sprintf("[[nodes]]\nname = %q\nhost = \"127.0.0.1\"\nport = %d\n%s\n", name, port, more)
}

func TestNodes(t *testing.T) {
	authority, stranger := certs.NewAuthority(t), certs.NewAuthority(t)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, authority.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	good, other := authority.Server("127.0.0.1"), authority.Server("elsewhere")
	verified := fmt.Sprintf("tls = { mode = \"verify-full\", ca_path = %q }", ca)
	config := "[proxy]\nlisten_address = \"127.0.0.1:0\"\nadmin_address = \"127.0.0.1:0\"\n" +
		node("a", server(t, 'S', good), "role = \"primary\"") +
		node("b", server(t, 'S', good), "role = \"replica\"\n"+verified) +
		node("c", server(t, 'S', other), "role = \"replica\"\n"+verified) +
		node("d", server(t, 'S', stranger.Server("127.0.0.1")), "role = \"replica\"\n"+verified) +
		node("e", server(t, 'N', good), "role = \"replica\"\ntls = { mode = \"require\" }") +
		node("f", server(t, 'N', good), "role = \"replica\"") +
		node("g", server(t, 'H', good), "role = \"replica\"") +
		node("h", freeport.For(t), "role = \"replica\"") +
		node("i", freeport.For(t), "role = \"replica\"\nenabled = false") +
		node("j", server(t, 0, good), "role = \"replica\"\ntls = { mode = \"disable\" }") +
		node("k", server(t, 0, good), "role = \"replica\"\ntls = { mode = \"allow\" }") +
		node("l", server(t, 0, good), "role = \"replica\"\ntls = { mode = \"verify-ca\", ca_path = \"/nowhere\" }")
	got := tried(t, config, false)
	wants(
		t, got,
		`ok\|node a \(127.0.0.1:\d+\)\|reached, TLS 1.3 with \w+, nothing verified`,
		`ok\|node b .*\|reached, TLS 1.3 with \w+, verify-full`,
		`fail\|node c .*\|reached, but there is no TLS with it by mode verify-full: server certificate for "elsewhere" .and 1 other name. does not match host name "127.0.0.1"`,
		`fail\|node d .*\|reached, but there is no TLS with it by mode verify-full: certificate verify failed.*`,
		`fail\|node e .*\|reached, but it speaks no TLS, and the mode is require`,
		`ok\|node f .*\|reached, without TLS: it has none`,
		`fail\|node g .*\|reached, but what answers is no PostgreSQL server`,
		`fail\|node h .*\|not reached: .*connection refused`,
		`ok\|node j .*\|reached, without TLS`,
		`ok\|node k .*\|reached, and TLS only if it refuses to do without`,
		`fail\|node l .*\|root certificate file "/nowhere": no such file or directory`,
	)
	if strings.Contains(got, "node i") {
		t.Errorf("a node that is disabled was tried:\n%s", got)
	}
	offline := tried(t, config, true)
	wants(t, offline, `fail\|node l .*\|root certificate file "/nowhere".*`)
	if strings.Contains(offline, "node a") {
		t.Errorf("a node was tried offline:\n%s", offline)
	}
}

// TestAddresses: what can be bound is, what a proxy holds is a warning, and what others hold a failure. Nothing stays open.
func TestAddresses(t *testing.T) {
	dir, err := os.MkdirTemp("", "trial") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	port := freeport.For(t)
	config := func(port int, admin string) string {
		return fmt.Sprintf("[proxy]\nlisten_address = \"127.0.0.1:%d\"\nunix_socket_dir = %q\nadmin_address = %q\n[[nodes]]\nhost = \"db\"\nrole = \"primary\"\n", port, dir, admin)
	}
	free := fmt.Sprintf("127.0.0.1:%d", freeport.For(t))
	for range 2 {
		wants(t, tried(t, config(port, free), true), fmt.Sprintf(`ok\|listener default\|127.0.0.1:%d can be bound`, port), `ok\|listener unix\|unix:.* can be bound`, `ok\|admin address\|.*`)
	}
	tcp, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	unix, err := net.Listen("unix", filepath.Join(dir, fmt.Sprintf(".s.PGSQL.%d", port)))
	if err != nil {
		t.Fatal(err)
	}
	const others = `is in use, and not by a proxy: none answers at its admin address `
	wants(t, tried(t, config(port, free), true), `fail\|listener default\|.* `+others+free, `fail\|listener unix\|unix:.* `+others+free)

	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"alive":true}`) }))
	defer admin.Close()
	at := admin.Listener.Addr().String()
	wants(t, tried(t, config(port, at), true), `warn\|listener default\|.* is in use, by the proxy that runs: at `+at+` it says that it is alive`, `warn\|admin address\|.*`)
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	wants(t, tried(t, config(port, other.Listener.Addr().String()), true), `fail\|listener default\|.* `+others+`.*`)

	unix.(*net.UnixListener).SetUnlinkOnClose(false)
	unix.Close() // its file stays, as of a process that was killed
	wants(t, tried(t, config(port, free), true), `ok\|listener unix\|.*`)
	unixes := func(dir, group string) string {
		return fmt.Sprintf("[proxy]\nlisten_address = \"unix:%s/s\"\nadmin_address = \"127.0.0.1:0\"\nunix_socket_group = %q\n", dir, group) + node("n", 1, `role = "primary"`)
	}
	wants(t, tried(t, unixes(dir, fmt.Sprint(os.Getgid())), true), `ok\|listener default\|.*`)
	wants(t, tried(t, unixes(dir, "no such group"), true), `fail\|listener default\|.*cannot be bound: group: unknown group no such group`)
	wants(t, tried(t, unixes(dir+"/gone", ""), true), `fail\|listener default\|.*cannot be bound: no such file or directory`)
	if err := os.Remove(unix.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unix.Addr().String(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, tried(t, config(port, "192.0.2.1:1"), true), `fail\|listener unix\|.*there is a file which is not a socket`, `fail\|admin address\|192.0.2.1:1 cannot be bound: cannot assign requested address`)
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	authority := certs.NewAuthority(t)
	cert, key := authority.Server("localhost").Files(t, dir, "server")
	config := func(key string) string {
		return fmt.Sprintf("[proxy]\nlisten_address = \"127.0.0.1:0\"\nadmin_address = \"127.0.0.1:0\"\n[tls]\ncert_path = %q\nkey_path = %q\n[[nodes]]\nhost = \"db\"\nrole = \"primary\"\n", cert, key)
	}
	wants(t, tried(t, config(key), true), `ok\|TLS of listener default\|.*server.crt is good until 20\d\d-.* UTC`)
	wants(t, tried(t, config(cert), true), `fail\|TLS of listener default\|private key file .*`)
	cert, key = authority.Issue("localhost", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }).Files(t, dir, "old")
	old := tried(t, config(key), true)
	if wants(t, old, `warn\|TLS of listener default\|.*has expired.*`); strings.Contains(old, "ok|TLS") {
		t.Errorf("an expired certificate is good:\n%s", old)
	}
}

// TestPasswords: what passwords come from is looked for, and nothing is run.
func TestPasswords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		from *heliosv1.PasswordSource
		want string
	}{
		{nil, ""},
		{&heliosv1.PasswordSource{Passfile: file}, `ok\|x\|.*/pass can be read`},
		{&heliosv1.PasswordSource{File: file + "x"}, `fail\|x\|open .*/passx: no such file or directory`},
		{&heliosv1.PasswordSource{Command: []string{"false", "x"}}, `ok\|x\|.*/false is there, and was not run`},
		{&heliosv1.PasswordSource{Command: []string{"no-such-program"}}, `fail\|x\|.*no-such-program.*`},
	} {
		a := &attempt{}
		a.passwords("x", tt.from)
		var got string
		for _, o := range a.outcomes {
			got += fmt.Sprintf("%s|%s|%s\n", o.Level, o.What, o.Why)
		}
		wants(t, got, tt.want)
	}
}

// TestNames looks a node up as the file says, and takes the first of its hosts that answers.
func TestNames(t *testing.T) {
	dns := dnsserver.Start(t)
	dns.Set("db.test", dnsserver.Host{Addresses: []string{"127.0.0.1"}, TTL: 60})
	port, dead := server(t, 'N', certs.Pair{}), freeport.For(t)
	conf := fmt.Sprintf("[proxy]\nlisten_address = \"127.0.0.1:0\"\nadmin_address = \"127.0.0.1:0\"\nresolv_conf = %q\n", dns.ResolvConf(t))
	file := func(host string) string {
		return conf + fmt.Sprintf("[[nodes]]\nhost = %q\nport = %d\nrole = \"primary\"\n", host, port)
	}
	wants(t, tried(t, file(fmt.Sprintf("127.0.0.1:%d,gone.test,db.test", dead)), false),
		fmt.Sprintf(`ok\|node 127.0.0.1:%d,gone.test:%d,db.test:%d .*\|reached, without TLS: it has none`, dead, port, port))
	wants(t, tried(t, file("gone.test"), false), `fail\|node gone.test.*\|not reached: look up host gone.test: no such host`)
}

// TestShared binds beside who says that its port may be shared, and not beside who does not.
func TestShared(t *testing.T) {
	port := freeport.For(t)
	c := net.ListenConfig{Control: share}
	l, err := c.Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := fmt.Sprintf("[proxy]\nlisten_address = \"127.0.0.1:%d\"\nadmin_address = \"127.0.0.1:0\"\nso_reuseport = %%v\n", port) + node("n", 1, `role = "primary"`)
	wants(t, tried(t, fmt.Sprintf(file, true), true), `ok\|listener default\|.* can be bound`)
	wants(t, tried(t, fmt.Sprintf(file, false), true), `fail\|listener default\|.* is in use.*`)
}
