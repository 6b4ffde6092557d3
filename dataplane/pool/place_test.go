package pool

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
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
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Acquire: 5 * time.Millisecond})
	var held *backend.Conn
	<-begin(t, ls[0], func(task *reactor.Task) { held, _ = p.Acquire(task, &Waiter{}) }).done
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
	<-begin(t, ls[0], walk).done
	if asked, returned := r.counts(); asked != 0 || returned != 3 {
		t.Errorf("%d asked, %d returned behind the end", asked, returned)
	}
}
