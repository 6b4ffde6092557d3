package trial

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

// TestInquiries logs in as auth_user where users are looked up, asks once, and tells what the server says.
func TestInquiries(t *testing.T) {
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}}).Primary
	pg.CreateRole(t, "asker", "right", "scram-sha-256")
	host, port, _ := strings.Cut(pg.Addr(), ":")
	config := func(port, password, more string) string {
		return fmt.Sprintf("[proxy]\nlisten_address = \"127.0.0.1:0\"\nadmin_address = \"127.0.0.1:0\"\n[auth]\nauth_user = \"asker\"\nauth_password = %q\n%s\n[[nodes]]\nname = \"n\"\nhost = %q\nport = %s\nrole = \"primary\"\n", password, more, host, port)
	}
	const good, bad = "auth_query = \"SELECT 'x', 'y' WHERE $1 = ''\"\n", "auth_query = \"SELECT a, b FROM missing WHERE a = $1\"\n"
	// RFC 7677's example: it opens no server.
	const verifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	for _, tt := range []struct{ name, config, want string }{
		{"right", config(port, "right", good), `ok\|auth_query as asker at node n\|answered in database "postgres", as auth_dbname names none`},
		{"a database of its own", config(port, "right", good+"auth_dbname = \"template1\""), `ok\|auth_query as asker at node n\|answered in database "template1"`},
		{"wrong password", config(port, "wrong", good), `fail\|auth_query as asker at node n\|.*password authentication failed for user "asker".*`},
		{"no such table", config(port, "right", bad), `fail\|auth_query as asker at node n\|.*relation "missing" does not exist.*`},
		{"no right to ask", config(port, "right", ""), `fail\|auth_query as asker at node n\|.*permission denied for table pg_authid.*`},
		{"no such database", config(port, "right", good+"auth_dbname = \"gone\""), `fail\|auth_query as asker at node n\|.*database "gone" does not exist.*`},
		{"any name will do", config(port, "right", "auth_query = \"SELECT 'x', 'y' WHERE $1 <> ''\""), `fail\|auth_query as asker at node n\|.*has answered with another name.*`},
		{"a verifier", config(port, "", good) + "[[users]]\nname = \"asker\"\npassword = '" + verifier + "'\n", `fail\|auth_query as asker at node n\|.*asks for a password that the proxy does not have.*`},
		{"of one database", config(port, "right", good) + "[[databases]]\nname = \"template1\"\nauth_query = \"SELECT a, b FROM missing WHERE a = $1\"\n", `fail\|auth_query as asker at node n\|in database "template1": .*relation "missing".*`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tried(t, tt.config, false)
			wants(t, got, tt.want)
			if strings.Contains(got, "right") || strings.Contains(got, "wrong") {
				t.Errorf("the password is shown:\n%s", got)
			}
			if offline := tried(t, tt.config, true); strings.Contains(offline, "auth_query") {
				t.Errorf("asked offline:\n%s", offline)
			}
		})
	}
	dead := tried(t, config(fmt.Sprint(freeport.For(t)), "right", good), false)
	if wants(t, dead, `fail\|node n .*`); strings.Contains(dead, "auth_query") {
		t.Errorf("a node that is not there was asked:\n%s", dead)
	}
	for end := time.Now().Add(20 * time.Second); ; { // the server takes a moment to notice
		n := len(pg.Query(t, "SELECT 1 FROM pg_sleep(0.02), pg_stat_activity WHERE usename = 'asker'"))
		if n == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections are left open", n)
		}
	}
}
