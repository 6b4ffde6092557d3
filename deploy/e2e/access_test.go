package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// access is what is needed to log in over TLS.
type access struct {
	proxy *Proxy
	dir   string
}

// says is what psql prints for one statement, errors included.
func (a access) says(t *testing.T, sql, conninfo string) string {
	t.Helper()
	cmd := exec.Command(postgresProgram(t, "psql"), "-XAtw", "-c", sql,
		fmt.Sprintf("host=localhost hostaddr=127.0.0.1 port=%d dbname=postgres sslrootcert=%s/ca.crt %s", a.proxy.Port, a.dir, conninfo))
	cmd.Env = append(os.Environ(), "HOME="+a.dir)
	out, _ := cmd.CombinedOutput()
	return strings.TrimSpace(string(out))
}

// TestAccess: users of the database log in over TLS by rules of a file, bound to the connection and by certificate, at a server that speaks
// TLS. The password is nowhere: not in the files, not in the log, not in the memory of the process.
func TestAccess(t *testing.T) {
	const password = "a-password-that-nobody-keeps"
	server := pgcluster.Start(t, pgcluster.Options{HBA: []string{
		"hostssl all postgres 127.0.0.1/32 trust", "hostssl all certified 127.0.0.1/32 trust", "hostssl all all 127.0.0.1/32 scram-sha-256",
	}}).Primary
	server.CreateRole(t, "ann", password, "scram-sha-256")
	server.Exec(t, "create role certified login")
	authority := certs.NewAuthority(t)
	a := access{dir: t.TempDir()}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca.crt", string(authority.PEM))
	authority.Server("localhost").Files(t, a.dir, "server")
	cert, key := authority.Client("certified").Files(t, a.dir, "certified")
	pair := authority.Server("127.0.0.1")
	server.SpeakTLS(t, pair.Cert, pair.Key, nil)
	write("rules", "hostssl all certified all cert\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
	a.proxy = StartProxy(t, server, Options{
		Auth: fmt.Sprintf("auth_user = \"postgres\"\nauth_cache_secs = 1\nhba_file = %q\n", filepath.Join(a.dir, "rules")),
		More: fmt.Sprintf("[tls]\ncert_path = %q\nkey_path = %q\nca_path = %q\n[server_tls]\nmode = \"verify-full\"\nca_path = %q\n",
			filepath.Join(a.dir, "server.crt"), filepath.Join(a.dir, "server.key"), filepath.Join(a.dir, "ca.crt"), filepath.Join(a.dir, "ca.crt")),
	})
	ann := "user=ann password=" + password + " "
	for _, c := range []struct{ conninfo, want string }{
		{ann + "sslmode=verify-full channel_binding=require", "ann"},
		{ann + "sslmode=verify-ca", "ann"},
		{ann + "sslmode=require channel_binding=disable", "ann"},
		{ann + "sslmode=prefer", "ann"},
		{ann + "sslmode=disable", `no pg_hba.conf entry for host "127.0.0.1", user "ann", database "postgres", no encryption`},
		{"user=ann password=wrong sslmode=require", `password authentication failed for user "ann"`},
		{"user=nobody password=wrong sslmode=require", `password authentication failed for user "nobody"`},
		{"user=certified sslmode=verify-full sslcert=" + cert + " sslkey=" + key, "certified"},
		{"user=certified sslmode=verify-full", "connection requires a valid client certificate"},
	} {
		if got := a.says(t, "select current_user", c.conninfo); got != c.want && (len(c.want) < 10 || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %s; want %s", c.conninfo, got, c.want)
		}
	}
	server.Exec(t, "alter role ann password '"+password+"2'")
	Within(t, patience, "the password that was changed is good", func() bool {
		return a.says(t, "select current_user", strings.Replace(ann, password, password+"2", 1)+"sslmode=require") == "ann"
	})
	if got := a.says(t, "select 1", ann+"sslmode=require"); !strings.Contains(got, "password authentication failed") {
		t.Errorf("the old password: %s", got)
	}

	if a.proxy.remembers(t, password) {
		t.Error("the password is in the memory of the process")
	}
	if !a.proxy.remembers(t, "verify-full") {
		t.Error("the memory of the process is not looked through: its configuration is not there")
	}
	if strings.Contains(a.proxy.log.String(), password) {
		t.Error("the password is in the log")
	}
}

// remembers says whether a text is in the memory of the process.
func (p *Proxy) remembers(t *testing.T, text string) bool {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	maps, err := os.ReadFile(dir + "maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(dir + "mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	lines := bufio.NewScanner(bytes.NewReader(maps))
	for lines.Scan() {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights); err != nil || rights[0] != 'r' {
			continue
		}
		const step = 16 << 20
		for at := from; at < to; at += step {
			p := make([]byte, min(step+int64(len(text)), to-at)) // what lies across two steps is seen too
			n, _ := mem.ReadAt(p, at)                            // what cannot be read is not memory
			if bytes.Contains(p[:n], []byte(text)) {
				return true
			}
		}
	}
	return false
}
