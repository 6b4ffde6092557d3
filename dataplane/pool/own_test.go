package pool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/freeport"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

func startup() []pgwire.Parameter { return []pgwire.Parameter{{Name: "replication", Value: "true"}} }

// TestOwnHammer is TestHammer with tasks among the others that want a connection of their own: there are never too many,
// nobody waits for ever, and one that was somebody's own is nobody else's.
func TestOwnHammer(t *testing.T) {
	const limit, tasks, rounds = 3, 24, 30
	ls, srv := loops(t, 2), serve(t, nil)
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: limit, Acquire: 60 * time.Second})
	var mu sync.Mutex
	owned, busy := map[*backend.Conn]bool{}, map[*backend.Conn]bool{}
	take := func(c *backend.Conn, own bool) {
		mu.Lock()
		defer mu.Unlock()
		if busy[c] || owned[c] {
			t.Errorf("connection %d is leased twice, or somebody's own", c.PID)
		}
		busy[c], owned[c] = true, own
		if own != (c.Target.Startup != nil) {
			t.Errorf("connection %d is of the wrong kind", c.PID)
		}
	}
	left := errors.New("left")
	var ws []*walker
	for i := range tasks {
		r := rand.New(rand.NewPCG(2, uint64(i)))
		ws = append(ws, begin(t, ls[i%2], func(task *reactor.Task) {
			var w Waiter
			for range rounds {
				if w.Alive = nil; r.IntN(4) == 0 {
					w.Alive = func() error { return left }
					task.Loop().Post(task.Wake)
				}
				own := r.IntN(3) == 0
				var c *backend.Conn
				var err error
				if own {
					c, err = p.Own(task, &w, startup())
				} else if c = p.TryAcquire(task); c == nil {
					c, err = p.Acquire(task, &w)
				}
				if err != nil {
					if err != left {
						t.Error(err)
					}
					continue
				}
				take(c, own)
				if refused, err := c.Exchange(task, "SELECT 1", nil); err != nil || refused != nil {
					t.Error(err, refused)
				}
				mu.Lock()
				busy[c] = false
				mu.Unlock()
				if own {
					c.Dismiss(false, false)
				} else {
					p.Release(c)
				}
			}
		}))
	}
	for _, w := range ws {
		<-w.done
	}
	eventually(t, "all connections that are left are idle", func() bool {
		conns, waiting := p.Total()
		return waiting == 0 && p.Live() == conns && states(p, ls)["idle"] == conns
	})
	if n := srv.most.Load(); n > limit {
		t.Errorf("%d connections at once, at most %d are allowed", n, limit)
	}
}

// TestOwnOvertaken has somebody for whom a connection is being closed, and one who is before him and comes only now, as his loop was
// busy: the second connection that becomes free is closed, too.
func TestOwnOvertaken(t *testing.T) {
	bye := make(chan struct{})
	ls, srv := loops(t, 2), serve(t, bye)
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Acquire: 8 * time.Second})
	held := lend(t, ls[0], p)
	busy, free := make(chan struct{}), make(chan struct{})
	before := begin(t, ls[1], func(task *reactor.Task) {
		close(busy)
		<-free // the loop's time stands
		c, err := p.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		p.Release(c)
	})
	<-busy
	own := begin(t, ls[0], func(task *reactor.Task) {
		c, err := p.Own(task, &Waiter{}, startup())
		if err != nil {
			t.Error(err)
			return
		}
		c.Dismiss(false, false)
	})
	eventually(t, "he waits", func() bool { _, waiting := p.Total(); return waiting == 1 })
	ls[0].PostWait(func() { p.Release(held) })
	close(free)
	eventually(t, "both wait", func() bool { _, waiting := p.Total(); return waiting == 2 })
	close(bye)
	<-before.done
	<-own.done
}

// TestOwnTurn has a full pool, and who asks for a connection of his own before another one asks for any: he is first.
func TestOwnTurn(t *testing.T) {
	ls, srv := loops(t, 1), serve(t, nil)
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Acquire: 60 * time.Second})
	holding, asked := make(chan struct{}), make(chan struct{})
	var order []string
	holder := begin(t, ls[0], func(task *reactor.Task) {
		c, err := p.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		close(holding)
		for {
			if _, n := p.Total(); n == 2 {
				break
			}
			task.Loop().Post(task.Wake)
			if err := task.Park(); err != nil {
				t.Error(err)
			}
		}
		p.Release(c)
	})
	<-holding
	own := begin(t, ls[0], func(task *reactor.Task) {
		close(asked)
		c, err := p.Own(task, &Waiter{}, startup())
		if err != nil {
			t.Error(err)
			return
		}
		order = append(order, "own")
		p.Release(c) // closes it
	})
	<-asked
	any := begin(t, ls[0], func(task *reactor.Task) {
		c, err := p.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		order = append(order, "any")
		p.Release(c)
	})
	<-holder.done
	<-own.done
	<-any.done
	if len(order) != 2 || order[0] != "own" {
		t.Errorf("served in the order %q", order)
	}
	if n := srv.born.Load(); n != 3 {
		t.Errorf("%d connections were opened, want 3: one, his own, and another one", n)
	}
}

// TestOwnFails has a server that refuses whoever wants replication, and then none: only who asked hears of it.
func TestOwnFails(t *testing.T) {
	ls := loops(t, 1)
	srv := pgscript.Serve(t, func(c *pgscript.Conn) error {
		if _, err := c.ReceiveOpening(); err != nil {
			return err
		}
		return c.Send(pgscript.ErrorResponse("FATAL", "42501", "no replication for you"))
	})
	p := NewRegistry(ls).Get(Alias{}, target(t, srv.Addr()), &Profile{Max: 1, Acquire: 60 * time.Second})
	ask := func() (err error) {
		w := begin(t, ls[0], func(task *reactor.Task) { _, err = p.Own(task, &Waiter{}, startup()) })
		<-w.done
		return err
	}
	var se *pgwire.ServerError
	for range 3 {
		if err := ask(); !errors.As(err, &se) || se.SQLState != "42501" {
			t.Errorf("refused with %v", err)
		}
	}
	p.tell(target(t, fmt.Sprintf("127.0.0.1:%d", freeport.For(t))), p.Profile())
	if err := ask(); !isError(err, pgerr.ServerUnreachable) {
		t.Errorf("without a server: %v", err)
	}
	if n, _ := p.Total(); n != 0 || p.lastErr != nil {
		t.Errorf("%d connections are counted, %v is remembered", n, p.lastErr)
	}
}
