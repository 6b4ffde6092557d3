package pool

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// TestLifetime closes connections that are old when they are free, never while they are lent, and each at another time.
func TestLifetime(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 2, Lifetime: 20 * time.Millisecond, Acquire: 10 * time.Second})
	var lent *backend.Conn
	<-begin(t, ls[0], func(task *reactor.Task) {
		lent, _ = p.Acquire(task, &Waiter{})
		if c, err := p.Acquire(task, &Waiter{}); err == nil {
			p.Release(c)
		}
	}).done
	eventually(t, "the one that is free is closed", func() bool { n, _ := p.Total(); return n == 1 })
	if s := states(p, ls); s["active"] != 1 {
		t.Errorf("the one that is lent is %v", s)
	}
	ls[0].PostWait(func() { p.Release(lent) })
	eventually(t, "both are closed", func() bool { n, _ := p.Total(); return n == 0 })

	p = NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Lifetime: 1, Acquire: time.Second})
	<-begin(t, ls[0], func(task *reactor.Task) { // opened for longer than it may live, it serves once
		c, err := p.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		p.Release(c)
	}).done

	f := &Profile{Lifetime: time.Hour}
	ends := map[int64]bool{}
	for pid := range uint32(100) {
		end := f.lives(&backend.Conn{PID: 4711 + pid})
		if end > int64(time.Hour) || end < int64(time.Hour-time.Hour/5) {
			t.Errorf("a connection lives for %s", time.Duration(end))
		}
		ends[end/int64(time.Minute)] = true
	}
	if len(ends) < 10 {
		t.Errorf("100 connections end in %d different minutes", len(ends))
	}
}

// TestMin keeps connections open: before anybody asks, when they are not used, and anew when the server has closed them.
func TestMin(t *testing.T) {
	ls, srv := loops(t, 2), serve(t, nil)
	reg := NewRegistry(ls)
	prof := &Profile{Max: 5, Min: 3, Idle: 5 * time.Millisecond, Retry: time.Millisecond, Acquire: 10 * time.Second}
	reg.Ready(Alias{}, target(t, srv.Addr()), prof)
	p := reg.Find(target(t, srv.Addr()))
	three := func() bool { return states(p, ls)["idle"] == 3 && p.Live() == 3 }
	eventually(t, "three are there", three)
	(<-srv.conns).Close()
	eventually(t, "another one is there", func() bool { return srv.born.Load() == 4 && three() })
	var held []*backend.Conn
	<-begin(t, ls[0], func(task *reactor.Task) {
		for range 5 {
			if c, err := p.Acquire(task, &Waiter{}); err == nil {
				held = append(held, c)
			}
		}
	}).done
	ls[0].PostWait(func() {
		for _, c := range held {
			p.Release(c)
		}
	})
	eventually(t, "three are left", three)
	if n := srv.born.Load(); n != 6 {
		t.Errorf("%d connections were opened", n)
	}
}

// TestReserve gives more connections to who has waited for long, and closes them when nobody waits.
func TestReserve(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Reserve: 1, ReserveAfter: 20 * time.Millisecond, Acquire: time.Second})
	var held []*backend.Conn
	<-begin(t, ls[0], func(task *reactor.Task) {
		for i := range 2 {
			began := task.Loop().Now()
			c, err := p.Acquire(task, &Waiter{})
			if err != nil {
				t.Error(err)
				return
			}
			held = append(held, c)
			if waited := time.Duration(task.Loop().Now() - began); i == 1 && waited < 20*time.Millisecond {
				t.Errorf("one of the reserve after %s", waited)
			}
		}
		if _, err := p.Acquire(task, &Waiter{}); !isError(err, pgerr.QueueTimeout) {
			t.Errorf("beyond the reserve: %v", err)
		}
	}).done
	ls[0].PostWait(func() {
		for _, c := range held {
			p.Release(c)
		}
	})
	eventually(t, "one is left", func() bool { n, _ := p.Total(); return n == 1 })
}

// TestRetry tries nothing for a while after a failure, tells those who come meanwhile why, and then serves who waits.
func TestRetry(t *testing.T) {
	ls := loops(t, 1)
	port := freeport.For(t)
	to := target(t, fmt.Sprintf("127.0.0.1:%d", port))
	var tries int
	reg := NewRegistry(ls)
	reg.Failed = func(*Pool, error) { tries++ }
	p := reg.Get(Alias{}, to, &Profile{Max: 3, Retry: time.Minute, Acquire: time.Minute})
	for range 3 {
		<-begin(t, ls[0], func(task *reactor.Task) {
			if _, err := p.Acquire(task, &Waiter{}); !isError(err, pgerr.ServerUnreachable) {
				t.Errorf("%v, want unreachable", err)
			}
		}).done
	}
	ls[0].PostWait(func() {
		if tries != 1 {
			t.Errorf("%d tries", tries)
		}
	})
	srv := serve(t, nil)
	p = reg.Get(Alias{}, target(t, srv.Addr()), p.Profile()) // another address is no failure
	<-begin(t, ls[0], func(task *reactor.Task) {
		c, err := p.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		p.Release(c)
	}).done
}

// full is a server that takes so many connections and no more.
func full(t *testing.T, most int32) *server {
	s := &server{conns: make(chan *pgscript.Conn, 1000)}
	s.Server = pgscript.Serve(t, func(c *pgscript.Conn) error {
		if s.open.Load() >= most {
			if _, err := c.ReceiveOpening(); err != nil {
				return err
			}
			return c.Send(pgscript.ErrorResponse("FATAL", "53300", "sorry, too many clients already"))
		}
		return s.script(c)
	})
	return s
}

// TestFullServer has a server that is full: who waits goes on waiting while there are connections to it, of whatever pool, and gets
// one when it can, or hears why not.
func TestFullServer(t *testing.T) {
	ls, srv := loops(t, 1), full(t, 1)
	reg := NewRegistry(ls)
	to := target(t, srv.Addr())
	other := *to
	other.Database = "e"
	prof := &Profile{Max: 2, Retry: 10 * time.Millisecond, Acquire: 10 * time.Second}
	p, q := reg.Get(Alias{}, to, prof), reg.Get(Alias{}, &other, prof)
	var c *backend.Conn
	<-begin(t, ls[0], func(task *reactor.Task) { c, _ = p.Acquire(task, &Waiter{}) }).done
	short := *prof
	short.Acquire = 50 * time.Millisecond
	q.profile.Store(&short)
	<-begin(t, ls[0], func(task *reactor.Task) {
		began := task.Loop().Now()
		_, err := q.Acquire(task, &Waiter{})
		if !isFull(err) || time.Duration(task.Loop().Now()-began) < 50*time.Millisecond {
			t.Errorf("after %s: %v", time.Duration(task.Loop().Now()-began), err)
		}
	}).done
	q.profile.Store(prof)
	waits := begin(t, ls[0], func(task *reactor.Task) {
		if _, err := q.Acquire(task, &Waiter{}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "it waits", func() bool { _, n := q.Total(); return n == 1 })
	ls[0].PostWait(func() { c.Retire() })
	<-waits.done
	<-begin(t, ls[0], func(task *reactor.Task) {
		p.profile.Store(&short)
		if _, err := p.Acquire(task, &Waiter{}); !isFull(err) {
			t.Errorf("when another pool has the last: %v", err)
		}
	}).done
}

// TestFullServerAlone tells those who wait at once where no connection lives for which they could wait.
func TestFullServerAlone(t *testing.T) {
	ls, srv := loops(t, 1), full(t, 0)
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Retry: time.Minute, Acquire: time.Minute})
	<-begin(t, ls[0], func(task *reactor.Task) {
		if _, err := p.Acquire(task, &Waiter{}); !isFull(err) {
			t.Error(err)
		}
	}).done
}

// TestOpening opens so many connections at once and no more.
func TestOpening(t *testing.T) {
	ls := loops(t, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // nobody answers there
	p := NewRegistry(ls).Get(Alias{}, target(t, ln.Addr().String()), &Profile{Max: 10, Opening: 2, Acquire: 20 * time.Millisecond})
	var ws []*walker
	for range 6 {
		ws = append(ws, begin(t, ls[0], func(task *reactor.Task) { _, _ = p.Acquire(task, &Waiter{}) }))
	}
	for _, w := range ws {
		<-w.done
	}
	if n, _ := p.Total(); n != 2 {
		t.Errorf("%d connections are opened at once", n)
	}
}
