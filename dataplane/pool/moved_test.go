package pool

import (
	"errors"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// nowhere is a configuration that leads to no pool.
func nowhere(Alias) (*backend.Target, *Profile, bool) { return nil, nil, false }

// TestMoved closes a pool: who waits there hears that it has moved, on whatever loop and for whatever connection, and so does who comes later.
// A place for another process is refused only when no connection is left.
func TestMoved(t *testing.T) {
	ls, srv := loops(t, 2), serve(t, nil)
	reg := NewRegistry(ls)
	p := reg.Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Acquire: time.Minute})
	held := lend(t, ls[0], p)
	waits := map[string]func(task *reactor.Task) error{
		"queue": func(task *reactor.Task) error { _, err := p.Acquire(task, &Waiter{}); return err },
		"own":   func(task *reactor.Task) error { _, err := p.Own(task, &Waiter{}, startup()); return err },
	}
	hears := func(when string, l *reactor.Loop, kind string) *walker {
		return begin(t, l, func(task *reactor.Task) {
			if err := waits[kind](task); !errors.Is(err, ErrMoved) {
				t.Errorf("%s, %s: %v", when, kind, err)
			}
		})
	}
	all := []*walker{hears("before", ls[0], "queue"), hears("before", ls[1], "queue"), hears("before", ls[0], "own"), hears("before", ls[1], "own")}
	placed := false
	place := begin(t, ls[1], func(task *reactor.Task) {
		if err := p.Place(task, &Waiter{}); !errors.Is(err, ErrMoved) {
			t.Errorf("a place: %v", err)
		}
		placed = true
	})
	eventually(t, "five wait", func() bool { _, waiting := p.Total(); return waiting == 5 })
	if p.Gone() {
		t.Error("it is closed")
	}
	reg.Reconfigure(nowhere)
	for _, w := range append(all, hears("after", ls[0], "queue"), hears("after", ls[1], "own")) {
		<-w.done
	}
	ls[1].PostWait(func() {
		if _, waiting := p.Total(); placed || waiting != 1 {
			t.Errorf("while a connection is lent: placed %v, %d wait", placed, waiting)
		}
	})
	ls[0].PostWait(func() { p.Release(held) })
	<-place.done
	if n, waiting := p.Total(); n != 0 || waiting != 0 || !p.Gone() {
		t.Errorf("%d connections, %d wait, closed %v", n, waiting, p.Gone())
	}
}

// TestMovedHeld tells those too who wait at a pool that opens no connections.
func TestMovedHeld(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	reg := NewRegistry(ls)
	p := reg.Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Acquire: time.Minute})
	p.Hold(true)
	w := begin(t, ls[0], func(task *reactor.Task) {
		if _, err := p.Acquire(task, &Waiter{}); !errors.Is(err, ErrMoved) {
			t.Error(err)
		}
	})
	eventually(t, "somebody waits", func() bool { _, waiting := p.Total(); return waiting == 1 })
	reg.Reconfigure(nowhere)
	<-w.done
}

// TestSince gives those who have waited elsewhere before the place and the time of those who asked then.
func TestSince(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	reg, at := NewRegistry(ls), target(t, srv.Addr())
	p := reg.Get(Alias{}, at, &Profile{Max: 1, Acquire: time.Minute, Notice: 20 * time.Second})
	held := lend(t, ls[0], p)
	var order []string
	told := func(int, int) { t.Error("it was told that it waits, a second time") }
	wait := func(name string, ago time.Duration) *walker {
		_, before := p.Total()
		w := begin(t, ls[0], func(task *reactor.Task) {
			w := &Waiter{}
			if ago > 0 {
				w.Since, w.Tell = task.Loop().Now()-int64(ago), told
			}
			c, err := p.Acquire(task, w)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			order = append(order, name)
			p.Release(c)
		})
		eventually(t, name+" waits", func() bool { _, n := p.Total(); return n == before+1 })
		return w
	}
	all := []*walker{wait("c", 0), wait("b", 30*time.Second), wait("d", 0), wait("a", 40*time.Second)}
	<-begin(t, ls[0], func(task *reactor.Task) {
		_, err := p.Acquire(task, &Waiter{Since: task.Loop().Now() - int64(time.Hour)})
		if !isError(err, pgerr.QueueTimeout) {
			t.Errorf("whose time is over: %v", err)
		}
	}).done
	ls[0].PostWait(func() { p.Release(held) })
	for _, w := range all {
		<-w.done
	}
	if got := order[0] + order[1] + order[2] + order[3]; got != "abcd" {
		t.Errorf("served in the order %s", got)
	}
	// The same of those who want a connection of their own.
	held = lend(t, ls[0], p)
	order = nil
	own := func(name string, ago time.Duration) *walker {
		_, before := p.Total()
		w := begin(t, ls[0], func(task *reactor.Task) {
			w := &Waiter{}
			if ago > 0 {
				w.Since = task.Loop().Now() - int64(ago)
			}
			c, err := p.Own(task, w, startup())
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			order = append(order, name)
			c.Dismiss(false, false)
		})
		eventually(t, name+" waits", func() bool { _, n := p.Total(); return n == before+1 })
		return w
	}
	all = []*walker{own("b", 0), own("a", 40*time.Second)}
	ls[0].PostWait(func() { p.Release(held) })
	for _, w := range all {
		<-w.done
	}
	if order[0] != "a" {
		t.Errorf("served in the order %v", order)
	}
}
