package command_test

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/command"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// accounts are users of every kind and listeners of several, beside resources.
const accounts = resources + `---
apiVersion: helios/v1
kind: User
metadata: {name: verified}
spec: {secret: "SCRAM-SHA-256$4096:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", serverUser: shop, serverPassword: geheim, maxClients: 7}
---
apiVersion: helios/v1
kind: User
metadata: {name: old}
spec: {secret: md553f48b7c4b76a86ce72276c5755f217d}
---
apiVersion: helios/v1
kind: User
metadata: {name: certified}
spec: {serverPasswords: {passfile: /etc/helios/pass}}
---
apiVersion: helios/v1
kind: User
metadata: {name: proving}
spec: {secret: "SCRAM-SHA-256$4096:c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
---
apiVersion: helios/v1
kind: Listener
metadata: {name: ruled}
spec:
  address: 0.0.0.0:6432
  tls: {certFile: /c, keyFile: /k, caFile: /a}
  hba: |
    local all all peer map=staff
    hostssl shop,billing all 10.0.0.0/8 scram-sha-256
    hostssl all all 10.0.0.0/8 cert map=staff
    host "all" all all trust
    host all eve all reject
    host all all db.example.com md5
  ident: |
    staff annika ann
---
apiVersion: helios/v1
kind: Listener
metadata: {name: open}
spec: {address: "127.0.0.1:6433"}
---
apiVersion: helios/v1
kind: Listener
metadata: {name: bound}
spec: {address: "0.0.0.0:6434", auth: scram-plus, tls: {mode: verify-full, certFile: /c, keyFile: /k, caFile: /a}}
---
apiVersion: helios/v1
kind: Listener
metadata: {name: socket}
spec: {address: "unix:/run/s", auth: peer}
---
apiVersion: helios/v1
kind: Listener
metadata: {name: judged}
spec: {address: "0.0.0.0:6435", auth: program, program: {command: [/usr/libexec/check, staff], timeout: 3s}}
`

// golden holds what a command prints, and its exit code, against a file; -update writes it. What differs from run to run is
// replaced first.
func (x *tool) golden(name, in, line string, replace ...string) {
	x.t.Helper()
	var out bytes.Buffer
	p := command.Program{In: strings.NewReader(in), Out: &out, Err: &out, Env: func(k string) string { return x.env[k] }, Now: noon}
	code := p.Main(arguments(line))
	got := strings.NewReplacer(replace...).Replace(fmt.Sprintf("$ helioctl %s\n%s", line, out.String()))
	if code != 0 {
		got += fmt.Sprintf("exit code %d\n", code)
	}
	path := filepath.Join("testdata", name+".txt")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			x.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	if got != string(want) {
		x.t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// arguments are the words of a line; two quotes is one that is empty.
func arguments(line string) []string {
	all := words(line)
	for i := range all {
		if all[i] == "''" {
			all[i] = ""
		}
	}
	return all
}

// TestUsers: users are added and get passwords, and nothing else of them changes.
func TestUsers(t *testing.T) {
	x := start(t)
	x.want(0, accounts, words("apply -f -"))
	x.golden("user_list", "", "user list")
	x.golden("user_list_o_json", "", "user list -o json")
	x.golden("user_list_o_name", "", "user list -o name")

	x.want(0, "geheim\n", words("user add new --password-stdin --server-user shop -m because"), `^\+    redacted: true$`, `^\+  serverUser: shop$`, `^user/new created$`, `^revision 2$`, `A hash opens no server for another user: new has no password for shop`)
	x.want(1, "geheim\n", words("user add new --password-stdin"), `there is a User "new" already, nothing was changed: helioctl user passwd new`)
	x.want(1, "geheim\n", words("user passwd nobody --password-stdin"), `there is no User "nobody", nothing was changed: helioctl user add nobody`)
	x.want(0, "geheim2\n", words("user passwd verified --password-stdin --plain"), `^user/verified updated$`)
	x.want(0, "geheim2\r\n", words("user passwd app --password-stdin --md5"), `^user/app updated$`)
	x.want(0, "md553f48b7c4b76a86ce72276c5755f217d\n", words("user passwd new --password-stdin"), `^user/new updated$`)
	x.golden("user_list_changed", "", "user list")
	x.want(0, "x", words("user passwd old --password-stdin --dry-run"), `nothing was written \(dry run\)`)
	x.want(0, "", words("audit"), `updated User/verified`, `created User/new +because`)

	x.want(1, "", words("user passwd app --password-stdin"), `password of "app" is empty`)
	x.want(1, "a\nb\n", words("user passwd app --password-stdin"), `more than one line`)
	x.want(1, strings.Repeat("a", 70000), words("user passwd app --password-stdin"), `more than 65535 bytes`)
	x.want(1, "SCRAM-SHA-256$x", words("user passwd app --password-stdin"), `password of "app": not a SCRAM-SHA-256 verifier`)
	x.want(1, "md553f48b7c4b76a86ce72276c5755f217d", words("user passwd app --password-stdin --plain"), `is no password but what PostgreSQL stores of one \(md5\)`)
	x.want(1, "geheim", words("user passwd app"), `the input is not a terminal.*--password-stdin`)
	for _, args := range []string{"user", "user add", "user add a b --password-stdin", "user passwd app --plain --md5 --password-stdin", "user list x", "user add x -o xml --password-stdin"} {
		if args != "user" {
			x.want(2, "geheim", words(args), `Run 'helioctl.*--help' for usage`)
		}
	}
	x.want(0, "", []string{"__complete", "user", "passwd", ""}, `^app$`, `^certified$`)
	x.want(0, "", []string{"__complete", "user", ""}, `^add\b`, `^list\b`)
	x.want(0, "", []string{"__complete", "hba", "test", "--listener", ""}, `^bound$`)
}

// TestPasswdKeeps: a new password goes with everything else that the user has, to be written only if nobody was faster; a user that is added
// must not be there meanwhile.
func TestPasswdKeeps(t *testing.T) {
	before := &heliosv1.User{
		Name: "app", Secret: &heliosv1.Secret{Redacted: true}, ServerUser: "shop", ServerPassword: &heliosv1.Secret{Redacted: true}, MaxClients: 7,
		ServerPasswords: &heliosv1.PasswordSource{Command: []string{"a", "b"}},
	}
	p := &plane{resources: []*heliosv1.Resource{stored(t, resource.KindUser, before, 3)}}
	p.write = func(heliosv1.AdminService_WriteServer) error {
		s, err := status.New(codes.Aborted, "somebody was faster").WithDetails(&heliosv1.Conflict{Kind: "User", Name: "app"})
		if err != nil {
			t.Fatal(err)
		}
		return s.Err()
	}
	x, _ := serve(t, p)
	x.want(3, "geheim", words("user passwd app --password-stdin"), `^helioctl: conflict, nothing was changed: somebody was faster`)
	x.want(3, "geheim", words("user add other --password-stdin"))
	if len(p.changes) != 2 || p.changes[0].GetExpectedRevision() != 3 || p.changes[1].ExpectedRevision == nil || p.changes[1].GetExpectedRevision() != 0 {
		t.Fatalf("got %v", p.changes)
	}
	_, m, fault := release.Decode(p.changes[0].GetPut())
	after, ok := m.(*heliosv1.User)
	if !ok {
		t.Fatal(fault)
	}
	if keys, err := scram.ParseVerifier(after.GetSecret().GetValue()); err != nil || keys.Iterations != scram.DefaultIterations {
		t.Errorf("the secret is no verifier: %v", err)
	} else if again, _ := scram.Derive("geheim", keys.Salt, keys.Iterations); again.StoredKey != keys.StoredKey {
		t.Error("the verifier is another password's")
	}
	after.Secret = before.Secret
	if !proto.Equal(before, after) {
		t.Errorf("something else has changed: %v", after)
	}
}

// TestTries: rules are tried for clients, those of listeners and those of files.
func TestTries(t *testing.T) {
	x := start(t)
	x.want(0, accounts, words("apply -f -"))
	for name, args := range map[string]string{
		"scram":       "--listener ruled --user ann --db shop --addr 10.1.2.3 --tls -v",
		"map":         "--listener ruled --user ann --db other --addr 10.1.2.3 --tls",
		"as":          "--listener ruled --user ann --db other --addr 10.1.2.3 --tls --as annika",
		"as_other":    "--listener ruled --user ann --db other --addr 10.1.2.3 --tls --as otto",
		"reject":      "--listener ruled --user eve --addr 11.1.2.3",
		"needs_name":  "--listener ruled --user ann --addr 11.1.2.3 -v",
		"named":       "--listener ruled --user ann --addr 11.1.2.3 --hostname db.example.com",
		"no_entry":    "--listener ruled --user ann --addr 11.1.2.3 --hostname '' -v",
		"replication": "--listener ruled --user ann --addr 11.1.2.3 --hostname '' --replication",
		"json":        "--listener ruled --user ann --db shop --addr 10.1.2.3 --tls -v -o json",
		"loopback":    "--listener open --user ann --addr ::1",
		"far":         "--listener open --user ann --addr 10.0.0.1",
		"no_tls":      "--listener open --user ann --addr 10.0.0.1 --tls",
		"clear":       "--listener bound --user ann --addr 10.0.0.1",
		"plus":        "--listener bound --user ann --addr 10.0.0.1 --tls",
		"program":     "--listener judged --user ann --addr 10.0.0.1",
		"file_pam":    "--file testdata/pg_hba.conf --user ann --db directory --addr 10.0.0.1 --tls",
		"socket":      "--listener socket --user ann",
		"file":        "--file testdata/pg_hba.conf --ident-file testdata/pg_ident.conf --user ann --local --as annika -v",
		"file_trust":  "--file testdata/pg_hba.conf --user ann --db metrics --addr 127.0.0.1",
	} {
		x.golden("hba_test_"+name, "", "hba test "+args)
	}
	bad := filepath.Join(t.TempDir(), "bad.conf")
	if err := os.WriteFile(bad, []byte("host all +staff all trust\nhots\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.want(1, "", []string{"hba", "test", "--user", "a", "--local", "--file", bad}, `bad.conf:1: which roles`, `bad.conf:2: invalid connection type "hots"`)
	x.want(1, "", words("hba test --user a --addr ::1 --listener none"), `there is no Listener "none"`)
	for _, args := range []string{
		"--addr ::1 --listener open", "--user a --addr ::1", "--user a --addr x --listener open", "--user a --listener open", "--user a --listener open --local",
		"--user a --listener socket --addr ::1", "--user a --local --addr ::1 --file x", "--user a --replication --db x --local --file x",
		"--user a --addr ::1 --listener open --ident-file x", "--user a --addr ::1 --listener open -o name", "x",
	} {
		x.want(2, "", words("hba test "+args), `Run 'helioctl hba test --help' for usage|Run 'helioctl --help'`)
	}
}

// speaks is a server that is asked for TLS and answers so, for the length of a test.
func speaks(t *testing.T, answer byte) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair("testdata/cert/server.crt", "testdata/cert/server.key")
	if err != nil {
		t.Fatal(err)
	}
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
				if answer != 0 {
					io.ReadFull(c, make([]byte, 8))
					c.Write([]byte{answer})
				}
				tls.Server(c, &tls.Config{
					Certificates: []tls.Certificate{pair}, NextProtos: []string{"postgresql"}, ClientAuth: tls.RequestClientCert,
					MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, CurvePreferences: []tls.CurveID{tls.X25519},
				}).Handshake()
				c.Read(make([]byte, 1))
			}()
		}
	}()
	return l.Addr().String()
}

// TestInspect looks into files and at hosts. The files were made once; the time is that of the goldens.
func TestInspect(t *testing.T) {
	x := newTool(t, "127.0.0.1:1")
	const dir = "testdata/cert/"
	for name, args := range map[string]string{
		"server":    dir + "server.crt --ca " + dir + "root.crt --key " + dir + "server.key",
		"json":      dir + "server.crt --ca " + dir + "root.crt --key " + dir + "server.key -o json",
		"expired":   dir + "expired.crt --ca " + dir + "root.crt",
		"other_ca":  dir + "server.crt --ca " + dir + "other.crt",
		"other_key": dir + "expired.crt --key " + dir + "server.key",
		"crl":       dir + "server.crt --ca " + dir + "root.crt --crl " + dir + "lists.pem",
		"lists":     dir + "lists.pem",
		"keys":      dir + "server.key " + dir + "encrypted.key",
		"root":      dir + "root.crt",
	} {
		x.golden("cert_inspect_"+name, "", "cert inspect "+args)
	}
	host := speaks(t, 'S')
	x.golden("cert_inspect_host", "", "cert inspect "+host+" --ca "+dir+"root.crt", host, "HOST:PORT")
	x.golden("cert_inspect_host_json", "", "cert inspect "+host+" -o json", host, "HOST:PORT")
	direct := speaks(t, 0)
	x.golden("cert_inspect_direct", "", "cert inspect --direct "+direct, direct, "HOST:PORT")
	away := fmt.Sprintf("127.0.0.1:%d", freeport.For(t))
	x.want(4, "", words("cert inspect "+away+" "+dir+"root.crt"), away+` is not reached: .*refused`, `^testdata/cert/root.crt: certificate$`)
	x.want(1, "", words("cert inspect "+speaks(t, 'N')), `is reached and speaks no TLS`)
	x.want(1, "", words("cert inspect "+speaks(t, 'H')), `answered "H": does PostgreSQL`)
	x.want(1, "", words("cert inspect nowhere"), `no such file or directory, and it is not HOST:PORT`)
	x.want(1, "", words("cert inspect inspect_test.go golden_test.go"), `golden_test\.go: there is no PEM in it`)
	x.want(1, "", words("cert inspect "+dir+"root.crt --ca golden_test.go"), `golden_test\.go.*there is no CERTIFICATE in it`)
	x.want(1, "", words("cert inspect "+dir+"root.crt --key "+dir+"encrypted.key"), `encrypted\.key: it is encrypted, and there is no password`)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.golden("cert_inspect_encrypted", "", "cert inspect "+dir+"server.crt --key "+dir+"encrypted.key --key-password-file "+password, password, "FILE")
	for _, args := range []string{"", "x --crl y", "x -o name"} {
		x.want(2, "", words("cert inspect "+args), `Run 'helioctl`)
	}
}
