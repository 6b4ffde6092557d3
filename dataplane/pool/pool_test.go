package pool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
)

// TestHammer lets many tasks of two loops lease few connections, and some of them give up while they wait:
// nobody ever shares a connection, there are never too many, and none is lost.
func TestHammer(t *testing.T) {
	const limit, tasks, rounds = 4, 40, 50
	ls, srv := loops(t, 2), serve(t, nil)
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: limit, Acquire: 20 * time.Second})
	var mu sync.Mutex
	busy := map[*backend.Conn]bool{}
	mark := func(c *backend.Conn, b bool) {
		mu.Lock()
		defer mu.Unlock()
		if busy[c] == b {
			t.Errorf("connection %d is leased twice, or given back twice", c.PID)
		}
		busy[c] = b
	}
	left := errors.New("left")
	var ws []*walker
	for i := range tasks {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		ws = append(ws, begin(t, ls[i%2], func(task *reactor.Task) {
			var w Waiter
			for range rounds {
				if w.Alive = nil; r.IntN(4) == 0 {
					w.Alive = func() error { return left }
					task.Loop().Post(task.Wake)
				}
				c := p.TryAcquire(task)
				if c == nil {
					var err error
					if c, err = p.Acquire(task, &w); err != nil {
						if err != left {
							t.Error(err)
						}
						continue
					}
				}
				mark(c, true)
				if refused, err := c.Exchange(task, "SELECT 1", nil); err != nil || refused != nil {
					t.Error(err, refused)
				}
				mark(c, false)
				p.Release(c)
			}
		}))
	}
	for _, w := range ws {
		<-w.done
	}
	eventually(t, "all connections are idle", func() bool {
		conns, waiting := p.Total()
		return waiting == 0 && states(p, ls)["idle"] == conns && conns > 0
	})
	if n := srv.most.Load(); n > limit {
		t.Errorf("%d connections at once, at most %d are allowed", n, limit)
	}
	if n := srv.born.Load(); n > limit {
		t.Errorf("%d connections were opened where %d would do", n, limit)
	}
}

// TestTurns gives the one connection to those who wait on one loop in the order of asking.
func TestTurns(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1})
	var order []int
	var ws []*walker
	for i := range 10 {
		ws = append(ws, begin(t, ls[0], func(task *reactor.Task) {
			c, err := p.Acquire(task, &Waiter{})
			if err != nil {
				t.Error(err)
				return
			}
			order = append(order, i)
			if _, err := c.Exchange(task, "SELECT 1", nil); err != nil {
				t.Error(err)
			}
			p.Release(c)
		}))
	}
	for i, w := range ws {
		<-w.done
		ls[0].PostWait(func() {
			if len(order) <= i || order[i] != i {
				t.Errorf("the turns were %v", order)
			}
		})
	}
}

// TestQueueOrder compares the queue with a list in the order of asking, in which the connection's own
// loop goes ahead within its patience.
func TestQueueOrder(t *testing.T) {
	g, err := reactor.NewGroup(3, reactor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ls := g.Loops()
	p := newPool(Key{}, ls, newBooks(ls[0]))
	r := rand.New(rand.NewPCG(5, 6))
	var model []*Waiter
	now := int64(0)
	for range 20000 {
		switch k := r.IntN(5); {
		case k < 2:
			now += r.Int64N(int64(patience))
			w := &Waiter{loop: ls[r.IntN(len(ls))], since: now}
			p.push(w)
			model = append(model, w)
		case k == 2 && len(model) > 0:
			i := r.IntN(len(model))
			p.remove(model[i])
			model = append(model[:i], model[i+1:]...)
		case k > 2:
			l := ls[r.IntN(len(ls))]
			next := -1
			for i, w := range model {
				if next < 0 || w.loop == l && w.since-model[0].since <= int64(patience) {
					next = i
					if w.loop == l {
						break
					}
				}
			}
			got := p.pop(l)
			if next < 0 {
				if got != nil {
					t.Fatal("somebody comes out of an empty queue")
				}
				continue
			}
			if got != model[next] || got.queued || !got.coming {
				t.Fatalf("somebody who asked at %d comes out, want %d", got.since, model[next].since)
			}
			model = append(model[:next], model[next+1:]...)
		}
		if _, waiting := p.Total(); waiting != len(model) {
			t.Fatalf("%d wait, want %d", waiting, len(model))
		}
	}
}

// lend lends a connection to somebody on a loop who does nothing with it.
func lend(t *testing.T, l *reactor.Loop, p *Pool) (c *backend.Conn) {
	t.Helper()
	<-begin(t, l, func(task *reactor.Task) {
		var err error
		if c, err = p.Acquire(task, &Waiter{}); err != nil {
			t.Error(err)
		}
	}).done
	return c
}

// TestTimeout waits too long: the wait ends with words, and the connection goes to the next.
func TestTimeout(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	reg, at := NewRegistry(ls), target(t, srv.Addr())
	p := reg.Get(Alias{}, at, &Profile{Max: 1, Acquire: 20 * time.Second})
	c := lend(t, ls[0], p)
	reg.Get(Alias{}, at, &Profile{Max: 1, Acquire: 50 * time.Millisecond})
	<-begin(t, ls[0], func(task *reactor.Task) {
		if _, err := p.Acquire(task, &Waiter{}); !isError(err, pgerr.QueueTimeout) {
			t.Errorf("%v, want a queue timeout", err)
		}
		if task.Expired() {
			t.Error("the deadline of the wait is left")
		}
	}).done
	ls[0].PostWait(func() { p.Release(c) })
	<-begin(t, ls[0], func(task *reactor.Task) {
		got := p.TryAcquire(task)
		if got != c {
			t.Error("the connection is not there for the next")
			return
		}
		p.Release(got)
	}).done
}

// TestUnreachable tells all who wait why no server can be reached, soon.
func TestUnreachable(t *testing.T) {
	ls := loops(t, 2)
	heard := make(chan error, 100)
	reg := NewRegistry(ls)
	reg.Failed = func(_ *Pool, err error) { heard <- err }
	nowhere := net.JoinHostPort("127.0.0.1", strconv.Itoa(freeport.For(t)))
	p := reg.Get(Alias{}, target(t, nowhere), &Profile{Max: 3, Acquire: 20 * time.Second})
	var ws []*walker
	for i := range 6 {
		ws = append(ws, begin(t, ls[i%2], func(task *reactor.Task) {
			if _, err := p.Acquire(task, &Waiter{}); !isError(err, pgerr.ServerUnreachable) {
				t.Errorf("%v, want unreachable", err)
			}
		}))
	}
	for _, w := range ws {
		<-w.done
	}
	if err := <-heard; !isError(err, pgerr.ServerUnreachable) {
		t.Errorf("the owner heard %v", err)
	}
	eventually(t, "nothing is left", func() bool { conns, waiting := p.Total(); return conns == 0 && waiting == 0 })
}

// TestPlaceIsFreeWhenClosed says goodbye to a connection that the server does not close: nobody gets its place.
func TestPlaceIsFreeWhenClosed(t *testing.T) {
	bye := make(chan struct{})
	ls, srv := loops(t, 1), serve(t, bye)
	closes := sync.OnceFunc(func() { close(bye) })
	t.Cleanup(closes) // the scripts end in any case
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Acquire: 20 * time.Second})
	<-begin(t, ls[0], func(task *reactor.Task) {
		if c, err := p.Acquire(task, &Waiter{}); err == nil {
			c.Retire()
		}
	}).done
	next := begin(t, ls[0], func(task *reactor.Task) {
		if _, err := p.Acquire(task, &Waiter{}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "somebody waits", func() bool { _, waiting := p.Total(); return waiting == 1 })
	ls[0].PostWait(func() {})
	if n := srv.born.Load(); n != 1 {
		t.Errorf("%d connections were opened before the first was closed", n)
	}
	closes()
	<-next.done
	if n := srv.most.Load(); n != 1 {
		t.Errorf("%d connections at once", n)
	}
}

// TestIdle closes what nobody has used for long.
func TestIdle(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 2, Idle: 5 * time.Millisecond})
	<-begin(t, ls[0], func(task *reactor.Task) {
		if c, err := p.Acquire(task, &Waiter{}); err == nil {
			p.Release(c)
		}
	}).done
	eventually(t, "the connection is closed", func() bool { conns, _ := p.Total(); return conns == 0 && srv.open.Load() == 0 })
}

// TestInTurn lends the connection that was used last, or the one that was not used for longest.
func TestInTurn(t *testing.T) {
	for inTurn, want := range map[bool]string{false: "3 3 3 3", true: "1 2 3 1"} {
		ls, srv := loops(t, 1), serve(t, nil)
		p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 3, Opening: 1, InTurn: inTurn})
		var lent []string
		<-begin(t, ls[0], func(task *reactor.Task) {
			var cs []*backend.Conn
			for range 3 {
				c, err := p.Acquire(task, &Waiter{})
				if err != nil {
					t.Error(err)
					return
				}
				cs = append(cs, c)
			}
			for _, c := range cs {
				p.Release(c)
			}
			for range 4 {
				c := p.TryAcquire(task)
				lent = append(lent, fmt.Sprint(c.PID))
				p.Release(c)
			}
			for p.TryAcquire(task) != nil {
			}
		}).done
		if got := strings.Join(lent, " "); got != want {
			t.Errorf("in turn %v: %s, want %s", inTurn, got, want)
		}
	}
}

// TestGone closes the connections of a pool that is removed, and of one whose server is another now, when they are free.
func TestGone(t *testing.T) {
	for name, change := range map[string]func(*Registry, *Pool, *backend.Target){
		"removed": func(r *Registry, _ *Pool, _ *backend.Target) {
			r.Reconfigure(func(Alias) (*backend.Target, *Profile, bool) { return nil, nil, false })
		},
		"another server": func(r *Registry, p *Pool, to *backend.Target) {
			other := &backend.Target{Node: to.Node, Database: to.Database, User: to.User, Host: "127.0.0.2", Port: to.Port, Secret: to.Secret}
			if r.Get(Alias{}, other, p.Profile()) != p {
				t.Error("a pool is not found by its key")
			}
		},
		"fewer": func(r *Registry, p *Pool, to *backend.Target) { r.Get(Alias{}, to, &Profile{Max: 0}) },
	} {
		ls, srv := loops(t, 1), serve(t, nil)
		reg, to := NewRegistry(ls), target(t, srv.Addr())
		p := reg.Get(Alias{}, to, &Profile{Max: 2})
		var c *backend.Conn
		<-begin(t, ls[0], func(task *reactor.Task) { c, _ = p.Acquire(task, &Waiter{}) }).done
		change(reg, p, to)
		ls[0].PostWait(func() {})
		if n, _ := p.Total(); n != 1 {
			t.Errorf("%s: a leased connection is closed", name)
		}
		ls[0].PostWait(func() { p.Release(c) })
		eventually(t, name+": the connection is closed", func() bool { n, _ := p.Total(); return n == 0 })
	}
}

// TestLearnt remembers what a server has accepted until it is another server, and not without bound.
func TestLearnt(t *testing.T) {
	var k Learnt
	k.init()
	k.Report(setOf("a", 1), Report{})
	if _, ok := k.Reported(setOf("a", 1)); !ok || !k.Accepted(setOf("", 0)) || k.Accepted(setOf("a", 1)) {
		t.Error("what was learnt is not what was told")
	}
	for i := range 3 * learntLimit {
		k.Accept(setOf("a", i))
		k.Report(setOf("a", i), Report{})
	}
	if len(k.accepted) > learntLimit || len(k.reported) > learntLimit || !k.Accepted(setOf("a", 3*learntLimit-1)) {
		t.Errorf("%d accepted, %d reported, at most %d", len(k.accepted), len(k.reported), learntLimit)
	}
	k.Forget()
	if k.Accepted(setOf("a", 3*learntLimit-1)) {
		t.Error("something is remembered of another server")
	}
	for version, want := range map[string]bool{"": false, "what": false, "9.6.24": true, "15.18 (Debian 15.18-0+deb12u1)": true, "17beta1": true, "18": false, "18.1": false, "19devel": false} {
		if k.first = nil; version != "" {
			k.Compare([]settings.Pair{{Name: "TimeZone", Value: "1"}, {Name: "server_version", Value: version}})
		}
		if k.Before(18) != want {
			t.Errorf("server_version %q is before 18: %v", version, !want)
		}
	}
}
