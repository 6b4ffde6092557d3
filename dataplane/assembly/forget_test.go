package assembly_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// speaks returns which of the names are told of, by the metrics and by the console.
func speaks(t testing.TB, p *assembly.Proxy, addr string, names ...string) (of []string) {
	t.Helper()
	m := p.Metrics()
	told := fmt.Sprintf("%+v %+v %+v", m.Servers, m.Catalogs, m.Listeners)
	for _, a := range m.Accounts {
		told += " " + a.Database
	}
	c := stage.ConsoleAt(t, addr)
	for _, table := range []string{"DATABASES", "POOLS", "STATS"} {
		for _, row := range stage.Rows(t, c, "SHOW "+table) {
			told += " " + row["database"] + " " + row["name"]
		}
	}
	for _, name := range names {
		if strings.Contains(told, name) {
			of = append(of, name)
		}
	}
	return of
}

// TestForgetsMissing has a client ask for one database after the other that is not there: nothing of them is left.
func TestForgetsMissing(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_CATALOG
	set.Databases["named"] = &heliosv1.Database{Name: "named", Cluster: "main", PoolProfile: "default"}
	p, addr := stage.Start(t, set, func(o *assembly.Options) { o.Loops = 2 })
	there := stage.Connect(t, addr, "postgres")
	stage.Want(t, there, "SELECT 1", "1")
	for _, db := range []string{"nodb1", "nodb2", "nodb3", "named", "nodb4"} {
		if _, err := stage.From("127.0.0.1", addr, "postgres", db, ""); !strings.HasPrefix(stage.TurnedDown(err), "3D000") {
			t.Errorf("%s: %v", db, err)
		}
	}
	stage.Eventually(t, 20*time.Second, "they are forgotten", func() bool { return len(speaks(t, p, addr, "nodb")) == 0 })
	if of := speaks(t, p, addr, "postgres", "named"); len(of) != 2 {
		t.Errorf("there are %v", of)
	}
	stage.Want(t, there, "SELECT 1", "1")
}

// TestForgetsUnused has databases and users that the configuration does not name be forgotten an hour after their last client; what
// was counted stays in the sums. Who is there is not disturbed, and who comes again is served.
func TestForgetsUnused(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, "CREATE DATABASE once", "CREATE DATABASE stays", "CREATE DATABASE named", "CREATE ROLE kept LOGIN", "CREATE ROLE guest LOGIN",
		"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'")
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 3)
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_CATALOG
	set.PoolProfiles["default"].MinConnections = 1
	set.Databases["named"] = &heliosv1.Database{Name: "named", Cluster: "main", PoolProfile: "default"}
	set.Users["kept"] = &heliosv1.User{Name: "kept"}
	p, addr := stage.Start(t, set, func(o *assembly.Options) { o.Loops = 2 })
	use := func(user, db string, leaves bool) {
		c, err := stage.From("127.0.0.1", addr, user, db, "")
		if err != nil {
			t.Fatal(err)
		}
		stage.Want(t, c, "SELECT 1 FROM pg_proc LIMIT 1", "1")
		if leaves {
			c.Close(context.Background())
			return
		}
		t.Cleanup(func() { c.Close(context.Background()) })
	}
	use("guest", "once", true)
	use("guest", "stays", false)
	use("kept", "named", true)
	use("guest", "named", true)
	stage.Eventually(t, 15*time.Second, "they have left", func() bool {
		return len(p.Desk().Clients()) == 1
	})
	if p.Unused().Forget(assembly.Monotonic()) {
		t.Error("there is something to forget soon")
	}
	if of := speaks(t, p, addr, "once", "stays", "named"); len(of) != 3 {
		t.Errorf("at once there are %v", of)
	}
	p.Unused().Forget(assembly.Monotonic() + time.Hour)
	if of := speaks(t, p, addr, "once", "stays", "named"); fmt.Sprint(of) != "[stays named]" {
		t.Errorf("after an hour there are %v", of)
	}
	stage.Eventually(t, 15*time.Second, "their connections are closed", func() bool {
		return pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = 'once' OR datname = 'named' AND usename = 'guest'")[0][0] == "0"
	})
	if n := pg.Query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'kept'")[0][0]; n != "1" {
		t.Errorf("there are %s connections of whom the configuration names", n)
	}
	others := uint64(0)
	for _, a := range p.Metrics().Accounts {
		if a.Database == "" {
			others += a.Queries
		}
	}
	if others != 1 {
		t.Errorf("%d statements of databases that are forgotten are counted", others)
	}
	use("guest", "once", true)
}

// TestForgetsUnasked forgets how a database is asked for its users when nobody asks any more, and asks anew when somebody does.
func TestForgetsUnasked(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "right", "scram-sha-256")
	p, addr := stage.Start(t, stage.Asking(pg, time.Millisecond))
	known := func() int {
		return len(p.Inquirers())
	}
	for _, c := range []struct {
		later time.Duration
		want  int
	}{{0, 2}, {assembly.Unasked, 0}, {0, 2}} {
		if got := stage.Psql(t, addr, stage.As("ann", "right"), "SELECT current_user"); got != "ann" {
			t.Error(got)
		}
		if _, err := stage.From("127.0.0.1", addr, "ann", "nodb", "right"); err == nil {
			t.Error("a database that is not there")
		}
		p.Unused().Forget(assembly.Monotonic() + c.later)
		if n := known(); n != c.want {
			t.Errorf("%s later %d are known, want %d", c.later, n, c.want)
		}
	}
}
