package leaks

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

var (
	seed         = flag.Uint64("seed", 1, "of the first interleaving")
	interleaving = flag.Int("interleavings", 60, "how many, by leak guard")
)

var cluster *pgcluster.Cluster

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if cluster, err = pgcluster.New(pgcluster.Options{HBA: []string{"hostssl all worker 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 trust"}}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := cluster.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// databases makes the two databases anew.
func databases(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	for _, sql := range []string{"DROP DATABASE IF EXISTS direct WITH (FORCE)", "DROP DATABASE IF EXISTS proxied WITH (FORCE)", "DROP ROLE IF EXISTS worker, keeper", "CREATE DATABASE direct", "CREATE DATABASE proxied"} {
		cluster.Primary.Exec(t, sql)
	}
	cluster.Primary.Exec(t, roles)
	for _, db := range []string{"direct", "proxied"} {
		c, err := pgx.Connect(ctx, cluster.Primary.DSN(db, "postgres"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.PgConn().Exec(ctx, schema).ReadAll(); err != nil {
			t.Fatal(err)
		}
		c.Close(ctx)
	}
}

// proxy starts one with the given guard and number of server connections.
func proxy(t testing.TB, by *wires, guard heliosv1.LeakGuard, pin heliosv1.Pin, most int) (*assembly.Proxy, string) {
	t.Helper()
	p, err := assembly.New(assembly.Options{Loops: 1, Reactor: reactor.Options{Poison: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	set := &resource.Set{
		Clusters: map[string]*heliosv1.Cluster{"main": {Name: "main"}},
		Nodes: map[string]*heliosv1.Node{"n1": {
			Name: "n1", Cluster: "main", Host: cluster.Primary.Host(), Port: uint32(cluster.Primary.Port()), Role: heliosv1.NodeRole_NODE_ROLE_PRIMARY,
		}},
		PoolProfiles: map[string]*heliosv1.PoolProfile{"default": {
			Name: "default", Mode: heliosv1.PoolMode_POOL_MODE_TRANSACTION, MaxConnections: uint32(most), AcquireTimeout: durationpb.New(20 * time.Second),
			LeakGuard: guard, Pin: pin, SafeFunctions: []string{"f_safe"},
		}},
		Listeners: map[string]*heliosv1.Listener{"main": {Name: "main", Address: "127.0.0.1:0", Auth: heliosv1.AuthMethod_AUTH_METHOD_TRUST}},
		Databases: map[string]*heliosv1.Database{"*": {Name: "*", Cluster: "main", PoolProfile: "default"}},
		Limits:    map[string]*heliosv1.Limits{"default": {Name: "default", MaxStatementBytes: maxText}},
	}
	if planted.Is(planted.Listen) { // the shared listener leaves nothing that could be missed
		set.PoolProfiles["default"].Listen = heliosv1.Listen_LISTEN_PIN
	}
	by.configure(set)
	set.Complete()
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	return p, p.Addresses()["main"]
}

// kept counts the sessions that keep a server connection, when nothing but open transactions is under way.
func kept(p *assembly.Proxy) func(inTransaction int) int {
	return func(inTransaction int) int {
		for {
			active, pinned := 0, 0
			for _, c := range p.Metrics().Clients {
				switch c.State {
				case "active", "waiting":
					active += c.N
				case "pinned":
					pinned += c.N
				}
			}
			if active == inTransaction {
				return pinned
			}
			<-time.After(50 * time.Microsecond)
		}
	}
}

// interleave plays the interleavings of the seeds from *seed on, and returns what went wrong first.
func interleave(t testing.TB, by *wires, guard heliosv1.LeakGuard, n int, from []unit) (w *world, wrong string) {
	serial := 0
	worlds := map[int]*world{}
	for most := 1; most <= 3; most++ {
		p, addr := proxy(t, by, guard, heliosv1.Pin_PIN_ON, most)
		worlds[most] = &world{wires: by, proxy: addr, server: cluster.Primary.Addr(), most: most, kept: kept(p), serial: &serial, units: from}
	}
	for i := range n {
		w := worlds[1+i%3]
		w.r = rand.New(rand.NewPCG(*seed+uint64(i), 0))
		w.story = []string{fmt.Sprintf("-seed=%d -interleavings=1, %d server connections", *seed+uint64(i), w.most)}
		if err := w.open(3); err != nil {
			t.Fatal(err)
		}
		wrong := w.play(24)
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		if wrong != "" {
			return w, wrong
		}
		if (i+1)%1000 == 0 {
			fmt.Fprintf(os.Stderr, "%d of %d interleavings\n", i+1, n)
		}
	}
	return nil, ""
}

// TestLeaks plays sessions against their twins under the guards that let nothing through.
func TestLeaks(t *testing.T) {
	for _, guard := range []heliosv1.LeakGuard{heliosv1.LeakGuard_LEAK_GUARD_CATALOG, heliosv1.LeakGuard_LEAK_GUARD_ALWAYS} {
		t.Run(guard.String(), func(t *testing.T) {
			databases(t)
			began := time.Now()
			if w, wrong := interleave(t, chosen(t), guard, *interleaving, units()); wrong != "" {
				w.tell(t, wrong)
			}
			t.Logf("%d interleavings in %s", *interleaving, time.Since(began).Round(time.Millisecond))
		})
	}
}

// TestText plays what the texts themselves say, under the guard that looks at nothing else.
func TestText(t *testing.T) {
	databases(t)
	if w, wrong := interleave(t, chosen(t), heliosv1.LeakGuard_LEAK_GUARD_TEXT, *interleaving, shown()); wrong != "" {
		w.tell(t, wrong)
	}
}

// shown are the units whose texts say what they leave.
func shown() []unit {
	return slices.DeleteFunc(units(), func(u unit) bool {
		switch u.kind {
		case "", "set", "rollback", "set_config", "role", "temporary", "cursor", "lock", "listen", "prepared", "seed", "unseen":
			return false
		case "sequence":
			return strings.Contains(u.sql[0], "f_next")
		}
		return true
	})
}
