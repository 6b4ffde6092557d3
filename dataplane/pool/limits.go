package pool

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// Limits are how many connections pools may have that share a node, a database at it, or a user at it. 0 is no bound.
type Limits struct{ Node, Database, User int }

// What pools share.
const (
	byNode = iota
	byDatabase
	byUser
	shares
)

// limit is what pools share that have a node, a database or a user in common. The books' lock guards it.
type limit struct {
	max, used int
	pools     []*Pool
}

func (l *limit) full() bool { return l.max > 0 && l.used >= l.max }

// shared names a limit.
type shared struct {
	kind       int
	node, name string
}

// books count the connections of all pools, from dial to close. Any thread may use them.
type books struct {
	mu      sync.Mutex
	limits  map[shared]*limit
	wanting []*Pool // were refused a place
	debts   []*debt
	passed  bool // a limit may be, as it was lowered
	alarm   alarm
	ration  atomic.Pointer[Ration]
	tenant  atomic.Pointer[func(Key)] // who has places of this process
}

// debt is a place that a pool is to give up.
type debt struct {
	from, to *Pool // to is nil where there is just one too many
	at       int64 // when it was asked
	paid     bool  // the connection is being closed
}

// account is what the books know of a pool.
type account struct {
	limits [shares]*limit
	held   int
	wants  bool
	since  int64 // when it was asked for the place that it wants
	last   int64 // when it got a place
}

func newBooks(first *reactor.Loop) *books {
	b := &books{limits: map[shared]*limit{}}
	b.alarm.init(first, func(l *reactor.Loop) { b.settle(l) })
	return b
}

// enter takes a new pool into the books.
func (b *books) enter(p *Pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind, s := range [shares]shared{{byNode, p.Node, ""}, {byDatabase, p.Node, p.Database}, {byUser, p.Node, p.User}} {
		l := b.limits[s]
		if l == nil {
			l = &limit{}
			b.limits[s] = l
		}
		l.pools = append(l.pools, p)
		p.account.limits[kind] = l
	}
}

// strike takes out a pool that is closed and has no more connections. The lock is held.
func (b *books) strike(p *Pool) {
	b.drop(p)
	b.forgive(func(d *debt) bool { return d.from == p })
	for kind, s := range [shares]shared{{byNode, p.Node, ""}, {byDatabase, p.Node, p.Database}, {byUser, p.Node, p.User}} {
		l := p.account.limits[kind]
		if l.pools = remove(l.pools, p); len(l.pools) == 0 && b.limits[s] == l {
			delete(b.limits, s)
		}
	}
}

// live says whether there are connections to the node of p, of whatever pool.
func (b *books) live(p *Pool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.account.limits[byNode].used > 0
}

// end is called when a pool is closed.
func (b *books) end(p *Pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.account.held == 0 {
		b.strike(p)
	}
}

func remove(ps []*Pool, p *Pool) []*Pool {
	if i := slices.Index(ps, p); i >= 0 {
		return slices.Delete(ps, i, i+1)
	}
	return ps
}

// bound says what the limits of a pool are now. It says whether one of them is passed.
func (b *books) bound(p *Pool, to Limits) (passed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind, n := range [shares]int{to.Node, to.Database, to.User} {
		l := p.account.limits[kind]
		l.max = n
		passed = passed || n > 0 && l.used > n
	}
	b.passed = b.passed || passed
	return passed
}

// take counts a connection that p is about to open for who has asked at since, and says whether it may. If not, p is among those who
// want a place, unless nobody waits for it: since is 0. Then it gets none either that another pool waits for, even if that has more.
func (b *books) take(p *Pool, now, since int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := &p.account
	if a.fits() && !b.behind(p, since == 0) {
		b.drop(p)
		b.count(p, now)
		return true
	}
	if since == 0 {
		b.drop(p)
		return false
	}
	a.since = since
	if !a.wants {
		a.wants = true
		b.wanting = append(b.wanting, p)
		p.refused.Store(true)
		b.press(now)
		b.alarm.set(now + int64(urge))
	}
	return false
}

// inherit counts a connection that p has got from another process, whatever the limits are.
func (b *books) inherit(p *Pool, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(p, now)
}

// count counts a connection. The lock is held.
func (b *books) count(p *Pool, now int64) {
	p.account.held++
	p.account.last = now
	for _, l := range p.account.limits {
		l.used++
	}
}

// fits says whether no limit is reached.
func (a *account) fits() bool {
	for _, l := range a.limits {
		if l.full() {
			return false
		}
	}
	return true
}

// sharesWith says whether two pools have a bounded limit in common.
func (a *account) sharesWith(o *account) bool {
	for kind, l := range a.limits {
		if l == o.limits[kind] && l.max > 0 {
			return true
		}
	}
	return false
}

// withdraw says that p wants no place, until it is refused again.
func (b *books) withdraw(p *Pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(p)
}

// drop takes p out of those who want a place. The lock is held.
func (b *books) drop(p *Pool) {
	if !p.account.wants {
		return
	}
	p.account.wants = false
	p.refused.Store(false)
	b.wanting = remove(b.wanting, p)
	b.forgive(func(d *debt) bool { return d.to == p })
}

// give is called when a connection of p is closed, or was never opened.
func (b *books) give(p *Pool, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.account.held--
	for _, l := range p.account.limits {
		l.used--
	}
	first := true // it pays one debt
	for _, paid := range []bool{true, false} {
		b.forgive(func(d *debt) bool {
			if d.from != p || d.paid != paid || !first {
				return false
			}
			first = false
			return true
		})
	}
	if p.account.held == 0 && p.closed.Load() {
		b.strike(p)
	}
}

// forgive drops debts. The lock is held.
func (b *books) forgive(these func(*debt) bool) {
	b.debts = slices.DeleteFunc(b.debts, func(d *debt) bool {
		if !these(d) {
			return false
		}
		if !d.paid {
			d.from.owed.Add(-1)
		}
		return true
	})
}

// pay says whether a connection of p that is free is to be closed, because another pool gets its place. The caller closes it.
func (b *books) pay(p *Pool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.debts {
		if d.from == p && !d.paid {
			d.paid = true
			p.owed.Add(-1)
			return true
		}
	}
	return false
}
