package servers

import (
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestSpread spreads the connections of a pool over two servers, goes on with one of them while the other is dead, and comes back to that.
func TestSpread(t *testing.T) {
	t.Parallel()
	one, two := pgcluster.Start(t, pgcluster.Options{}).Primary, pgcluster.Start(t, pgcluster.Options{}).Primary
	const disable, robin = heliosv1.LoadBalanceHosts_LOAD_BALANCE_HOSTS_DISABLE, heliosv1.LoadBalanceHosts_LOAD_BALANCE_HOSTS_ROUND_ROBIN
	spread := func(how heliosv1.LoadBalanceHosts) *resource.Set {
		set := stage.Config(one, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4)
		set.Nodes["n1"].Host, set.Nodes["n1"].LoadBalanceHosts = one.Addr()+","+two.Addr(), how
		set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_CATALOG // whose reader has a connection of its own
		return set
	}
	p, addr := stage.Start(t, spread(robin))
	c := stage.ConsoleAt(t, addr)
	var clients []*pgconn.PgConn
	for range 4 {
		clients = append(clients, stage.Connect(t, addr, "postgres"))
	}
	// at counts the connections of four transactions that are open at once by server.
	at := func() (first, second int) {
		t.Helper()
		for _, c := range clients {
			stage.Want(t, c, "BEGIN", "")
			switch port := stage.Ask(c, "SELECT inet_server_port()"); port {
			case strconv.Itoa(one.Port()):
				first++
			case strconv.Itoa(two.Port()):
				second++
			default:
				t.Fatalf("at %s", port)
			}
		}
		for _, c := range clients {
			stage.Want(t, c, "COMMIT", "")
		}
		return first, second
	}
	check := func(what string, first, second int, shows string) {
		t.Helper()
		if a, b := at(); a != first || b != second {
			t.Errorf("%s: %d and %d connections, want %d and %d", what, a, b, first, second)
		}
		if pool, db := stage.Rows(t, c, "SHOW POOLS")[0], stage.Rows(t, c, "SHOW DATABASES")[1]; pool["load_balance_hosts"] != shows || db["load_balance_hosts"] != shows {
			t.Errorf("%s: shown is %q of the pool %v, and %q of the database %v", what, pool["load_balance_hosts"], pool, db["load_balance_hosts"], db)
		}
	}
	check("round-robin", 2, 2, "round-robin")
	apply := func(how heliosv1.LoadBalanceHosts) {
		t.Helper()
		if _, err := p.Apply(spread(how), nil); err != nil {
			t.Fatal(err)
		}
	}
	apply(disable)
	check("disable", 4, 0, "disable")
	apply(robin)
	check("round-robin again", 2, 2, "round-robin")

	two.Kill(t)
	stage.Eventually(t, 20*time.Second, "the dead server's connections are gone", func() bool {
		for _, s := range stage.Rows(t, c, "SHOW SERVERS") {
			if s["port"] == strconv.Itoa(two.Port()) {
				return false
			}
		}
		return true
	})
	check("one is dead", 4, 0, "round-robin")
	two.Start(t)
	stage.Eventually(t, 60*time.Second, "the server that is back has connections", func() bool {
		if out := stage.Tell(c, "RECONNECT"); out != "" {
			t.Fatal(out)
		}
		_, second := at()
		return second > 0
	})
	if out := stage.Tell(c, "RECONNECT"); out != "" {
		t.Fatal(out)
	}
	check("both are back", 2, 2, "round-robin")
}
