package sessions

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// rightsSQL makes alice, who is no superuser, and what sets parameters for her that only a superuser may set.
const rightsSQL = "CREATE ROLE alice LOGIN; CREATE ROLE boss SUPERUSER; GRANT boss TO alice;" +
	" CREATE FUNCTION sd(n text, v text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN RETURN set_config(n, v, false); END$$"

// TestRights lets a session for which something was set that it could not set itself keep the server connection, where it can go on, and
// nobody else get that connection before it is reset.
func TestRights(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, rightsSQL)
	pg.Primary.Exec(t, "GRANT SET ON PARAMETER log_duration TO alice")
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].AcquireTimeout = durationpb.New(time.Second)
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_CATALOG
	_, addr := stage.Start(t, set)
	const full = "53300"
	for _, c := range []struct {
		name, user, sets string
		show, value      string
		keeps            bool
	}{
		{"a function of a superuser's", "alice", "SELECT sd('log_min_duration_statement', '12345')", "log_min_duration_statement", "12345ms", true},
		{"a superuser's role", "alice", "SET ROLE boss; SET log_min_duration_statement = 12345; RESET ROLE", "log_min_duration_statement", "12345ms", true},
		{"a function, with a grant", "alice", "SELECT sd('log_duration', 'on')", "log_duration", "on", false},
		{"a role, with a grant", "alice", "SET ROLE boss; SET log_duration = on; RESET ROLE", "log_duration", "on", false},
		{"a function, of what all may set", "alice", "SELECT sd('work_mem', '1MB')", "work_mem", "1MB", false},
		{"what is over with the transaction", "alice", "BEGIN; SELECT sd('log_min_duration_statement', '12345'); ROLLBACK", "log_min_duration_statement", "-1", false},
		{"a superuser", "postgres", "SET log_min_duration_statement = 12345", "log_min_duration_statement", "12345ms", false},
		{"a superuser, by a function", "postgres", "SELECT sd('log_min_duration_statement', '12345')", "log_min_duration_statement", "12345ms", false},
		{"a superuser who is alice now", "postgres", "SET log_min_duration_statement = 12345; SET SESSION AUTHORIZATION alice", "log_min_duration_statement", "12345ms", false},
	} {
		a, b := stage.Connect(t, addr, c.user), stage.Connect(t, addr, c.user)
		default_ := stage.Ask(b, "SHOW "+c.show)
		stage.Ask(a, c.sets)
		stage.Want(t, a, "SHOW "+c.show, c.value)
		other := stage.Ask(b, "SHOW "+c.show)
		if kept := strings.HasPrefix(other, full); kept != c.keeps || !kept && other != default_ {
			t.Errorf("%s: another session is answered %q", c.name, other)
		}
		stage.Want(t, a, "SHOW "+c.show, c.value)
		stage.Want(t, a, "RESET ALL", "")
		stage.Want(t, a, "SHOW "+c.show, default_)
		stage.Want(t, a, "DISCARD ALL", "")
		stage.Want(t, a, "SELECT 1", "1")
		stage.Ask(a, c.sets)
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		stage.Eventually(t, 10*time.Second, c.name+": the server connection is free", func() bool { return stage.Ask(b, "SHOW "+c.show) == default_ })
		b.Close(t.Context())
	}
}

// TestRightsDropped takes it from a session that may not keep the server connection, says so, and lets it go on.
func TestRightsDropped(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	pg.Primary.Exec(t, rightsSQL)
	set := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	set.PoolProfiles["default"].Pin = heliosv1.Pin_PIN_OFF
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_CATALOG
	_, addr := stage.Start(t, set)
	other := stage.Connect(t, addr, "alice")
	for _, sql := range []string{"SELECT sd('log_min_duration_statement', '12345')", "SET ROLE boss; SET log_min_duration_statement = 12345; RESET ROLE"} {
		c := pgscript.Dial(t, "tcp", addr)
		c.Login(pgscript.Login{User: "alice", Database: "postgres"})
		got := c.Run(pgscript.Query(sql))
		stage.Want(t, other, "SHOW log_min_duration_statement", "-1")
		got = append(got, c.Run(pgscript.Query("SHOW log_min_duration_statement"))...)
		if all := strings.Join(got, "; "); strings.Count(all, "N 01000 dropped at the end of the transaction") != 1 || !strings.HasSuffix(all, "; D -1; C SHOW; Z I") {
			t.Errorf("%s: %s", sql, all)
		}
	}
}
