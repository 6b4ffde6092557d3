package assembly_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestPassThrough lets users of the database log in, whose passwords are nowhere: what they prove opens the server.
func TestPassThrough(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "first", "scram-sha-256")
	const good = time.Second
	px, addr := stage.Start(t, stage.Asking(pg, good))
	check := func(what, conninfo, want string) {
		t.Helper()
		if got := stage.Psql(t, addr, conninfo, "SELECT current_user"); got != want && (want == "ann" || !strings.Contains(got, want)) {
			t.Errorf("%s: %s; want %s", what, got, want)
		}
	}
	const wrong = `password authentication failed for user "ann"`
	check("the password", stage.As("ann", "first"), "ann")
	check("another one", stage.As("ann", "wrong"), wrong)
	check("nobody", stage.As("nobody", "first"), `password authentication failed for user "nobody"`)

	// A password that was changed is good at the next log-in, and the old one no more once the answer is not good any more.
	pg.Primary.Exec(t, "ALTER ROLE ann PASSWORD 'second'")
	stage.Eventually(t, 3*good, "the new password", func() bool { return stage.Psql(t, addr, stage.As("ann", "second"), "SELECT current_user") == "ann" })
	check("the old password", stage.As("ann", "first"), wrong)

	// The server connections of before are gone: new ones are opened by the new key.
	pg.Primary.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann'")
	stage.Eventually(t, 10*time.Second, "new server connections", func() bool { return stage.Psql(t, addr, stage.As("ann", "second"), "SELECT current_user") == "ann" })

	pg.Primary.Exec(t, "ALTER ROLE ann NOLOGIN")
	stage.Eventually(t, 3*good, "who may not log in", func() bool {
		return strings.Contains(stage.Psql(t, addr, stage.As("ann", "second"), "SELECT 1"), wrong)
	})
	if n := px.Hub().Ring.Len(); n != 0 {
		t.Errorf("%d keys are kept of users who may not log in", n)
	}
}

// TestAuthQuery looks users up with a query of one's own, in another database, by a role that needs a password; whose secrets are
// md5 hashes too, and with a search_path that somebody has set a trap in.
func TestAuthQuery(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all hashed 127.0.0.1/32 md5", "host all all 127.0.0.1/32 scram-sha-256"}})
	s := pg.Primary
	s.CreateRole(t, "ann", "ann's", "scram-sha-256")
	s.CreateRole(t, "hashed", "hashed's", "md5")
	s.CreateRole(t, "asker", "asker's", "scram-sha-256")
	s.Exec(t, "CREATE SCHEMA app",
		"CREATE FUNCTION app.who(n text, OUT u text, OUT s text) LANGUAGE sql SECURITY DEFINER AS 'SELECT rolname::text, rolpassword FROM pg_catalog.pg_authid WHERE rolname = n'",
		"REVOKE ALL ON FUNCTION app.who FROM public", "GRANT USAGE ON SCHEMA app TO asker", "GRANT EXECUTE ON FUNCTION app.who TO asker",
		"CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS $$SELECT 'eve'$$", "ALTER ROLE asker SET search_path = public, pg_catalog")
	set := stage.Asking(pg, time.Minute)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_MD5
	set.Databases["*"].AuthQuery = &heliosv1.AuthQuery{
		User: "asker", Password: stage.Secret("asker's"), Database: "postgres", Query: "SELECT u, s FROM app.who($1) WHERE lower('X') = 'x' AND u IS NOT NULL",
	}
	px, addr := stage.Start(t, set)
	for user, want := range map[string]string{"ann": "ann", "hashed": "hashed", "nobody": "password authentication failed"} {
		got := stage.Psql(t, addr, stage.As(user, user+"'s")+" options='-c search_path=public'", "SELECT current_user")
		if got != want && (want == user || !strings.Contains(got, want)) {
			t.Errorf("%s: %s; want %s", user, got, want)
		}
	}
	if n := px.Hub().Users.Len(); n != 3 {
		t.Errorf("%d names are known, want 3", n)
	}
	if n := len(s.Query(t, "SELECT 1 FROM pg_stat_activity WHERE usename = 'asker'")); n != 1 {
		t.Errorf("%d connections ask", n)
	}

	for what, q := range map[string]*heliosv1.AuthQuery{
		"a wrong password":  {User: "asker", Password: stage.Secret("wrong")},
		"no right to ask":   {User: "asker", Password: stage.Secret("asker's")},
		"an error":          {User: "asker", Password: stage.Secret("asker's"), Query: "SELECT 1/0, $1"},
		"two rows":          {User: "postgres", Query: "SELECT $1::text, '' FROM generate_series(1, 2)"},
		"another name":      {User: "postgres", Query: "SELECT 'eve' || $1, ''"},
		"no moment":         {User: "postgres", Query: "SELECT $1::text, '', 'soon'"},
		"a timestamp":       {User: "postgres", Query: "SELECT $1::text, '', now()::timestamp + '1 day'"},
		"a date":            {User: "postgres", Query: "SELECT $1::text, '', current_date + 1"},
		"a broken verifier": {User: "postgres", Query: "SELECT $1::text, 'SCRAM-SHA-256$1:x$y:z'"},
	} {
		set.Databases["*"].AuthQuery = q
		_, addr := stage.Start(t, set)
		got := stage.Psql(t, addr, stage.As("ann", "ann's"), "SELECT 1")
		if what == "a broken verifier" { // as in PostgreSQL, it is a password
			if !strings.Contains(got, "password authentication failed") {
				t.Errorf("%s: %s", what, got)
			}
			continue
		}
		if !strings.Contains(got, "users cannot be looked up at the moment") {
			t.Errorf("%s: %s", what, got)
		}
	}
}
