package assembly

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestForcedUser has all clients of a database be one user at the server and share its connections, whoever they are at the proxy, and
// what is a user's there is that one's: who he is, his statements, his cancels.
func TestForcedUser(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "shopkeeper", "right", "scram-sha-256")
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.Databases["*"].ServerUser, set.Databases["*"].ServerPassword = "shopkeeper", secret("right")
	set.Users["ann"] = &heliosv1.User{Name: "ann", Secret: secret("a"), ServerUser: "nobody"}
	set.Users["bob"] = &heliosv1.User{Name: "bob", Secret: secret("b"), Pool: &heliosv1.PoolOverrides{MaxConnections: 7}}
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	p, addr := start(t, set)
	if _, err := tryConnect(addr, "shopkeeper", "password", "right"); turnedDown(err) != `28P01 password authentication failed for user "shopkeeper"` {
		t.Errorf("the user at the server is let in at the proxy: %v", err)
	}
	ann, bob := connect(t, addr, "ann", "password", "a"), connect(t, addr, "bob", "password", "b")
	for range 2 {
		want(t, ann, "SELECT current_user", "shopkeeper")
		want(t, bob, "SELECT session_user", "shopkeeper")
	}
	if got := ann.ParameterStatus("session_authorization"); got != "shopkeeper" && got != "" {
		t.Errorf("a client is told that it is %q", got)
	}
	prepare(t, ann, "s", "SELECT current_user::text")
	prepare(t, bob, "s", "SELECT 'bob of ' || current_user")
	if a, b := execute(t, ann, "s"), execute(t, bob, "s"); a != "shopkeeper" || b != "bob of shopkeeper" {
		t.Errorf("statements of two users answer %q and %q", a, b)
	}
	want(t, ann, "SET work_mem = '5MB'", "")
	want(t, bob, "SHOW work_mem", "4MB")
	want(t, bob, "RESET SESSION AUTHORIZATION; SELECT current_user", "shopkeeper")
	want(t, ann, "SHOW work_mem", "5MB")
	ann.Close(context.Background())
	want(t, bob, "SELECT current_user", "shopkeeper")
	var pools, size int
	p.hub.Pools.Each(func(pl *pool.Pool) {
		pools++
		size = pl.Profile().Max
		if pl.User != "shopkeeper" {
			t.Errorf("a pool of user %s", pl.User)
		}
	})
	if pools != 1 || size != 1 {
		t.Errorf("%d pools, of %d connections", pools, size)
	}
	if n := pg.Primary.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'shopkeeper' AND application_name NOT LIKE 'heliosproxy%'")[0][0]; n != "1" {
		t.Errorf("%s server connections", n)
	}
}

// TestForcedUserOwnPassword opens servers for all clients with what the configuration says of the user whom they are there.
func TestForcedUserOwnPassword(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "shopkeeper", "right", "scram-sha-256")
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 2)
	set.Databases["*"].ServerUser = "shopkeeper"
	set.Users["shopkeeper"] = &heliosv1.User{Name: "shopkeeper", Secret: secret("right")}
	_, addr := start(t, set)
	want(t, connect(t, addr, "anybody"), "SELECT current_user", "shopkeeper")
}

// TestUserOverrides gives one user another mode and another size of his pool than all others have, and takes them back.
func TestUserOverrides(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE app LOGIN")
	set := config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
	set.Users["app"] = &heliosv1.User{Name: "app", Pool: &heliosv1.PoolOverrides{
		Mode: heliosv1.PoolMode_POOL_MODE_SESSION, MaxConnections: 1, AcquireTimeout: durationpb.New(50 * time.Millisecond),
	}}
	set.Users["app"].MaxServerConnections, set.Limits["default"].MaxServerConnectionsPerUser = 10, 20
	p, addr := start(t, set)
	first := connect(t, addr, "app")
	const why = "53300 no server connection became free within 50ms"
	if _, err := tryConnect(addr, "app"); turnedDown(err) != why {
		t.Errorf("a second session of a user who may have one: %v", err)
	}
	for range 4 { // others share
		want(t, connect(t, addr, "postgres"), "SELECT 1", "1")
	}
	console := consoleAt(t, addr)
	for _, c := range []struct{ table, name, want string }{
		{"USERS", "app", "session 1 10"}, {"USERS", "postgres", "  20"}, {"POOLS", "app", "session 1 "}, {"POOLS", "postgres", "transaction 3 "},
	} {
		got := ""
		for _, row := range rows(t, console, "SHOW "+c.table) {
			if row["name"] == c.name || row["user"] == c.name {
				got += row["pool_mode"] + " " + row["pool_size"] + " " + row["max_user_connections"]
			}
		}
		if got != c.want {
			t.Errorf("SHOW %s of %s: %q, want %q", c.table, c.name, got, c.want)
		}
	}
	want(t, first, "SELECT current_user", "app")
	first.Close(context.Background())
	set.Users["app"] = proto.Clone(set.Users["app"]).(*heliosv1.User)
	set.Users["app"].Pool = nil
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		want(t, connect(t, addr, "app"), "SELECT 1", "1")
	}
}
