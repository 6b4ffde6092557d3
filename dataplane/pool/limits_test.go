package pool

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// hall is pools of a node whose connections the test counts itself; there are none. Nothing runs on its loop.
type hall struct {
	books *books
	pools []*Pool
	now   int64
}

func newHall(t testing.TB, to Limits, names ...[2]string) *hall {
	g, err := reactor.NewGroup(1, reactor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &hall{books: newBooks(g.Loops()[0]), now: int64(time.Hour)}
	for _, n := range names {
		p := newPool(Key{"n", n[0], n[1]}, g.Loops(), h.books)
		h.books.bound(p, to)
		h.pools = append(h.pools, p)
	}
	return h
}

func (h *hall) tick(d time.Duration) { h.now += int64(d) }

// take has p ask for a connection, and says whether it got one.
func (h *hall) take(p *Pool, since int64) bool { return h.books.take(p, h.now, since) }

// frees has a connection of p become free: it is closed if it is owed.
func (h *hall) frees(p *Pool) (closed bool) {
	if p.owed.Load() == 0 || !h.books.pay(p) {
		return false
	}
	h.books.give(p, h.now)
	return true
}

func (h *hall) held() (all []int) {
	for _, p := range h.pools {
		all = append(all, p.account.held)
	}
	return all
}

// step has a connection of each pool become free while all of want ask for more.
func (h *hall) step(want ...*Pool) {
	h.tick(20 * time.Millisecond)
	for _, p := range want {
		h.take(p, h.now-int64(time.Second))
	}
	h.books.press(h.now)
	for _, p := range h.pools {
		h.frees(p)
		for q := h.books.next(); q != nil; q = h.books.next() {
			if !h.take(q, h.now-int64(time.Second)) {
				break
			}
		}
	}
}

// run makes many steps and returns how many each has in the end.
func (h *hall) run(want ...*Pool) []int {
	for range 200 {
		h.step(want...)
	}
	return h.held()
}

// TestShares has pools want more than there is, all of which one has: in the end each has its share, or what it wants of it.
func TestShares(t *testing.T) {
	h := newHall(t, Limits{Node: 12}, [2]string{"a", "u"}, [2]string{"b", "u"}, [2]string{"c", "u"})
	a, b, c := h.pools[0], h.pools[1], h.pools[2]
	for h.take(a, h.now) {
	}
	if got := fmt.Sprint(h.held()); got != "[12 0 0]" {
		t.Fatalf("alone: %s", got)
	}
	if got := fmt.Sprint(h.run(a, b)); got != "[6 6 0]" && got != "[7 5 0]" {
		t.Errorf("two want all: %s", got)
	}
	if got := h.run(a, b, c); got[0] > 5 || got[1] > 5 || got[2] < 3 {
		t.Errorf("three want all: %v", got)
	}
}

// TestTurnsOfOne has more pools than places, and all want one: each gets its turn.
func TestTurnsOfOne(t *testing.T) {
	h := newHall(t, Limits{Node: 2}, [2]string{"a", "u"}, [2]string{"b", "u"}, [2]string{"c", "u"}, [2]string{"d", "u"}, [2]string{"e", "u"})
	had := map[int]int{}
	for range 1000 {
		h.step(h.pools...)
		for i, n := range h.held() {
			had[i] += n
		}
	}
	for i := range h.pools {
		if had[i] < 300 || had[i] > 500 {
			t.Errorf("of 1000 times pool %d has a place %d times", i, had[i])
		}
	}
}

// TestNarrower has a pool that its own limit holds back: it keeps no place from others that it could not use.
func TestNarrower(t *testing.T) {
	h := newHall(t, Limits{Node: 10, User: 4}, [2]string{"a", "u"}, [2]string{"b", "u"}, [2]string{"c", "v"})
	a, b, c := h.pools[0], h.pools[1], h.pools[2]
	got := h.run(a, b, c)
	if got[0]+got[1] != 4 || got[0] != 2 || got[2] != 4 {
		t.Errorf("with 4 for a user and 10 in all: %v", got)
	}
}

// TestFillYields has a pool fill up to its minimum where others wait: the place goes to them, even if they have more. It takes no place
// from anybody, and wants none.
func TestFillYields(t *testing.T) {
	const nobody = 0
	h := newHall(t, Limits{Node: 4, User: 3}, [2]string{"a", "u"}, [2]string{"b", "v"}, [2]string{"c", "w"})
	a, b, c := h.pools[0], h.pools[1], h.pools[2]
	for _, p := range []*Pool{a, a, b, b} {
		h.take(p, h.now)
	}
	if h.take(a, h.now) || h.take(c, nobody) {
		t.Fatal("the limit is passed")
	}
	h.books.give(b, h.now)
	h.books.give(b, h.now)
	if h.take(b, nobody) {
		t.Error("a pool that fills up has the place that another waits for")
	}
	if next := h.books.next(); next != a {
		t.Errorf("the next place is %v's", next)
	}
	if !h.take(a, h.now) || !h.take(b, nobody) {
		t.Errorf("nobody waits for the last place, and it is free: %v", h.held())
	}
	if h.take(a, h.now) { // which its user's limit holds back
		t.Error("a limit is passed")
	}
	h.books.give(b, h.now)
	if !h.take(b, nobody) {
		t.Error("a place is kept for a pool that could not use it")
	}
	if h.books.give(a, h.now); !h.take(c, h.now) || h.take(c, nobody) || c.account.wants || c.refused.Load() {
		t.Error("a pool whose clients wait no more wants a place")
	}
	h.take(c, h.now)
	if h.take(c, nobody); c.account.wants || c.refused.Load() {
		t.Error("a pool whose clients wait no more goes on wanting a place")
	}
}

// TestFewer lowers a limit: the pools that have the most give up what is too much.
func TestFewer(t *testing.T) {
	h := newHall(t, Limits{Node: 10}, [2]string{"a", "u"}, [2]string{"b", "u"})
	a, b := h.pools[0], h.pools[1]
	for range 7 {
		h.take(a, h.now)
	}
	for range 3 {
		h.take(b, h.now)
	}
	if !h.books.bound(a, Limits{Node: 6}) {
		t.Error("the limit is not passed")
	}
	for range 20 {
		h.books.press(h.now)
		h.frees(a)
		h.frees(b)
	}
	if got := fmt.Sprint(h.held()); got != "[3 3]" {
		t.Errorf("of 10 there are %s left, of 6", got)
	}
}

// TestAccounts plays any sequence of events: no limit is ever passed, and what is owed is what debts say.
func TestAccounts(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		to := Limits{Node: 7, Database: 4, User: 5}
		h := newHall(t, to, [2]string{"a", "u"}, [2]string{"a", "v"}, [2]string{"b", "u"}, [2]string{"b", "v"}, [2]string{"c", "w"})
		for range 3000 {
			p := h.pools[r.IntN(len(h.pools))]
			switch h.tick(time.Duration(r.IntN(int(30 * time.Millisecond)))); r.IntN(6) {
			case 0, 1:
				h.take(p, h.now-r.Int64N(int64(time.Second)))
			case 2:
				h.frees(p)
			case 3:
				h.books.press(h.now)
			case 4:
				if p.account.held > 0 {
					h.books.give(p, h.now)
				}
			case 5:
				h.books.withdraw(p)
			}
			owed := map[*Pool]int{}
			for _, d := range h.books.debts {
				if !d.paid {
					owed[d.from]++
				}
			}
			for kind, most := range []int{to.Node, to.Database, to.User} {
				for _, p := range h.pools {
					l, sum := p.account.limits[kind], 0
					for _, q := range l.pools {
						sum += q.account.held
					}
					if sum != l.used || sum > most {
						t.Fatalf("seed %d: %d connections, %d are counted, %d are allowed", seed, sum, l.used, most)
					}
				}
			}
			for _, p := range h.pools {
				if n := int(p.owed.Load()); n != owed[p] || n > p.account.held {
					t.Fatalf("seed %d: a pool of %d owes %d, by debts %d", seed, p.account.held, n, owed[p])
				}
			}
		}
	}
}

// TestLimitsHammer lets tasks of two loops and four pools lease what one limit allows: nobody waits for ever, and the server never has
// more connections than that.
func TestLimitsHammer(t *testing.T) {
	const limit, tasks, rounds = 3, 40, 20
	ls, srv := loops(t, 2), serve(t, nil)
	reg := NewRegistry(ls)
	var pools []*Pool
	for i := range 4 {
		to := *target(t, srv.Addr())
		to.Database = fmt.Sprint(i)
		pools = append(pools, reg.Get(Alias{}, &to, &Profile{Max: 2 + i, Acquire: 60 * time.Second, Limits: Limits{Node: limit}}))
	}
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
	var ws []*walker
	for i := range tasks {
		p := pools[i%4]
		ws = append(ws, begin(t, ls[i%2], func(task *reactor.Task) {
			var w Waiter
			for range rounds {
				c := p.TryAcquire(task)
				if c == nil {
					var err error
					if c, err = p.Acquire(task, &w); err != nil {
						t.Error(err)
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
	if n := srv.most.Load(); n > limit {
		t.Errorf("%d connections at once, %d are allowed", n, limit)
	}
	t.Logf("%d connections were opened", srv.born.Load())
	eventually(t, "nobody wants anything", func() bool {
		reg.books.mu.Lock()
		defer reg.books.mu.Unlock()
		return len(reg.books.wanting) == 0 && len(reg.books.debts) == 0
	})
}

// TestOwnAtLimit has a limit reached by a connection that is free, of the same pool and of another one: it is closed for who wants one of
// his own.
func TestOwnAtLimit(t *testing.T) {
	ls, srv := loops(t, 2), serve(t, nil)
	reg := NewRegistry(ls)
	to, other := target(t, srv.Addr()), *target(t, srv.Addr())
	other.Database = "e"
	prof := &Profile{Max: 5, Acquire: 20 * time.Second, Limits: Limits{Node: 1}}
	p, q := reg.Get(Alias{}, to, prof), reg.Get(Alias{}, &other, prof)
	use := func(p *Pool, l *reactor.Loop, own bool) {
		<-begin(t, l, func(task *reactor.Task) {
			var c *backend.Conn
			var err error
			if own {
				c, err = p.Own(task, &Waiter{}, startup())
			} else {
				c, err = p.Acquire(task, &Waiter{})
			}
			if err != nil {
				t.Error(err)
				return
			}
			p.Release(c)
		}).done
	}
	use(p, ls[0], false)
	use(p, ls[1], true)
	use(q, ls[0], false)
	use(p, ls[1], true)
	if n := srv.most.Load(); n != 1 {
		t.Errorf("%d connections at once", n)
	}
}
