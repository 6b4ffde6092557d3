package assembly

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// asking is a configuration that has no user and no password: a role that may ask is let in by the server without one.
func asking(pg *pgcluster.Cluster, good time.Duration) *resource.Set {
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	set.Databases["*"].AuthQuery = &heliosv1.AuthQuery{User: "postgres", CacheTime: durationpb.New(good)}
	return set
}

func as(user, password string) string { return "user=" + user + " password=" + password }

// TestPassThrough lets users of the database log in, whose passwords are nowhere: what they prove opens the server.
func TestPassThrough(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "first", "scram-sha-256")
	const good = time.Second
	px, addr := start(t, asking(pg, good))
	check := func(what, conninfo, want string) {
		t.Helper()
		if got := psql(t, addr, conninfo, "SELECT current_user"); got != want && (want == "ann" || !strings.Contains(got, want)) {
			t.Errorf("%s: %s; want %s", what, got, want)
		}
	}
	const wrong = `password authentication failed for user "ann"`
	check("the password", as("ann", "first"), "ann")
	check("another one", as("ann", "wrong"), wrong)
	check("nobody", as("nobody", "first"), `password authentication failed for user "nobody"`)

	// A password that was changed is good at the next log-in, and the old one no more once the answer is not good any more.
	pg.Primary.Exec(t, "ALTER ROLE ann PASSWORD 'second'")
	eventually(t, 3*good, "the new password", func() bool { return psql(t, addr, as("ann", "second"), "SELECT current_user") == "ann" })
	check("the old password", as("ann", "first"), wrong)

	// The server connections of before are gone: new ones are opened by the new key.
	pg.Primary.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann'")
	eventually(t, 10*time.Second, "new server connections", func() bool { return psql(t, addr, as("ann", "second"), "SELECT current_user") == "ann" })

	pg.Primary.Exec(t, "ALTER ROLE ann NOLOGIN")
	eventually(t, 3*good, "who may not log in", func() bool {
		return strings.Contains(psql(t, addr, as("ann", "second"), "SELECT 1"), wrong)
	})
	if n := px.hub.Ring.Len(); n != 0 {
		t.Errorf("%d keys are kept of users who may not log in", n)
	}
}

// TestUsersElsewhere looks users up at another server than that of their database, whose verifiers are the same.
func TestUsersElsewhere(t *testing.T) {
	t.Parallel()
	hba := []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}
	here, there := pgcluster.Start(t, pgcluster.Options{HBA: hba}), pgcluster.Start(t, pgcluster.Options{HBA: hba})
	there.Primary.CreateRole(t, "ann", "hers", "scram-sha-256")
	here.Primary.Exec(t, "CREATE ROLE ann LOGIN PASSWORD '"+there.Primary.Query(t, "SELECT rolpassword FROM pg_authid WHERE rolname = 'ann'")[0][0]+"'")
	here.Primary.CreateRole(t, "bob", "his", "scram-sha-256")
	set := asking(here, time.Minute)
	set.Clusters["users"] = &heliosv1.Cluster{Name: "users"}
	set.Nodes["users"] = &heliosv1.Node{Name: "users", Cluster: "users", Host: there.Primary.Host(), Port: uint32(there.Primary.Port()), Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY}
	set.Databases["*"].AuthQuery.Cluster, set.Databases["*"].AuthQuery.Database = "users", "postgres"
	_, addr := start(t, set)
	if got := psql(t, addr, as("ann", "hers"), "SELECT inet_server_port() || current_user"); got != fmt.Sprint(here.Primary.Port())+"ann" {
		t.Errorf("a user of the other server: %s", got)
	}
	if got := psql(t, addr, as("bob", "his"), "SELECT 1"); !strings.Contains(got, "password authentication failed") {
		t.Errorf("a user of the database's server alone: %s", got)
	}
}

// TestLookedUp lets in whom the database knows, by what the configuration says of him besides; and nobody for being listed.
func TestLookedUp(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "hers", "scram-sha-256")
	set := asking(pg, time.Minute)
	for _, name := range []string{"ann", "nobody"} {
		set.Users[name] = &heliosv1.User{
			Name: name, LookedUp: true, MaxClients: 1,
			Pool: &heliosv1.PoolOverrides{Mode: heliosv1.PoolMode_POOL_MODE_SESSION},
		}
	}
	_, addr := start(t, set)
	first, err := pgconn.Connect(t.Context(), "postgres://ann:hers@"+addr+"/postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(context.Background())
	r, err := first.Exec(t.Context(), "SELECT pg_backend_pid()").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if told, is := fmt.Sprint(first.PID()), string(r[0].Rows[0][0]); told != is {
		t.Errorf("told %s and served by %s: that is not pool mode session", told, is)
	}
	if got := psql(t, addr, as("ann", "hers"), "SELECT 1"); !strings.Contains(got, "too many") {
		t.Errorf("a second one is told %s", got)
	}
	if got := psql(t, addr, as("nobody", "hers"), "SELECT 1"); !strings.Contains(got, "password authentication failed") {
		t.Errorf("nobody is told %s", got)
	}
}

// TestPassThroughNoKey tells a client that its user has not logged in by SCRAM yet, where a certificate or trust lets it in.
func TestPassThroughNoKey(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "first", "scram-sha-256")
	set := asking(pg, time.Minute)
	set.Listeners["main"].Auth, set.Listeners["main"].Hba = 0, "host all all 127.0.0.1/32 trust\n"
	_, addr := start(t, set)
	if got := psql(t, addr, "user=ann", "SELECT 1"); !strings.Contains(got, `the proxy has no password of user "ann" and no key for it: it has not logged in by SCRAM since the proxy started`) {
		t.Error(got)
	}
}

// TestPassThroughOther: a verifier that is not the server's lets a client in at the proxy and opens no server. What is said about
// it does not ask for what was just done.
func TestPassThroughOther(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "first", "scram-sha-256")
	keys, _ := scram.Derive("first", []byte("0123456789abcdef"), 4096)
	set := asking(pg, time.Minute)
	set.Databases["*"].AuthQuery.Query = "SELECT $1::text, '" + keys.String() + "'"
	_, addr := start(t, set)
	_, err := from("127.0.0.1", addr, "ann", "postgres", "first")
	var pe *pgconn.PgError
	if !asPg(err, &pe) || pe.Code != "28P01" || !strings.HasSuffix(pe.Message, "its salt is another") {
		t.Fatal(err)
	}
	if !strings.Contains(pe.Hint, "must be the verifier that this server stores") || strings.Contains(pe.Hint, "SCRAM once") {
		t.Errorf("the hint is %q", pe.Hint)
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
	set := asking(pg, time.Minute)
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_MD5
	set.Databases["*"].AuthQuery = &heliosv1.AuthQuery{
		User: "asker", Password: secret("asker's"), Database: "postgres", Query: "SELECT u, s FROM app.who($1) WHERE lower('X') = 'x' AND u IS NOT NULL",
	}
	px, addr := start(t, set)
	for user, want := range map[string]string{"ann": "ann", "hashed": "hashed", "nobody": "password authentication failed"} {
		got := psql(t, addr, as(user, user+"'s")+" options='-c search_path=public'", "SELECT current_user")
		if got != want && (want == user || !strings.Contains(got, want)) {
			t.Errorf("%s: %s; want %s", user, got, want)
		}
	}
	if n := px.hub.Users.Len(); n != 3 {
		t.Errorf("%d names are known, want 3", n)
	}
	if n := len(s.Query(t, "SELECT 1 FROM pg_stat_activity WHERE usename = 'asker'")); n != 1 {
		t.Errorf("%d connections ask", n)
	}

	for what, q := range map[string]*heliosv1.AuthQuery{
		"a wrong password":  {User: "asker", Password: secret("wrong")},
		"no right to ask":   {User: "asker", Password: secret("asker's")},
		"an error":          {User: "asker", Password: secret("asker's"), Query: "SELECT 1/0, $1"},
		"two rows":          {User: "postgres", Query: "SELECT $1::text, '' FROM generate_series(1, 2)"},
		"another name":      {User: "postgres", Query: "SELECT 'eve' || $1, ''"},
		"no moment":         {User: "postgres", Query: "SELECT $1::text, '', 'soon'"},
		"a timestamp":       {User: "postgres", Query: "SELECT $1::text, '', now()::timestamp + '1 day'"},
		"a date":            {User: "postgres", Query: "SELECT $1::text, '', current_date + 1"},
		"a broken verifier": {User: "postgres", Query: "SELECT $1::text, 'SCRAM-SHA-256$1:x$y:z'"},
	} {
		set.Databases["*"].AuthQuery = q
		_, addr := start(t, set)
		got := psql(t, addr, as("ann", "ann's"), "SELECT 1")
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
