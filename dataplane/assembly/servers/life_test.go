package servers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/scram"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// backends counts the connections of a user at the server.
func backends(t testing.TB, pg *pgcluster.Server, user string) string {
	return pg.Query(t, fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE usename = '%s'", user))[0][0]
}

// TestMaxLifetime closes a connection that is old when it is free, and not before: within a transaction it stays.
func TestMaxLifetime(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].MaxLifetime = durationpb.New(150 * time.Millisecond)
	_, addr := stage.Start(t, set)
	c := stage.Connect(t, addr, "postgres")
	stage.Want(t, c, "BEGIN", "")
	first := stage.Ask(c, "SELECT pg_backend_pid()")
	stage.Want(t, c, "SELECT pg_sleep(0.2)", "")
	stage.Want(t, c, "SELECT pg_backend_pid()", first)
	stage.Want(t, c, "COMMIT", "")
	if second := stage.Ask(c, "SELECT pg_backend_pid()"); second == first {
		t.Error("an old connection is lent again")
	}
	stage.Eventually(t, 15*time.Second, "what nobody uses is closed when it is old", func() bool {
		return pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE pid = "+first)[0][0] == "0"
	})
}

// TestMinConnections opens connections before anybody has come for the user whom all clients of a database are, and for others when the
// first of them has: they are kept when he has left.
func TestMinConnections(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all all 127.0.0.1/32 scram-sha-256"}}).Primary
	for _, role := range []string{"ann", "keeper", "prover", "noone"} {
		pg.CreateRole(t, role, "right", "scram-sha-256")
	}
	verifier := pg.Query(t, "SELECT rolpassword FROM pg_authid WHERE rolname = 'prover'")[0][0]
	if !scram.IsVerifier(verifier) {
		t.Fatal(verifier)
	}
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 5)
	set.PoolProfiles["default"].MinConnections = 2
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_TEXT
	set.Databases["postgres"] = &heliosv1.Database{Name: "postgres", Cluster: "main", PoolProfile: "default"}
	set.Databases["shop"] = &heliosv1.Database{Name: "shop", ServerName: "template1", Cluster: "main", PoolProfile: "default", ServerUser: "keeper", ServerPassword: stage.Secret("right")}
	set.Users["ann"] = &heliosv1.User{Name: "ann", Secret: stage.Secret("right")}
	set.Users["prover"] = &heliosv1.User{Name: "prover", Secret: stage.Secret(verifier)}
	set.Users["noone"] = &heliosv1.User{Name: "noone"}
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	p, addr := stage.Start(t, set)
	two := func(user string) {
		stage.Eventually(t, 15*time.Second, "two connections of "+user, func() bool { return backends(t, pg, user) == "2" })
	}
	two("keeper")
	for _, user := range []string{"ann", "prover"} {
		if n := backends(t, pg, user); n != "0" {
			t.Errorf("%s connections of %s, who has not come", n, user)
		}
		c := stage.Connect(t, addr, user, "password", "right")
		two(user)
		c.Close(context.Background())
	}
	pg.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann'")
	two("ann")
	if n := backends(t, pg, "noone"); n != "0" {
		t.Errorf("%s connections of a user without a password", n)
	}
	set.PoolProfiles["default"] = proto.Clone(set.PoolProfiles["default"]).(*heliosv1.PoolProfile)
	set.PoolProfiles["default"].MinConnections, set.PoolProfiles["default"].IdleTimeout = 0, durationpb.New(10*time.Millisecond)
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	stage.Eventually(t, 15*time.Second, "none when none are kept", func() bool { return backends(t, pg, "ann") == "0" })
}

// TestReserveConnections lets a client that has waited have one more than the pool has otherwise.
func TestReserveConnections(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, "CREATE ROLE app LOGIN")
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].ReserveConnections, set.PoolProfiles["default"].ReserveTimeout = 1, durationpb.New(100*time.Millisecond)
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_TEXT
	_, addr := stage.Start(t, set)
	a, b := stage.Connect(t, addr, "app"), stage.Connect(t, addr, "app")
	stage.Want(t, a, "BEGIN", "")
	began := time.Now()
	stage.Want(t, b, "SELECT 1", "1")
	if took := time.Since(began); took < 90*time.Millisecond {
		t.Errorf("a connection of the reserve after %s", took)
	}
	stage.Eventually(t, 15*time.Second, "the reserve is closed", func() bool { return backends(t, pg, "app") == "1" })
	stage.Want(t, a, "COMMIT", "")
}

// TestServerFull has a server that takes no more connections of a user: who waits is served when one of the pool is free, is told by
// the server's own words if none is in time, and the server is not taken for dead.
func TestServerFull(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, "CREATE ROLE app LOGIN CONNECTION LIMIT 1")
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 5)
	set.PoolProfiles["default"].LoginRetry, set.PoolProfiles["default"].AcquireTimeout = durationpb.New(50*time.Millisecond), durationpb.New(300*time.Millisecond)
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_TEXT
	_, addr := stage.Start(t, set)
	a, b := stage.Connect(t, addr, "app"), stage.Connect(t, addr, "app")
	stage.Want(t, a, "BEGIN", "")
	stage.Want(t, b, "SELECT 1", `53300 too many connections for role "app"`)
	done := make(chan string, 1)
	go func() { done <- stage.Ask(b, "SELECT 2") }()
	stage.Want(t, a, "SELECT pg_sleep(0.1)", "")
	stage.Want(t, a, "COMMIT", "")
	if got := <-done; got != "2" {
		t.Errorf("who waits for the one that there is gets %q", got)
	}
}

// TestLoginRetry tries a server that refuses log-ins once in a while, whoever comes, and tells all who come what it has said.
func TestLoginRetry(t *testing.T) {
	t.Parallel()
	cluster := pgcluster.Start(t, pgcluster.Options{})
	pg := cluster.Primary
	pg.Exec(t, "CREATE ROLE app NOLOGIN")
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 5)
	set.PoolProfiles["default"].LoginRetry = durationpb.New(500 * time.Millisecond)
	var log stage.Record
	_, addr := stage.Start(t, set, log.Log)
	const said = `28000 role "app" is not permitted to log in`
	for range 5 {
		if _, err := stage.TryConnect(addr, "app"); stage.TurnedDown(err) != said {
			t.Errorf("refused with %v", err)
		}
	}
	if n := strings.Count(log.String(), "cannot open a server connection"); n != 1 {
		t.Errorf("%d attempts for 5 clients", n)
	}
	pg.Exec(t, "ALTER ROLE app LOGIN")
	stage.Eventually(t, 15*time.Second, "it is tried again", func() bool {
		c, err := stage.TryConnect(addr, "app")
		if err == nil {
			c.Close(context.Background())
		}
		return err == nil
	})
}
