package pool

import (
	"errors"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgscript"
)

// pair is two loops that the test steps itself, and a pool whose one connection is idle on the first.
type pair struct {
	t    testing.TB
	a, b *reactor.Loop
	pool *Pool
	srv  *server
	conn *pgscript.Conn // the server's side of the connection
}

func newPair(t testing.TB) *pair {
	g, err := reactor.NewGroup(2, reactor.Options{Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{t: t, a: g.Loops()[0], b: g.Loops()[1], srv: serve(t, nil)}
	p.pool = NewRegistry(g.Loops()).Get(Alias{}, target(t, p.srv.Addr()), &Profile{Max: 1, Acquire: time.Minute})
	p.until("the first lease ends", begin(t, p.a, func(task *reactor.Task) {
		c, err := p.pool.Acquire(task, &Waiter{})
		if err != nil {
			t.Error(err)
			return
		}
		p.pool.Release(c)
	}))
	p.conn = <-p.srv.conns
	return p
}

// until steps both loops until w is done.
func (p *pair) until(what string, w *walker) {
	p.t.Helper()
	p.while(what, func() bool {
		select {
		case <-w.done:
			return false
		default:
			return true
		}
	})
}

func (p *pair) while(what string, busy func() bool) {
	p.t.Helper()
	for end := time.Now().Add(10 * time.Second); busy(); {
		if time.Now().After(end) {
			p.t.Fatalf("not in time: %s", what)
		}
		p.a.Step()
		p.b.Step()
	}
}

// TestMoveWhileWoken has a server say something to a connection in the moment in which it goes to another
// loop: the connection's own task, which that has woken, must not run on the loop that it has left.
func TestMoveWhileWoken(t *testing.T) {
	p := newPair(t)
	if err := p.conn.Send(pgscript.ParameterStatus("TimeZone", "UTC")); err != nil {
		t.Fatal(err)
	}
	var got *backend.Conn
	w := begin(t, p.b, func(task *reactor.Task) {
		var err error
		if got, err = p.pool.Acquire(task, &Waiter{}); err != nil {
			t.Error(err)
			return
		}
		if refused, err := got.Exchange(task, "SELECT 1", nil); err != nil || refused != nil {
			t.Error(err, refused)
		}
		p.pool.Release(got)
	})
	p.b.Step() // waits, and lets the other loop look
	p.until("the lease on the other loop ends", w)
	if got.Loop() != p.b || got.Param("TimeZone") != "UTC" || p.srv.born.Load() != 1 {
		t.Errorf("the connection is on loop %d and knows %q; %d were opened", got.Loop().ID, got.Param("TimeZone"), p.srv.born.Load())
	}
}

// TestArrivesForNobody takes a connection to a loop where nobody waits for it any more: it is idle there, and
// its end is noticed there.
func TestArrivesForNobody(t *testing.T) {
	p := newPair(t)
	left := errors.New("left")
	w := begin(t, p.b, func(task *reactor.Task) {
		if c, err := p.pool.Acquire(task, &Waiter{}); err != left {
			t.Errorf("%v, %v; want %v", c, err, left)
		}
	})
	p.b.Step()
	begin(t, p.b, func(*reactor.Task) {
		p.a.Step() // grants the connection: it is on its way
		w.Kill(left)
	})
	p.b.Step()
	p.until("the waiter is gone", w)
	p.b.Step()
	if n := len(p.pool.locals[p.b.ID].idle); n != 1 {
		t.Fatalf("%d connections are idle where it went, want 1", n)
	}
	p.conn.Close()
	p.while("the end of the connection is noticed", func() bool { n, _ := p.pool.Total(); return n > 0 })
}
