package pool

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// How places change hands where a limit is reached and several pools want them. One that wants a place gets it from the pool that has
// the most, as long as it has fewer itself afterwards; so in the end all have the same who want as much. One that has none gets its turn
// even if nobody has two.
const (
	// turn is how long a pool has a place before it has to pass it on to one that has none.
	turn = 100 * time.Millisecond
	// spare is how long a pool keeps a free connection that it does not use while others want its place, who have one already.
	spare = time.Second
	// urge is how long a pool that has a connection waits for it before it asks others for theirs.
	urge = 5 * time.Millisecond
	// look is how often it is looked whose time has come.
	look = 50 * time.Millisecond
	// heard is how many pools, those who have the fewest, are looked after at once.
	heard = 8
)

// behind says whether there is a pool that goes before p and could have the place that p wants; with last everybody goes before it. The
// lock is held.
func (b *books) behind(p *Pool, last bool) bool {
	for _, q := range b.wanting {
		if q != p && (last || q.before(p)) && q.account.sharesWith(&p.account) && q.account.fits() {
			return true
		}
	}
	return false
}

// before says whether p gets a place before q: who has fewer, then who got one longer ago.
func (p *Pool) before(q *Pool) bool {
	a, o := &p.account, &q.account
	switch {
	case planted.Is(planted.Hog): // who has asked first
		return a.since < o.since || a.since == o.since && p.Name < q.Name
	case a.held != o.held:
		return a.held < o.held
	case a.last != o.last:
		return a.last < o.last
	}
	return p.Name < q.Name
}

// next is the pool that gets the next place; nil where nobody who wants one could have it.
func (b *books) next() (best *Pool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.wanting {
		if p.account.fits() && (best == nil || p.before(best)) {
			best = p
		}
	}
	return best
}

// settle lets those who want a place have what is there, and asks for more where that is not enough.
func (b *books) settle(here *reactor.Loop) {
	for p := b.next(); p != nil; p = b.next() {
		p.open(here)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.press(here.Now())
	for _, p := range b.first() {
		b.reclaim(p, here.Now())
	}
}

// press asks pools for places: those that are too many, and those that others want. The lock is held.
func (b *books) press(now int64) {
	if b.passed {
		b.lower(now)
	}
	if len(b.wanting) == 0 {
		return
	}
	for _, p := range b.first() {
		for kind, l := range p.account.limits {
			soon := func(d *debt) bool { // who has not paid for so long, as sessions keep what it has, is not alone in being asked
				return d.to == p && d.from.account.limits[kind] == l && (d.paid || now-d.at < 2*int64(look))
			}
			if l.full() && b.coming(soon) == 0 {
				b.ask(b.giver(p, l, now), p, now)
			}
		}
	}
	b.alarm.set(now + int64(look))
}

// lower asks for the places that are too many since limits were lowered. The lock is held.
func (b *books) lower(now int64) {
	b.passed = false
	for _, l := range b.limits {
		if l.max == 0 || l.used <= l.max {
			continue
		}
		b.passed = true
		for n := l.used - l.max - b.coming(func(d *debt) bool { return slices.Contains(l.pools, d.from) }); n > 0; n-- {
			b.ask(largest(l, func(*Pool) bool { return true }), nil, now)
		}
	}
}

// reclaim closes the connection that was not used for longest of those that are free, where the limits of p are reached and its pool
// has not used it for as long as it may keep it. The lock is held.
func (b *books) reclaim(p *Pool, now int64) {
	var pools []*Pool
	for _, l := range p.account.limits {
		if l.full() {
			pools = append(pools, l.pools...)
		}
	}
	age := spare
	if p.account.held == 0 {
		age = turn
	}
	if len(pools) == 0 {
		return
	}
	var done atomic.Bool
	for i := range p.locals {
		l := p.locals[i].loop
		l.Post(func() {
			var longest *local
			for _, q := range pools {
				lo := &q.locals[l.ID]
				if q != p && len(lo.idle) > 0 && lo.idle[0].Since+int64(age) <= now && (longest == nil || lo.idle[0].Since < longest.idle[0].Since) {
					longest = lo
				}
			}
			if longest != nil && done.CompareAndSwap(false, true) {
				longest.shedFirst()
			}
		})
	}
}

// first are those who want a place and have the fewest.
func (b *books) first() []*Pool {
	if len(b.wanting) <= heard {
		return b.wanting
	}
	ps := slices.Clone(b.wanting)
	slices.SortFunc(ps, func(p, q *Pool) int {
		if p.before(q) {
			return -1
		}
		return 1
	})
	return ps[:heard]
}

// coming counts debts that are not collected.
func (b *books) coming(these func(*debt) bool) (n int) {
	for _, d := range b.debts {
		if these(d) {
			n++
		}
	}
	return n
}

// ask makes a pool give up its next free connection.
func (b *books) ask(from, to *Pool, now int64) {
	if from == nil {
		return
	}
	b.debts = append(b.debts, &debt{from: from, to: to, at: now})
	from.owed.Add(1)
	from.poke()
	if int(from.lent.Load()) > from.kept() {
		b.recall(from)
	}
}

// rest is how many connections p has beyond those that it gives up.
func (p *Pool) rest() int { return p.account.held - int(p.owed.Load()+p.going.Load()) }

// giver is who gives up a place of a limit for p; nil where that is nobody now.
func (b *books) giver(p *Pool, l *limit, now int64) *Pool {
	if planted.Is(planted.Hog) || p.account.held > 0 && now-p.account.since < int64(urge) {
		return nil
	}
	asked := func(q *Pool) bool {
		return slices.ContainsFunc(b.debts, func(d *debt) bool { return d.to == p && d.from == q })
	}
	if q := largest(l, func(q *Pool) bool { return q != p && !asked(q) }); q != nil && q.rest() >= p.account.held+2 {
		return q
	}
	if p.account.held > 0 {
		return nil
	}
	var longest *Pool
	for _, q := range l.pools {
		if q != p && q.rest() > 0 && now-q.account.last >= int64(turn) && !asked(q) && (longest == nil || q.account.last < longest.account.last) {
			longest = q
		}
	}
	return longest
}

// largest is the pool that has the most of a limit, of those that may be it.
func largest(l *limit, may func(*Pool) bool) (most *Pool) {
	for _, q := range l.pools {
		if q.rest() > 0 && (most == nil || q.rest() > most.rest()) && may(q) {
			most = q
		}
	}
	return most
}
