package servers

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// shopsAndBanks is a server with the databases shop and bank, and a configuration for it in which max connections are all that the
// node takes.
func shopsAndBanks(t testing.TB, pg *pgcluster.Server, max uint32) *resource.Set {
	pg.Exec(t, "CREATE DATABASE shop", "CREATE DATABASE bank", "CREATE ROLE clerk LOGIN")
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 100)
	set.Nodes["n1"].MaxConnections = max
	set.PoolProfiles["default"].LeakGuard = heliosv1.LeakGuard_LEAK_GUARD_TEXT // no connection to read the catalogue by
	return set
}

// crowd has n clients of a database at work until the test, or who called it, stops them.
func crowd(t testing.TB, addr, database string, n int, sql string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range n {
		c, err := stage.From("127.0.0.1", addr, "postgres", database, "")
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer c.Close(context.Background())
			for ctx.Err() == nil {
				if _, err := c.Exec(context.Background(), sql).ReadAll(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	t.Cleanup(stop)
	return stop
}

// latencies runs SQL n times in a database and returns how long each took, sorted; nil if one failed.
func latencies(t testing.TB, addr, database string, n int, sql string) (all []time.Duration) {
	c, err := stage.From("127.0.0.1", addr, "postgres", database, "")
	if err != nil {
		t.Logf("log in to %s: %v", database, err)
		return nil
	}
	defer c.Close(context.Background())
	for range n {
		began := time.Now()
		if _, err := c.Exec(context.Background(), sql).ReadAll(); err != nil {
			t.Logf("in %s: %v", database, err)
			return nil
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all
}

// promptly says what is wrong if one client of bank is not served soon while many of shop want more than the node takes.
func promptly(t testing.TB, pg *pgcluster.Server) string {
	set := shopsAndBanks(t, pg, 4)
	set.PoolProfiles["default"].AcquireTimeout = durationpb.New(2 * time.Second)
	_, addr := stage.Start(t, set)
	defer crowd(t, addr, "shop", 60, "SELECT pg_sleep(0.02)")()
	took := latencies(t, addr, "bank", 25, "SELECT pg_sleep(0.005)")
	if took == nil {
		return "the client of the other database is not served"
	}
	if m := took[len(took)/2]; m > 100*time.Millisecond { // in turn with all others each would take 300 ms
		return fmt.Sprintf("a statement of 5 ms takes %v", took)
	}
	return ""
}

// TestFairShare has many clients of one database wait for what a node takes: one of another database, which wants less than its share,
// is served as if they were not there.
func TestFairShare(t *testing.T) {
	t.Parallel()
	if wrong := promptly(t, pgcluster.Start(t, pgcluster.Options{}).Primary); wrong != "" {
		t.Error(wrong)
	}
}

// TestFullNodeMakesRoom has all connections that a node takes be free and another pool's: one is closed for who asks.
func TestFullNodeMakesRoom(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	_, addr := stage.Start(t, shopsAndBanks(t, pg, 1))
	for _, db := range []string{"shop", "bank", "shop", "bank"} {
		if latencies(t, addr, db, 2, "SELECT 1") == nil {
			t.Errorf("no room in %s", db)
		}
	}
}

// TestMinimumYields has all connections that a node takes be kept open by pools of three users, whose clients rest. One of them opens as
// many transactions as the node takes connections: all get on, and what is open stays when they have ended.
func TestMinimumYields(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	set := shopsAndBanks(t, pg, 4)
	set.PoolProfiles["default"].MinConnections = 2
	set.PoolProfiles["default"].AcquireTimeout = durationpb.New(20 * time.Second)
	_, addr := stage.Start(t, set)
	users := []string{"u1", "u2", "u3"}
	for _, user := range users {
		pg.Exec(t, "CREATE ROLE "+user+" LOGIN")
	}
	for _, user := range users {
		stage.Want(t, stage.Connect(t, addr, user), "SELECT 1", "1")
	}
	stage.Eventually(t, 15*time.Second, "the node is full", func() bool {
		n := 0
		for _, user := range users {
			k, _ := strconv.Atoi(backends(t, pg, user))
			n += k
		}
		return n == 4
	})
	for range 4 {
		stage.Want(t, stage.Connect(t, addr, "u1"), "BEGIN", "")
	}
	if n := backends(t, pg, "u1"); n != "4" {
		t.Errorf("%s connections have transactions", n)
	}
}

// TestServerLimits counts the connections at the server while clients of two databases and two users come, work and go: there are never
// more than the limits say, by node, database and user.
func TestServerLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, count string
		most        int
		edit        func(*resource.Set)
	}{
		{"node", "true", 5, func(s *resource.Set) { s.Nodes["n1"].MaxConnections = 5 }},
		{"each database", "datname = 'shop'", 2, func(s *resource.Set) { s.Limits["default"].MaxServerConnectionsPerDatabase = 2 }},
		{"one database", "datname = 'shop'", 3, func(s *resource.Set) {
			s.Databases["shop"] = proto.Clone(s.Databases["*"]).(*heliosv1.Database)
			s.Databases["shop"].Name, s.Databases["shop"].MaxServerConnections = "shop", 3
		}},
		{"each user", "usename = 'clerk'", 2, func(s *resource.Set) { s.Limits["default"].MaxServerConnectionsPerUser = 2 }},
		{"one user", "usename = 'clerk'", 3, func(s *resource.Set) {
			s.Users["clerk"] = &heliosv1.User{Name: "clerk", MaxServerConnections: 3}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pg := pgcluster.Start(t, pgcluster.Options{}).Primary
			set := shopsAndBanks(t, pg, 0)
			set.PoolProfiles["default"].MaxLifetime = durationpb.New(50 * time.Millisecond)
			c.edit(set)
			_, addr := stage.Start(t, set, func(o *assembly.Options) { o.Loops = 2 })
			watcher, err := stage.TryConnect(pg.Addr(), "postgres", "application_name", "watcher")
			if err != nil {
				t.Fatal(err)
			}
			defer watcher.Close(context.Background())
			var clients sync.WaitGroup
			var full atomic.Bool // as many as there may be were seen at once
			end := time.Now().Add(20 * time.Second)
			for i := range 16 {
				clients.Go(func() {
					for n := 0; n < 3 || !full.Load() && time.Now().Before(end); n++ { // a watcher that is seldom served sees little
						c, err := stage.From("127.0.0.1", addr, []string{"postgres", "clerk"}[i%2], []string{"shop", "bank"}[i/2%2], "")
						if err != nil {
							t.Error(err)
							return
						}
						for range 5 {
							if got := stage.Ask(c, "SELECT 1 FROM pg_sleep(0.005)"); got != "1" {
								t.Error(got)
							}
						}
						c.Close(context.Background())
					}
				})
			}
			done := make(chan struct{})
			go func() { clients.Wait(); close(done) }()
			samples, seen := 0, 0
			for busy := true; busy; samples++ {
				select {
				case <-done:
					busy = false
				default:
				}
				n, err := strconv.Atoi(stage.Ask(watcher, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'watcher' AND "+c.count))
				if err != nil || n > c.most {
					t.Errorf("%d connections, %d are allowed (%v)", n, c.most, err)
					return
				}
				seen = max(seen, n)
				full.Store(seen == c.most)
			}
			if seen != c.most {
				t.Errorf("in %d samples there were %d connections at most, want %d", samples, seen, c.most)
			}
		})
	}
}
