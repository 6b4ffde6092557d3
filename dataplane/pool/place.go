package pool

import (
	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Lend says how a process that has places of this one is asked to give one back; nil: there is none any more. by does not wait.
func (r *Registry) Lend(by func(Key)) {
	if by == nil {
		r.books.tenant.Store(nil)
		return
	}
	r.books.tenant.Store(&by)
}

// Place counts a connection that another process opens. t waits as in Own, and the errors are the same. It is counted until Vacate. In a pool
// that is closed the wait ends with ErrMoved only when no connection is left here: so long another process has no place.
func (p *Pool) Place(t *reactor.Task, w *Waiter) error {
	w = w.renew(t, p)
	w.startup, w.elsewhere = []pgwire.Parameter{}, true
	_, err := p.alone(t, w)
	return err
}

// placed gives w its place, on its loop.
func (w *Waiter) placed() {
	p := w.pool
	p.mu.Lock()
	p.dialing--
	p.mu.Unlock()
	w.coming = false
	p.lent.Add(1)
	if w.gone {
		p.Vacate(w.loop)
		return
	}
	w.has = true
	w.task.Wake()
	p.open(w.loop) // somebody may wait who wants it back in time
}

// Give takes a leased connection out of the pool that goes on in another process: it is counted until Vacate, as one of Place.
func (p *Pool) Give(c *backend.Conn) {
	p.lent.Add(1)
	l := c.Loop()
	delete(p.locals[l.ID].all, c)
	c.Given()
	p.open(l) // as placed does
}

// Vacate counts off a connection of another process.
func (p *Pool) Vacate(here *reactor.Loop) {
	p.lent.Add(-1)
	p.mu.Lock()
	p.recall = 0
	p.mu.Unlock()
	p.uncount(here)
	p.open(here)
	p.books.settle(here)
}

// kept is how many connections the pool has that no other process has.
func (p *Pool) kept() int { return int(p.total.Load() - p.lent.Load()) }

// lentMore says whether another process has more places than there are connections here, but for some that it would cost: then it gets
// no more of them while somebody waits here.
func (p *Pool) lentMore(but int) bool {
	return p.waiting.Load() > 0 && int(p.lent.Load()) > p.kept()-but
}

// recalls says whether a place is to be asked back, at most once a moment until it comes: somebody has waited for long, and another
// process has more of them. The pool is locked.
func (p *Pool) recalls(now int64) bool {
	lent := int(p.lent.Load())
	if lent == 0 || p.kept() > 0 && lent <= p.kept()+1 {
		return false
	}
	first := p.oldest()
	if first == nil {
		return false
	}
	if at := max(first.since+int64(turn), p.recall+int64(spare)); now < at {
		p.alarm.set(at)
		return false
	}
	p.recall = now
	p.alarm.set(now + int64(spare))
	return true
}

// recall asks the process that has places of p to give one back.
func (b *books) recall(p *Pool) {
	if by := b.tenant.Load(); by != nil {
		(*by)(p.Key)
	}
}
