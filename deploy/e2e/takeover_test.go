package e2e

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/certs"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestTakeover replaces a proxy by a new process under load: no client notices, and together they never have more server connections
// than one may have. Clients in the clear go on in the new process, in pool mode session with their server connections, and the old one is
// gone at once; those over TLS stay with the old one, which is gone when they are.
func TestTakeover(t *testing.T) {
	server := pgcluster.Start(t, pgcluster.Options{}).Primary
	authority := certs.NewAuthority(t)
	pair := authority.Server("localhost", "127.0.0.1")
	tls := fmt.Sprintf("[tls]\ncert_path = %q\nkey_path = %q\n", writeFile(t, "cert", string(pair.Cert)), writeFile(t, "key", string(pair.Key)))
	for _, c := range []struct {
		name, mode, more, sslmode, window string
		times, most                       int
	}{
		{"plain", "transaction", "", "disable", "5s", 2, 10},
		{"session mode", "session", "", "disable", "5s", 2, 70},
		{"TLS", "transaction", tls, "require", "5m", 1, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			old := &Proxy{Port: freeport.For(t), AdminPort: freeport.For(t)}
			config := writeFile(t, "proxy.toml", old.config(server, Options{MaxConnections: c.most, Mode: c.mode, More: c.more}))
			start := func(p *Proxy, args ...string) *Proxy {
				p.launch(t, exec.Command(program(t), append([]string{"--config", config, "--state-dir", home, "--takeover-window", c.window}, args...)...))
				return p
			}
			start(old)
			pgbench(t, old, "-i", "-q", "-s", "1")
			var idle []*client
			idlers := full(5000, 500)
			if c.most > 64 { // each has a server connection
				idlers = c.most - 64 - 1
			}
			for range idlers {
				conn, err := arrive(old.Addr(), "postgres")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				idle = append(idle, conn)
			}
			most := WatchConnections(t, server)
			load := exec.Command(postgresProgram(t, "pgbench"), "-n", "-M", "prepared", "-c", "64", "-j", "2", "-T", full("30", "6"))
			load.Env = append(old.Env(), "PGSSLMODE="+c.sslmode)
			var out syncBuffer
			load.Stdout, load.Stderr = &out, &out
			if err := load.Start(); err != nil {
				t.Fatal(err)
			}
			for range c.times {
				Within(t, patience, "the load runs", func() bool {
					return server.Query(t, "select count(*) > 4"+clientBackends)[0][0] == "t"
				})
				next := start(&Proxy{Port: old.Port, AdminPort: old.AdminPort}, "--takeover")
				if c.sslmode == "disable" {
					old.Leave(t)
				}
				conn, err := pgx.Connect(t.Context(), next.DSN("postgres", "postgres"))
				if err != nil {
					t.Fatal(err)
				}
				if err := conn.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if c.sslmode == "disable" {
					old = next
				}
			}
			err := load.Wait()
			if text := out.String(); err != nil || regexp.MustCompile(`(?i)error|abort|fatal`).MatchString(text) || !strings.Contains(text, "tps") {
				t.Errorf("pgbench: %v\n%s", err, text)
			}
			for _, conn := range idle {
				if err := conn.ask("SELECT 1"); err != nil {
					t.Fatalf("a client that did nothing meanwhile: %v", err)
				}
			}
			if c.sslmode != "disable" {
				old.Leave(t)
			}
			if n := most(); n > c.most || n < 5 {
				t.Errorf("%d server connections at one moment, %d allowed", n, c.most)
			}
		})
	}
}
