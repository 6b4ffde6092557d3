package access

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestUsersElsewhere looks users up at another server than that of their database, whose verifiers are the same.
func TestUsersElsewhere(t *testing.T) {
	t.Parallel()
	hba := []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}
	here, there := pgcluster.Start(t, pgcluster.Options{HBA: hba}), pgcluster.Start(t, pgcluster.Options{HBA: hba})
	there.Primary.CreateRole(t, "ann", "hers", "scram-sha-256")
	here.Primary.Exec(t, "CREATE ROLE ann LOGIN PASSWORD '"+there.Primary.Query(t, "SELECT rolpassword FROM pg_authid WHERE rolname = 'ann'")[0][0]+"'")
	here.Primary.CreateRole(t, "bob", "his", "scram-sha-256")
	set := stage.Asking(here, time.Minute)
	set.Clusters["users"] = &heliosv1.Cluster{Name: "users"}
	set.Nodes["users"] = &heliosv1.Node{Name: "users", Cluster: "users", Host: there.Primary.Host(), Port: uint32(there.Primary.Port()), Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY}
	set.Databases["*"].AuthQuery.Cluster, set.Databases["*"].AuthQuery.Database = "users", "postgres"
	_, addr := stage.Start(t, set)
	if got := stage.Psql(t, addr, stage.As("ann", "hers"), "SELECT inet_server_port() || current_user"); got != fmt.Sprint(here.Primary.Port())+"ann" {
		t.Errorf("a user of the other server: %s", got)
	}
	if got := stage.Psql(t, addr, stage.As("bob", "his"), "SELECT 1"); !strings.Contains(got, "password authentication failed") {
		t.Errorf("a user of the database's server alone: %s", got)
	}
}

// TestLookedUp lets in whom the database knows, by what the configuration says of him besides; and nobody for being listed.
func TestLookedUp(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "hers", "scram-sha-256")
	set := stage.Asking(pg, time.Minute)
	for _, name := range []string{"ann", "nobody"} {
		set.Users[name] = &heliosv1.User{
			Name: name, LookedUp: true, MaxClients: 1,
			Pool: &heliosv1.PoolOverrides{Mode: heliosv1.PoolMode_POOL_MODE_SESSION},
		}
	}
	_, addr := stage.Start(t, set)
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
	if got := stage.Psql(t, addr, stage.As("ann", "hers"), "SELECT 1"); !strings.Contains(got, "too many") {
		t.Errorf("a second one is told %s", got)
	}
	if got := stage.Psql(t, addr, stage.As("nobody", "hers"), "SELECT 1"); !strings.Contains(got, "password authentication failed") {
		t.Errorf("nobody is told %s", got)
	}
}

// TestPassThroughNoKey tells a client that its user has not logged in by SCRAM yet, where a certificate or trust lets it in.
func TestPassThroughNoKey(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "first", "scram-sha-256")
	set := stage.Asking(pg, time.Minute)
	set.Listeners["main"].Auth, set.Listeners["main"].Hba = 0, "host all all 127.0.0.1/32 trust\n"
	_, addr := stage.Start(t, set)
	if got := stage.Psql(t, addr, "user=ann", "SELECT 1"); !strings.Contains(got, `the proxy has no password of user "ann" and no key for it: it has not logged in by SCRAM since the proxy started`) {
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
	set := stage.Asking(pg, time.Minute)
	set.Databases["*"].AuthQuery.Query = "SELECT $1::text, '" + keys.String() + "'"
	_, addr := stage.Start(t, set)
	_, err := stage.From("127.0.0.1", addr, "ann", "postgres", "first")
	var pe *pgconn.PgError
	if !stage.AsPg(err, &pe) || pe.Code != "28P01" || !strings.HasSuffix(pe.Message, "its salt is another") {
		t.Fatal(err)
	}
	if !strings.Contains(pe.Hint, "must be the verifier that this server stores") || strings.Contains(pe.Hint, "SCRAM once") {
		t.Errorf("the hint is %q", pe.Hint)
	}
}
