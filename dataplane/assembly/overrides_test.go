package assembly_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
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
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.Databases["*"].ServerUser, set.Databases["*"].ServerPassword = "shopkeeper", stage.Secret("right")
	set.Users["ann"] = &heliosv1.User{Name: "ann", Secret: stage.Secret("a"), ServerUser: "nobody"}
	set.Users["bob"] = &heliosv1.User{Name: "bob", Secret: stage.Secret("b"), Pool: &heliosv1.PoolOverrides{MaxConnections: 7}}
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	p, addr := stage.Start(t, set)
	if _, err := stage.TryConnect(addr, "shopkeeper", "password", "right"); stage.TurnedDown(err) != `28P01 password authentication failed for user "shopkeeper"` {
		t.Errorf("the user at the server is let in at the proxy: %v", err)
	}
	ann, bob := stage.Connect(t, addr, "ann", "password", "a"), stage.Connect(t, addr, "bob", "password", "b")
	for range 2 {
		stage.Want(t, ann, "SELECT current_user", "shopkeeper")
		stage.Want(t, bob, "SELECT session_user", "shopkeeper")
	}
	if got := ann.ParameterStatus("session_authorization"); got != "shopkeeper" && got != "" {
		t.Errorf("a client is told that it is %q", got)
	}
	stage.Prepare(t, ann, "s", "SELECT current_user::text")
	stage.Prepare(t, bob, "s", "SELECT 'bob of ' || current_user")
	if a, b := stage.Execute(t, ann, "s"), stage.Execute(t, bob, "s"); a != "shopkeeper" || b != "bob of shopkeeper" {
		t.Errorf("statements of two users answer %q and %q", a, b)
	}
	stage.Want(t, ann, "SET work_mem = '5MB'", "")
	stage.Want(t, bob, "SHOW work_mem", "4MB")
	stage.Want(t, bob, "RESET SESSION AUTHORIZATION; SELECT current_user", "shopkeeper")
	stage.Want(t, ann, "SHOW work_mem", "5MB")
	ann.Close(context.Background())
	stage.Want(t, bob, "SELECT current_user", "shopkeeper")
	var pools, size int
	p.Hub().Pools.Each(func(pl *pool.Pool) {
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
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_SESSION, 2)
	set.Databases["*"].ServerUser = "shopkeeper"
	set.Users["shopkeeper"] = &heliosv1.User{Name: "shopkeeper", Secret: stage.Secret("right")}
	_, addr := stage.Start(t, set)
	stage.Want(t, stage.Connect(t, addr, "anybody"), "SELECT current_user", "shopkeeper")
}

// TestUserOverrides gives one user another mode and another size of his pool than all others have, and takes them back.
func TestUserOverrides(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, "CREATE ROLE app LOGIN")
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
	set.Users["app"] = &heliosv1.User{Name: "app", Pool: &heliosv1.PoolOverrides{
		Mode: heliosv1.PoolMode_POOL_MODE_SESSION, MaxConnections: 1, AcquireTimeout: durationpb.New(50 * time.Millisecond),
	}}
	set.Users["app"].MaxServerConnections, set.Limits["default"].MaxServerConnectionsPerUser = 10, 20
	p, addr := stage.Start(t, set)
	first := stage.Connect(t, addr, "app")
	const why = "53300 no server connection became free within 50ms"
	if _, err := stage.TryConnect(addr, "app"); stage.TurnedDown(err) != why {
		t.Errorf("a second session of a user who may have one: %v", err)
	}
	for range 4 { // others share
		stage.Want(t, stage.Connect(t, addr, "postgres"), "SELECT 1", "1")
	}
	console := stage.ConsoleAt(t, addr)
	for _, c := range []struct{ table, name, want string }{
		{"USERS", "app", "session 1 10"}, {"USERS", "postgres", "  20"}, {"POOLS", "app", "session 1 "}, {"POOLS", "postgres", "transaction 3 "},
	} {
		got := ""
		for _, row := range stage.Rows(t, console, "SHOW "+c.table) {
			if row["name"] == c.name || row["user"] == c.name {
				got += row["pool_mode"] + " " + row["pool_size"] + " " + row["max_user_connections"]
			}
		}
		if got != c.want {
			t.Errorf("SHOW %s of %s: %q, want %q", c.table, c.name, got, c.want)
		}
	}
	stage.Want(t, first, "SELECT current_user", "app")
	first.Close(context.Background())
	set.Users["app"] = proto.Clone(set.Users["app"]).(*heliosv1.User)
	set.Users["app"].Pool = nil
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		stage.Want(t, stage.Connect(t, addr, "app"), "SELECT 1", "1")
	}
}

// TestForcedUserElsewhere has a role of one name with another password at each of two servers, and with a third one at the proxy: each
// pool logs in with what the database that leads to it says, also after another one has.
func TestForcedUserElsewhere(t *testing.T) {
	t.Parallel()
	hba := pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}}
	east, west := pgcluster.Start(t, hba).Primary, pgcluster.Start(t, hba).Primary
	set := stage.Config(east, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	set.Clusters["west"] = &heliosv1.Cluster{Name: "west"}
	host, port := stage.Split(west.Addr())
	set.Nodes["west"] = &heliosv1.Node{Name: "west", Cluster: "west", Host: host, Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY}
	fmt.Sscan(port, &set.Nodes["west"].Port)
	set.Databases = map[string]*heliosv1.Database{}
	for where, s := range map[string]*pgcluster.Server{"east": east, "west": west} {
		s.CreateRole(t, "app", "of "+where, "scram-sha-256")
		s.Exec(t, "CREATE VIEW place AS SELECT '"+where+"' AS name", "GRANT SELECT ON place TO app")
		cluster := map[string]string{"east": "main", "west": "west"}[where]
		set.Databases[where] = &heliosv1.Database{Name: where, Cluster: cluster, PoolProfile: "default", ServerName: "postgres", ServerUser: "app", ServerPassword: stage.Secret("of " + where)}
	}
	west.Exec(t, "CREATE DATABASE own")
	set.Databases["own"] = &heliosv1.Database{Name: "own", Cluster: "west", PoolProfile: "default"} // by the client's own password, which the server does not know
	set.Users["app"] = &heliosv1.User{Name: "app", Secret: stage.Secret("own")}
	set.Listeners["main"].Auth = heliosv1.AuthMethod_AUTH_METHOD_SCRAM
	_, addr := stage.Start(t, set)
	logIn := func(database string) (*pgconn.PgConn, error) {
		return pgconn.Connect(context.Background(), "postgres://app:own@"+addr+"/"+database+"?sslmode=disable")
	}
	for range 2 {
		for _, where := range []string{"east", "west"} {
			c, err := logIn(where)
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			stage.Want(t, c, "SELECT current_user||' '||name FROM place", "app "+where)
			c.Close(context.Background())
		}
		if _, err := logIn("own"); stage.TurnedDown(err) != `28P01 password authentication failed for user "app"` {
			t.Errorf("with the client's own password: %v", err)
		}
	}
}
