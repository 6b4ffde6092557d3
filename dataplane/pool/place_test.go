package pool

import (
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestPlace counts connections that another process opens as the pool's own: a free one is closed for it, and who waits gets the place
// that is given back.
func TestPlace(t *testing.T) {
	ls, srv := loops(t, 2), serve(t, nil)
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Acquire: 10 * time.Second})
	<-begin(t, ls[0], func(task *reactor.Task) {
		c, err := p.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		p.Release(c)
	}).done
	<-begin(t, ls[1], func(task *reactor.Task) {
		if err := p.Place(task, &Waiter{}); err != nil {
			t.Error(err)
		}
	}).done
	eventually(t, "the free connection is closed", func() bool { return srv.open.Load() == 0 })
	if n, _ := p.Total(); n != 1 {
		t.Errorf("%d places are taken", n)
	}
	got := begin(t, ls[0], func(task *reactor.Task) {
		if _, err := p.Acquire(task, &Waiter{}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "somebody waits", func() bool { _, waiting := p.Total(); return waiting == 1 })
	ls[1].PostWait(func() { p.Vacate(ls[1]) })
	<-got.done
	if most := srv.most.Load(); most != 1 {
		t.Errorf("%d connections at once", most)
	}
}

// TestPlaceGivenUp gives a place back that came for somebody who has gone.
func TestPlaceGivenUp(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	reg, at := NewRegistry(ls), target(t, srv.Addr())
	p := reg.Get(Alias{}, at, &Profile{Max: 1, Acquire: 20 * time.Second})
	held := lend(t, ls[0], p)
	reg.Get(Alias{}, at, &Profile{Max: 1, Acquire: 5 * time.Millisecond})
	<-begin(t, ls[0], func(task *reactor.Task) {
		if p.Place(task, &Waiter{}) == nil {
			t.Error("there are two places")
		}
	}).done
	ls[0].PostWait(func() { p.Release(held) })
	eventually(t, "the connection is free", func() bool { return states(p, ls)["idle"] == 1 })
}

// ration has so many places, which it grants when it is told to.
type ration struct {
	mu       sync.Mutex
	asked    []func()
	returned int
}

func (r *ration) Ask(_ Key, granted func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, granted)
}

func (r *ration) Return(Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.returned++
}

func (r *ration) counts() (asked, returned int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked), r.returned
}

func (r *ration) grant() {
	r.mu.Lock()
	all := r.asked
	r.asked = nil
	r.mu.Unlock()
	for _, granted := range slices.Backward(all) {
		granted()
	}
}

// TestRation opens no connection before there is a place for it, gives the place back with it, and waits for none when all are there.
func TestRation(t *testing.T) {
	ls, srv := loops(t, 2), serve(t, nil)
	reg, r := NewRegistry(ls), &ration{}
	reg.Ration(r)
	p := reg.Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 3, Lifetime: 1, Acquire: 10 * time.Second})
	walk := func(task *reactor.Task) {
		c, err := p.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		p.Release(c)
	}
	a, b := begin(t, ls[0], walk), begin(t, ls[1], walk)
	own := begin(t, ls[1], func(task *reactor.Task) {
		c, err := p.Own(task, &Waiter{}, []pgwire.Parameter{})
		if err != nil {
			t.Error(err)
			return
		}
		p.Release(c)
	})
	eventually(t, "three are asked for", func() bool { n, _ := r.counts(); return n == 3 })
	if n := srv.born.Load(); n != 0 {
		t.Errorf("%d connections without a place", n)
	}
	r.grant()
	<-a.done
	<-b.done
	<-own.done
	eventually(t, "all places are given back", func() bool { _, n := r.counts(); return n == 3 })
	reg.Ration(nil)
	r.grant() // whoever has asked meanwhile, as one connection was too old before it had served anybody, has its place now
	<-begin(t, ls[0], walk).done
	if asked, returned := r.counts(); asked != 0 || returned != 3 {
		t.Errorf("%d asked, %d returned behind the end", asked, returned)
	}
}

// TestGiven gives a connection to another process that has a pool of its own, with its place: there it is closed like any other, and only
// then the place is free here.
func TestGiven(t *testing.T) {
	bye := make(chan struct{}, 3)
	for range cap(bye) { // the server closes three at once
		bye <- struct{}{}
	}
	srv := serve(t, bye)
	g, err := reactor.NewGroup(1, reactor.Options{Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	t.Cleanup(g.Stop)
	l := g.Loops()[0]
	at, prof := target(t, srv.Addr()), &Profile{Max: 1, Acquire: 10 * time.Second, Limits: Limits{Node: 1}}
	old := NewRegistry(g.Loops()).Get(Alias{}, at, prof)
	reg, r := NewRegistry(g.Loops()), &ration{}
	reg.Ration(r)
	young := reg.Get(Alias{}, at, prof)
	hand := func(c *backend.Conn) (fd int, to *heliosv1.CarriedServer) {
		to = &heliosv1.CarriedServer{Pool: old.Message()}
		l.PostWait(func() {
			if !c.Gives() {
				t.Error("the connection cannot be given")
			}
			c.Hand(to)
			fd, err = syscall.Dup(c.EP.Descriptor())
		})
		if err != nil {
			t.Fatal(err)
		}
		return fd, to
	}
	take := func(fd int, f func(*reactor.Endpoint)) {
		done := make(chan struct{})
		g.Take([]int{fd}, func(eps []*reactor.Endpoint) {
			defer close(done)
			f(eps[0])
		}, func(err error) { t.Error(err) })
		<-done
	}

	c := lend(t, l, old)
	fd, to := hand(c) // and it comes back
	syscall.Close(fd)
	<-begin(t, l, func(task *reactor.Task) {
		if err := c.Keep(task); err != nil {
			t.Error(err)
		}
		if refused, err := c.Exchange(task, "SELECT 1", nil); refused != nil || err != nil {
			t.Errorf("a connection that came back: %v, %v", refused, err)
		}
	}).done

	fd, to = hand(c)
	var has *backend.Conn
	take(fd, func(ep *reactor.Endpoint) { has = young.Inherit(ep, nil, to) })
	l.PostWait(func() { old.Give(c) })
	here, _ := old.Total()
	if there, _ := young.Total(); here != 1 || there != 1 || has.Target != at || has.PID != c.PID {
		t.Errorf("%d here, %d there, of process %d, to %v", here, there, has.PID, has.Target)
	}
	waits := begin(t, l, func(task *reactor.Task) {
		c, err := old.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		old.Release(c)
	})
	eventually(t, "somebody waits for the place", func() bool { _, n := old.Total(); return n == 1 })
	<-begin(t, l, func(task *reactor.Task) {
		has.EP.Attach(task)
		if refused, err := has.Exchange(task, "SELECT 1", nil); refused != nil || err != nil {
			t.Errorf("in the other process: %v, %v", refused, err)
		}
	}).done
	l.PostWait(func() { has.Retire() })
	eventually(t, "the place is given back", func() bool { _, n := r.counts(); return n == 1 })
	l.PostWait(func() { old.Vacate(l) })
	<-waits.done

	// What leads to a server that is none of the pool's is closed as soon as it is free, and what no pool can have at once.
	c = lend(t, l, old)
	fd, to = hand(c)
	to.Port++
	take(fd, func(ep *reactor.Endpoint) {
		has = young.Inherit(ep, nil, to)
		young.Release(has)
	})
	eventually(t, "a connection to another server is closed", func() bool { _, n := r.counts(); return n == 2 })
	l.PostWait(func() {
		old.Give(c)
		old.Vacate(l)
	})
	link, err := (&tlsconf.Files{}).LoadClient(tlsconf.ClientSpec{Spec: tlsconf.Spec{Mode: tlsconf.Require}})
	if err != nil {
		t.Fatal(err)
	}
	secure := *at
	secure.TLS = link
	c = lend(t, l, old)
	fd, to = hand(c)
	take(fd, func(ep *reactor.Endpoint) {
		insisting := reg.Get(Alias{}, &secure, prof)
		has = insisting.Inherit(ep, nil, to)
		insisting.Release(has)
	})
	eventually(t, "a connection in the clear is closed where they have to be encrypted", func() bool { _, n := r.counts(); return n == 3 })
	l.PostWait(func() {
		old.Give(c)
		old.Vacate(l)
	})
	fd, to = hand(lend(t, l, old))
	take(fd, func(ep *reactor.Endpoint) { reg.Refuse(ep, to) })
	if _, n := r.counts(); n != 3 {
		t.Error("the place of a connection that nobody can have is given back before the server has closed it")
	}
	close(bye)
	eventually(t, "the place of a connection that nobody can have is given back", func() bool { _, n := r.counts(); return n == 4 })
}

// TestRecall asks a place back when somebody has waited for it, gives no more of them away meanwhile than it has itself, and gives one back
// in the other process as soon as a connection is free.
func TestRecall(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	l, at := ls[0], target(t, srv.Addr())
	reg := NewRegistry(ls)
	old := reg.Get(Alias{}, at, &Profile{Max: 2, Acquire: time.Minute})
	asked := make(chan Key, 100)
	reg.Lend(func(k Key) { asked <- k })
	place := func() *walker {
		return begin(t, l, func(task *reactor.Task) {
			if err := old.Place(task, &Waiter{}); err != nil {
				t.Error(err)
			}
		})
	}
	first := place()
	<-first.done
	held := lend(t, l, old)
	waits := begin(t, l, func(task *reactor.Task) {
		c, err := old.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		old.Release(c)
	})
	eventually(t, "somebody waits", func() bool { _, n := old.Total(); return n == 1 })
	second := place()
	eventually(t, "another process wants more", func() bool { _, n := old.Total(); return n == 2 })
	l.PostWait(func() { old.Release(held) }) // the next is who waits, who gives it back, and then there is nobody
	<-waits.done
	<-second.done
	if n := len(asked); n != 0 {
		t.Errorf("%d places were asked back by who has as many", n)
	}

	waits = begin(t, l, func(task *reactor.Task) {
		if _, err := old.Acquire(task, &Waiter{}); err != nil {
			t.Error(err)
		}
	})
	if k := <-asked; k != old.Key {
		t.Errorf("a place of %v is asked back", k)
	}
	third := place()
	eventually(t, "another process wants more", func() bool { _, n := old.Total(); return n == 2 })
	l.PostWait(func() { old.Vacate(l) })
	<-waits.done
	if most := srv.most.Load(); most != 1 {
		t.Errorf("%d connections at once", most)
	}
	reg.Lend(nil)
	l.PostWait(func() { old.Vacate(l) })
	<-third.done

	r := &ration{}
	young := NewRegistry(ls)
	young.Owe(old.Key) // of a pool that it does not have
	has := young.Get(Alias{}, at, &Profile{Max: 2, Acquire: time.Minute})
	c := lend(t, l, has)
	young.Ration(r)
	young.Owe(old.Key)
	young.Owe(old.Key) // once is enough
	l.PostWait(func() {})
	if _, n := r.counts(); n != 0 {
		t.Error("a connection that somebody has is closed")
	}
	l.PostWait(func() { has.Release(c) })
	eventually(t, "the place is given back", func() bool { _, n := r.counts(); return n == 1 })
	young.Ration(nil)
	again := lend(t, l, has)
	l.PostWait(func() { has.Release(again) })
	if states(has, ls)["idle"] != 1 {
		t.Error("it goes on giving back")
	}
}
