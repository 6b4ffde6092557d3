package servers

import (
	"strings"
	"testing"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestFatalAtRest ends the server connection of a session that rests on it: the client is told what the server says.
func TestFatalAtRest(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for _, c := range []struct {
		mode  heliosv1.PoolMode
		guard heliosv1.LeakGuard
		first string
	}{
		{heliosv1.PoolMode_POOL_MODE_SESSION, heliosv1.LeakGuard_LEAK_GUARD_TEXT, "SELECT 1"},
		{heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.LeakGuard_LEAK_GUARD_TEXT, "BEGIN"},
		{heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.LeakGuard_LEAK_GUARD_TEXT, "CREATE TEMP TABLE kept (a int)"},
		{heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.LeakGuard_LEAK_GUARD_CATALOG, "CREATE TEMP TABLE kept (a int)"},
		{heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.LeakGuard_LEAK_GUARD_TEXT, "PREPARE p AS SELECT 1"},
		{heliosv1.PoolMode_POOL_MODE_TRANSACTION, heliosv1.LeakGuard_LEAK_GUARD_TEXT, "LISTEN l"},
	} {
		set := stage.Config(pg.Primary, c.mode, 1)
		set.PoolProfiles["default"].LeakGuard = c.guard

		_, addr := stage.Start(t, set)
		for range 3 {
			cl := pgscript.Dial(t, "tcp", addr)
			cl.Login(pgscript.Login{User: "postgres", Database: "postgres"})
			cl.Run(pgscript.Query(c.first))
			pid := strings.TrimPrefix(cl.Run(pgscript.Query("SELECT pg_backend_pid()"))[1], "D ")
			pg.Primary.Query(t, "SELECT pg_terminate_backend("+pid+")")
			m, err := cl.Receive()
			if err != nil || m.Field('C') != "57P01" {
				t.Errorf("%s, %v, %s: %s, %v", c.mode, c.guard, c.first, m.Backend(), err)
			}
			cl.ExpectEOF()
			cl.Close()
		}
	}
}

// TestFatalWhileLooked has the server end while it is asked what the transaction has left, of which the client knows nothing: it is told what the server says.
func TestFatalWhileLooked(t *testing.T) {
	t.Parallel()
	fake := pgscript.Serve(t, func(c *pgscript.Conn) error {
		if _, err := c.Welcome(1, []byte("1234")); err != nil {
			return err
		}
		if _, err := c.Receive(); err != nil {
			return err
		}
		if err := c.Send(pgscript.CommandComplete("CREATE TABLE"), pgscript.ReadyForQuery('I')); err != nil {
			return err
		}
		if _, err := c.Receive(); err != nil { // the question
			return err
		}
		return c.Send(pgscript.ErrorResponse("FATAL", "57P01", "the server's own words"))
	})
	for _, pin := range []heliosv1.Pin{heliosv1.Pin_PIN_ON, heliosv1.Pin_PIN_OFF} {
		set := stage.ConfigAt(fake.Addr(), heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
		set.PoolProfiles["default"].Pin = pin
		set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_TEXT
		_, addr := stage.Start(t, set)
		cl := pgscript.Dial(t, "tcp", addr)
		cl.Login(pgscript.Login{User: "postgres", Database: "postgres"})
		cl.Send(pgscript.Query("CREATE TEMP TABLE kept (a int)"))
		cl.Expect("C CREATE TABLE")
		if pin == heliosv1.Pin_PIN_ON { // else it is told first what it loses
			cl.Expect("Z I")
		}
		cl.Expect("E 57P01 the server's own words")
		cl.ExpectEOF()
	}
}
