package lookup

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/gate"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
)

const roles = "SELECT rolname, rolpassword, rolvaliduntil FROM pg_authid WHERE rolname = $1"

// TestUsersHeld asks nothing for clients who are held, and gives up its connection when all are for whom that is. Those who may let the others go
// on are looked up, on a connection that does not stay.
func TestUsersHeld(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	for _, tt := range []struct {
		name  string
		asked []string // for which databases, before
		hold  []string
		close string // of which
		stays bool
	}{
		{"its only database", []string{"a"}, []string{"a"}, "a", false},
		{"all", []string{"a", "b"}, []string{gate.All}, gate.All, false},
		{"all by name", []string{"a", "b"}, []string{"a", "b"}, "b", false},
		{"one of two", []string{"a", "b"}, []string{"a"}, "a", true},
		{"another", []string{"a"}, []string{"b"}, "b", true},
		{"all, for another", []string{"a"}, []string{gate.All}, "b", true},
		{"all, after the console", []string{"a", "pgbouncer"}, []string{"a"}, "a", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := reactor.NewGroup(1, reactor.Options{Poison: true})
			if err != nil {
				t.Fatal(err)
			}
			g.Start()
			t.Cleanup(g.Stop)
			var gates gate.Gates
			u := NewUsers(g.Loops()[0], target(pg, "postgres"), &gates, zap.NewNop())
			ask := func(db string) error {
				got := make(chan error, 1)
				u.Begin(db, roles, "postgres", func(r Row, err error) {
					if err == nil && !r.Found {
						t.Error("postgres is not found")
					}
					got <- err
				})
				return <-got
			}
			until := func(what string, ok func() bool) {
				t.Helper()
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for end := time.After(20 * time.Second); !ok(); {
					select {
					case <-end:
						t.Fatalf("not in time: %s", what)
					case <-tick.C:
					}
				}
			}
			open := func() (n int) {
				u.loop.PostWait(func() { n = u.line.open })
				return n
			}
			for _, db := range tt.asked {
				if err := ask(db); err != nil {
					t.Fatal(err)
				}
			}
			for _, db := range tt.hold {
				gates.Hold(db)
			}
			if left := u.CloseHeld(tt.close); left != map[bool]int{true: 0, false: 1}[tt.stays] {
				t.Errorf("%d connections are left", left)
			}
			if tt.stays {
				if n := open(); n != 1 {
					t.Errorf("%d connections are open", n)
				}
			} else {
				until("it is closed", func() bool { return u.CloseHeld(tt.close) == 0 && open() == 0 })
			}
			if gates.Holds("a") {
				if err := ask("a"); !errors.Is(err, ErrHeld) {
					t.Errorf("for a client who is held: %v", err)
				}
			}
			if all, _ := gates.Held(); all && !tt.stays {
				if n := open(); n != 0 {
					t.Errorf("%d connections were opened for one who is held", n)
				}
				if err := ask("pgbouncer"); err != nil {
					t.Errorf("for one of the console: %v", err)
				}
				until("that is closed, too", func() bool { return open() == 0 })
			}
			gates.Release(gate.All)
			if err := ask("a"); err != nil || open() != 1 {
				t.Errorf("afterwards: %v, %d connections", err, open())
			}
		})
	}
}
