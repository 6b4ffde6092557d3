package servers

import (
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestConnectQuery runs a query on each new server connection before anybody gets it, and again when the connection was reset. Where it
// fails, so does the connection. Those that the proxy has for itself are not asked it.
func TestConnectQuery(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	pg.Exec(t, "CREATE TABLE opened (pid int, name text)")
	const query = "INSERT INTO opened VALUES (pg_backend_pid(), current_setting('application_name')); SELECT 1"
	for _, guard := range []heliosv1.LeakGuard{heliosv1.LeakGuard_LEAK_GUARD_CATALOG, heliosv1.LeakGuard_LEAK_GUARD_ALWAYS} {
		pg.Exec(t, "TRUNCATE opened")
		set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
		set.PoolProfiles["default"].ConnectQuery, set.PoolProfiles["default"].LeakGuard = query, guard
		_, addr := stage.Start(t, set)
		c := stage.Connect(t, addr, "postgres")
		stage.Want(t, c, "SELECT count(*) > 0 FROM opened WHERE pid = pg_backend_pid()", "t")
		for range 3 {
			stage.Want(t, c, "SELECT 1", "1")
		}
		n := pg.Query(t, "SELECT count(DISTINCT pid), count(*) > 1, count(*) FILTER (WHERE name LIKE 'heliosproxy%') FROM opened")[0]
		again := map[bool]string{true: "t", false: "f"}[guard == heliosv1.LeakGuard_LEAK_GUARD_ALWAYS]
		if n[0] != "1" || n[1] != again || n[2] != "0" {
			t.Errorf("guard %s: asked were %v", guard, n)
		}
	}
	for query, why := range map[string]string{
		"SELECT nothing": `column "nothing" does not exist`, "BEGIN": "it leaves a transaction open", "SELECT 1; nonsense": `syntax error at or near "nonsense"`,
	} {
		set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
		set.PoolProfiles["default"].ConnectQuery = query
		_, addr := stage.Start(t, set)
		if _, err := stage.TryConnect(addr, "postgres"); stage.TurnedDown(err) != "08001 connect_query failed at server n1: "+why {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// TestApplicationNameAddHost shows at the server where clients come from, through one connection, and who has changed his name.
func TestApplicationNameAddHost(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].ApplicationNameAddHost = true
	_, addr := stage.Start(t, set)
	a, b := stage.Connect(t, addr, "postgres", "application_name", "shop"), stage.Connect(t, addr, "postgres")
	const mine = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
	for range 2 {
		stage.Want(t, a, mine, "shop - "+a.Conn().LocalAddr().String())
		stage.Want(t, b, mine, "app - "+b.Conn().LocalAddr().String())
	}
	if got := a.ParameterStatus("application_name"); !strings.HasPrefix(got, "shop - 127.0.0.1:") {
		t.Errorf("reported is %q", got)
	}
	stage.Want(t, a, "SET application_name = 'other'", "")
	stage.Want(t, b, mine, "app - "+b.Conn().LocalAddr().String())
	stage.Want(t, a, mine, "other")
	stage.Want(t, a, "RESET application_name", "")
	stage.Want(t, a, mine, "shop - "+a.Conn().LocalAddr().String())
}

// TestIgnoreStartupParameters lets clients in with parameters that the server does not know, as far as they are listed.
func TestIgnoreStartupParameters(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].IgnoreStartupParameters = []string{"nonsense", "work_mem"}
	_, addr := stage.Start(t, set)
	stage.Want(t, stage.Connect(t, addr, "postgres", "nonsense", "1", "work_mem", "5MB"), "SHOW work_mem", "4MB")
	stage.Want(t, stage.Connect(t, addr, "postgres", "options", "-c nonsense=1 -c maintenance_work_mem=5MB"), "SHOW maintenance_work_mem", "5MB")
	if _, err := stage.TryConnect(addr, "postgres", "rubbish", "1"); stage.TurnedDown(err) != `42704 unrecognized configuration parameter "rubbish"` {
		t.Errorf("what is not listed: %v", err)
	}
}
