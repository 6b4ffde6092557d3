package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestAccounts: who was added with helioctl logs in, through to a server that asks for a proof, with the server's own verifier and with a
// password; a new password is good and the old one is not. Whom the proxy has looked up in the database is told, and is forgotten.
func TestAccounts(t *testing.T) {
	t.Parallel()
	server := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}}).Primary
	for _, name := range []string{"app", "shop", "ann"} {
		server.CreateRole(t, name, "word-of-"+name, "scram-sha-256")
	}
	p := startProcesses(t, "a", "b")
	set := strings.Replace(resources(server, 3), "auth: trust", "auth: scram", 1)
	set = strings.Replace(set, "poolProfile: web}", "poolProfile: web, authQuery: {user: postgres, cacheTime: 1h}}", 1)
	p.want(0, set, []string{"apply", "-f", "-"}, `^revision 1$`)
	hash := p.follow(patience, "", "a")

	// as is who a client is at the server, or why it is not let in.
	as := func(user, password string) string {
		c, err := pgx.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d dbname=postgres user=%s password=%s sslmode=disable", p.ports["a"], user, password))
		if err != nil {
			return err.Error()
		}
		defer c.Close(context.Background())
		var name string
		if err := c.QueryRow(t.Context(), "select current_user").Scan(&name); err != nil {
			return err.Error()
		}
		return name
	}
	want := func(user, password, want string) {
		t.Helper()
		if got := as(user, password); got != want && (len(want) < 10 || !strings.Contains(got, want)) {
			t.Errorf("%s with %s: %s; want %s", user, password, got, want)
		}
	}
	const refused = `password authentication failed for user`

	verifier := server.Query(t, "select rolpassword from pg_authid where rolname = 'app'")[0][0]
	p.want(0, verifier+"\n", []string{"user", "add", "app", "--password-stdin"}, `^user/app created$`)
	p.want(0, "word-of-shop", []string{"user", "add", "shop", "--password-stdin", "--plain"}, `^user/shop created$`)
	p.want(0, "another", []string{"user", "add", "local", "--password-stdin", "--plain", "--server-user", "shop"}, `^user/local created$`)
	p.want(0, "", []string{"user", "list"}, `^app +scram +- +client's proof`, `^local +password +shop +password`)
	hash = p.follow(patience, hash, "a")
	want("app", "word-of-app", "app")
	want("shop", "word-of-shop", "shop")
	want("app", "word-of-shop", refused)

	p.want(0, "new-word", []string{"user", "passwd", "app", "--password-stdin"}, `^user/app updated$`)
	p.follow(patience, hash, "a")
	want("app", "word-of-app", refused)

	want("ann", "word-of-ann", "ann")
	cache := []string{"auth", "cache"}
	out := p.want(0, "", cache, `^a +main +postgres +ann +scram +\d+s +- +kept$`)
	if strings.Contains(out, "SCRAM-SHA-256$") {
		t.Errorf("a secret is shown:\n%s", out)
	}
	p.want(0, "", append(cache, "--forget", "ann"), `^a: ann is forgotten: 1 answer of a database, 1 key$`, `^b: it knew nothing of ann$`)
	p.want(0, "", append(cache, "--user", "ann"), `^Nobody was looked up, and no key is kept\.$`)
	server.Exec(t, "alter role ann password 'changed'")
	want("ann", "changed", "ann")
	want("ann", "word-of-ann", refused)
}
