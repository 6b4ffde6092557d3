package assembly_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestRemovedWhileIdle: sessions whose database or user is removed are told so at once when they are idle, in
// both pool modes, and when their transaction ends otherwise; everybody else goes on.
func TestRemovedWhileIdle(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	for name, mode := range map[string]heliosv1.PoolMode{
		"transaction": heliosv1.PoolMode_POOL_MODE_TRANSACTION, "session": heliosv1.PoolMode_POOL_MODE_SESSION,
	} {
		t.Run(name, func(t *testing.T) {
			with := func(user bool, databases ...string) *resource.Set {
				s := stage.Config(pg.Primary, mode, 4)
				delete(s.Databases, "*")
				for _, name := range databases {
					s.Databases[name] = &heliosv1.Database{Name: name, Cluster: "main", ServerName: "postgres", PoolProfile: "default"}
				}
				if user {
					s.Users["postgres"] = &heliosv1.User{Name: "postgres"}
				}
				return s
			}
			full := with(true, "gone", "postgres")
			p, addr := stage.Start(t, full)
			enter := func(db string) *pgscript.Client {
				c := pgscript.Dial(t, "tcp", addr)
				c.Login(pgscript.Login{User: "postgres", Database: db})
				return c
			}
			idle, stays := enter("gone"), enter("postgres")
			if _, err := p.Apply(with(true, "postgres"), nil); err != nil {
				t.Fatal(err)
			}
			if m := idle.Until("E"); m[len(m)-1].Field('C') != "57P01" {
				t.Errorf("an idle session of a database that is gone: %s", m[len(m)-1].Backend())
			}
			if _, err := p.Apply(with(false, "postgres"), nil); err != nil {
				t.Fatal(err)
			}
			if m := stays.Until("E"); m[len(m)-1].Field('C') != "57P01" {
				t.Errorf("an idle session of a user who is gone: %s", m[len(m)-1].Backend())
			}
		})
	}
}

// TestPoolFollows: a pool that may be smaller closes what is free at once, one that may be larger is so for who
// waits, and one that nobody leads to any more is closed.
func TestPoolFollows(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 4))
	conns := func() (n int) {
		p.Hub().Pools.Each(func(pl *pool.Pool) {
			c, _ := pl.Total()
			n += c
		})
		return n
	}
	until := func(what string, want int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); conns() != want; <-time.After(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d connections, want %d", what, conns(), want)
			}
		}
	}
	apply := func(max uint32) {
		t.Helper()
		if _, err := p.Apply(stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, max), nil); err != nil {
			t.Fatal(err)
		}
	}
	a, b := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, a, "BEGIN", "")
	stage.Want(t, b, "BEGIN", "")
	until("two transactions", 2)
	apply(1)
	stage.Want(t, b, "COMMIT", "")
	until("smaller by one", 1)
	waiting := make(chan string, 1)
	go func() { waiting <- stage.Ask(b, "SELECT 2") }()
	apply(2)
	if got := <-waiting; got != "2" {
		t.Errorf("who waited got %s", got)
	}
	until("larger again", 2)
	stage.Want(t, a, "COMMIT", "")
	gone := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	gone.Databases = map[string]*heliosv1.Database{"other": {Name: "other", Cluster: "main", PoolProfile: "default"}}
	if _, err := p.Apply(gone, nil); err != nil {
		t.Fatal(err)
	}
	until("nobody leads there", 0)
}

// TestPanicWhileApplying: what panics before the swap leaves nothing behind, neither in force nor at a port.
func TestPanicWhileApplying(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{})
	p, addr := stage.Start(t, stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1))
	more := stage.Config(pg.Primary, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 1)
	more.Listeners["more"] = &heliosv1.Listener{Name: "more", Address: fmt.Sprintf("127.0.0.1:%d", freeport.For(t)), Auth: heliosv1.AuthMethod_AUTH_METHOD_TRUST}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nobody has panicked")
			}
		}()
		_, _ = p.Apply(more, func() error { panic("planted") })
	}()
	if n := len(p.Addresses()); n != 1 {
		t.Errorf("%d listeners", n)
	}
	stage.Want(t, stage.Connect(t, addr, "postgres"), "SELECT 1", "1")
	if _, err := p.Apply(more, nil); err != nil {
		t.Errorf("the port is still taken: %v", err)
	}
}
