package assembly_test

import (
	"context"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// askingAt is asking with an administrator of the console; node is the primary, of n1 and n2, which are the same server.
func askingAt(pg *pgcluster.Cluster, node string) *resource.Set {
	set := stage.Asking(pg, time.Hour)
	set.Users["ops"] = &heliosv1.User{Name: "ops", Secret: stage.Secret("right")}
	set.Consoles = map[string]*heliosv1.Console{resource.ConsoleName: {Name: resource.ConsoleName, AdminUsers: []string{"ops"}, WaitTimeout: durationpb.New(time.Minute)}}
	n1 := set.Nodes["n1"]
	set.Nodes["n2"] = &heliosv1.Node{Name: "n2", Cluster: "main", Host: n1.Host, Port: n1.Port, Role: heliosv1.NodeRole_NODE_ROLE_STANDBY}
	n1.Role = heliosv1.NodeRole_NODE_ROLE_STANDBY
	set.Nodes[node].Role = heliosv1.NodeRole_NODE_ROLE_PRIMARY
	return set
}

// theirs are the connections of others at a server, but for those by which the test itself asks: one that it has closed may be there still.
const theirs = "SELECT application_name, state FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'pgcluster'"

// TestLookUpHeld closes the connection that looks users up before PAUSE and KILL say that they are done, opens none while a database is held, and
// lets log-ins wait that need it: they are looked up where the database is then.
func TestLookUpHeld(t *testing.T) {
	t.Parallel()
	for _, hold := range []string{"PAUSE", "PAUSE postgres", "KILL", "KILL postgres"} {
		t.Run(hold, func(t *testing.T) {
			t.Parallel()
			pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
			for _, name := range []string{"ann", "bob", "cat"} {
				pg.Primary.CreateRole(t, name, name+"'s", "scram-sha-256")
			}
			p, addr := stage.Start(t, askingAt(pg, "n1"), func(o *assembly.Options) { o.Loops = 2 })
			admin, err := stage.From("127.0.0.1", addr, "ops", "pgbouncer", "right")
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close(context.Background())
			if got := stage.Psql(t, addr, stage.As("ann", "ann's"), "SELECT current_user"); got != "ann" {
				t.Fatal(got)
			}
			if rows := pg.Primary.Query(t, theirs); len(rows) != 2 {
				t.Errorf("before: %v", rows)
			}
			if got := stage.Tell(admin, hold); got != "" {
				t.Fatal(got)
			}
			if rows := pg.Primary.Query(t, theirs); len(rows) != 0 {
				t.Errorf("%s is done, and there are %v", hold, rows)
			}
			enters := func(user string) <-chan string {
				asked, got := questions(p), make(chan string, 1)
				go func() {
					c, err := stage.From("127.0.0.1", addr, user, "postgres", user+"'s")
					if err != nil {
						got <- stage.TurnedDown(err)
						return
					}
					got <- stage.Ask(c, "SELECT current_user")
					c.Close(context.Background())
				}()
				stage.Eventually(t, 20*time.Second, user+" has to be looked up", func() bool { return questions(p) > asked })
				return got
			}
			bob := enters("bob")
			if rows := pg.Primary.Query(t, theirs); len(rows) != 0 {
				t.Errorf("while bob waits there are %v", rows)
			}
			pg.Primary.Stop(t)
			cat := enters("cat")
			if _, err := p.Apply(askingAt(pg, "n2"), nil); err != nil {
				t.Fatal(err)
			}
			pg.Primary.Start(t)
			for name, got := range map[string]<-chan string{"bob": bob, "cat": cat} {
				select {
				case words := <-got:
					t.Errorf("%s does not wait: %s", name, words)
				default:
				}
			}
			if got := stage.Tell(admin, "RESUME"); got != "" {
				t.Fatal(got)
			}
			heard(t, "who has waited", bob, "bob")
			heard(t, "who came while the server was away", cat, "cat")
			for _, node := range p.Asked() {
				if node != "n2" {
					t.Errorf("node %s was asked", node)
				}
			}
		})
	}
}

// TestLookUpHeldTooLong ends a log-in that waits for longer than a log-in may take.
func TestLookUpHeldTooLong(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{HBA: []string{"host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"}})
	pg.Primary.CreateRole(t, "ann", "ann's", "scram-sha-256")
	set := askingAt(pg, "n1")
	set.Limits["default"].LoginTimeout = durationpb.New(time.Second)
	p, addr := stage.Start(t, set)
	p.Hub().Gates.Hold("postgres")
	_, err := stage.From("127.0.0.1", addr, "ann", "postgres", "ann's")
	if got := stage.TurnedDown(err); got != "08006 log-in took longer than 1s" {
		t.Error(got)
	}
}
