package pool

import (
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// TestForget drops aliases whose clients have left long ago, and pools that nothing leads to any more with the connections that they keep;
// never what is named, used, or was asked for meanwhile.
func TestForget(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	reg := NewRegistry(ls)
	at := func(db string) *Pool {
		to := *target(t, srv.Addr())
		to.Database = db
		return reg.Find(&to)
	}
	get := func(alias, db string) *Pool {
		to := *target(t, srv.Addr())
		to.Database = db
		return reg.Get(Alias{Database: alias, User: "u"}, &to, &Profile{Max: 2, Min: 1, Acquire: 10 * time.Second})
	}
	get("named", "named")
	get("one", "shared")
	get("two", "shared")
	get("used", "used")
	get("late", "late")
	p := get("old", "old")
	<-begin(t, ls[0], func(task *reactor.Task) {
		c, err := p.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		p.Release(c)
	}).done
	meanwhile := func() {}
	forget := func(now time.Duration) (n int) {
		n, again := reg.Forget(Forgetting{
			Now: int64(now), After: time.Hour, Keeps: func(as Alias) bool { return as.Database == "named" },
			Used: func() map[Client]bool {
				meanwhile()
				return map[Client]bool{{at("used"), "used", "u"}: true, {at("shared"), "two", "u"}: true}
			},
		})
		if again {
			t.Error("there is something to forget soon")
		}
		return n
	}
	for _, c := range []struct {
		now  time.Duration
		want int
	}{{100 * time.Hour, 0}, {101*time.Hour - 1, 0}} {
		if n := forget(c.now); n != c.want {
			t.Errorf("at %s %d are forgotten", c.now, n)
		}
	}
	p.Hold(true)
	meanwhile = func() { get("late", "late") }
	if n := forget(101 * time.Hour); n != 1 || at("old") == nil {
		t.Errorf("%d are forgotten, of a pool that is held too", n)
	}
	p.Hold(false)
	if n := forget(101 * time.Hour); n != 1 || at("old") != nil {
		t.Errorf("%d are forgotten", n)
	}
	eventually(t, "what the pool kept is closed", func() bool { n, _ := p.Total(); return n == 0 && srv.open.Load() == 0 })
	for _, db := range []string{"named", "shared", "used", "late"} {
		if at(db) == nil {
			t.Errorf("%s is forgotten", db)
		}
	}
	if as := reg.Aliases(at("shared")); len(as) != 1 || as[0].Database != "two" {
		t.Errorf("the pool that is used is known as %v", as)
	}
	meanwhile = func() {}
	if n := forget(102 * time.Hour); n != 0 {
		t.Errorf("%d are forgotten of what was asked for", n)
	}
	if n := forget(103 * time.Hour); n != 1 || at("late") != nil {
		t.Errorf("%d are forgotten of what is not used any more", n)
	}
}

// TestForgetMissing forgets a database that is not there as soon as it may be asked for again, and says when it is not time yet.
func TestForgetMissing(t *testing.T) {
	ls := loops(t, 1)
	reg := NewRegistry(ls)
	p := reg.Get(Alias{Database: "d"}, target(t, "127.0.0.1:1"), &Profile{Max: 1, Retry: time.Second})
	for _, c := range []struct {
		name    string
		state   string
		now     time.Duration
		used    bool
		n       int
		soon    bool
		waiting int32
	}{
		{"another failure", "53300", time.Hour, false, 0, false, 0},
		{"before it is tried again", "3D000", 10*time.Second - 1, false, 0, true, 0},
		{"somebody is logged in", "3D000", 10 * time.Second, true, 0, false, 0},
		{"somebody waits", "3D000", 10 * time.Second, false, 0, true, 1},
		{"nobody", "3D000", 10 * time.Second, false, 1, false, 0},
	} {
		p.lastErr, p.failed = &pgwire.ServerError{SQLState: c.state}, int64(9*time.Second)
		p.waiting.Store(c.waiting)
		n, again := reg.Forget(Forgetting{
			Now: int64(c.now), After: time.Hour, Keeps: func(Alias) bool { return false },
			Used: func() map[Client]bool { return map[Client]bool{{p, "d", ""}: c.used} },
		})
		if n != c.n || again != c.soon {
			t.Errorf("%s: %d are forgotten, soon %t", c.name, n, again)
		}
	}
	if reg.Find(p.Target()) != nil {
		t.Error("the pool is still there")
	}
}
