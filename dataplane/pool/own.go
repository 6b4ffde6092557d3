package pool

import (
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Own opens a connection that is t's alone, with further parameters in its StartupMessage: nobody else has had it, and
// nobody will, for Release closes it. It counts as all others do. Where the pool is full t waits in the order of
// asking, and a connection that is free, or becomes so, is closed to make room. The errors are those of Acquire; that
// this connection could not be opened is told to t alone.
func (p *Pool) Own(t *reactor.Task, w *Waiter, startup []pgwire.Parameter) (*backend.Conn, error) {
	w = w.renew(t, p)
	w.startup = startup
	return p.alone(t, w)
}

// alone waits for what is for w alone, in the order of asking.
func (p *Pool) alone(t *reactor.Task, w *Waiter) (*backend.Conn, error) {
	l := t.Loop()
	p.mu.Lock()
	i := len(p.own)
	for i > 0 && p.own[i-1].since > w.since { // w has waited in another pool before
		i--
	}
	p.own = slices.Insert(p.own, i, w)
	w.queued = true
	p.wanted.Add(1)
	p.mu.Unlock()
	p.open(l)
	p.clear(l)
	p.rouse(l)
	return p.await(t, w)
}

// ownFirst is the first of those who want a connection of their own, if the next place is his. The pool is locked. first is who has
// waited longest for any connection and needs one to be opened; nil where nobody does.
func (p *Pool) ownFirst(first *Waiter) *Waiter {
	if len(p.own) == 0 || first != nil && first.since < p.own[0].since || p.own[0].elsewhere && p.lentMore(0) {
		return nil
	}
	return p.own[0]
}

// grant takes w off the queue of those who want a connection of their own, for he gets one. The pool is locked.
func (p *Pool) grant(w *Waiter) {
	p.removeOwn(w)
	w.coming = true
	p.dialing++
}

// dial opens the connection for which w was granted a place.
func (p *Pool) dial(w *Waiter, here *reactor.Loop) {
	if w.elsewhere {
		w.loop.Post(w.placed)
		return
	}
	t := *p.target.Load()
	t.Startup = w.startup
	p.permitted(here, w.loop, func() { backend.Open(w.loop, &t, &single{p, w}) })
}

// clear closes a connection that is free on loop l, where its place is wanted.
func (p *Pool) clear(l *reactor.Loop) {
	lo := &p.locals[l.ID]
	if len(lo.idle) > 0 && p.makesRoom() {
		lo.shedFirst()
	}
}

// makesRoom says whether a free connection is to be closed because somebody wants its place who is first in the order of
// asking. It says so once for each of them.
func (p *Pool) makesRoom() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.own) == 0 || p.making || int(p.total.Load()) < p.profile.Load().Max && !p.refused.Load() {
		return false
	}
	if first := p.oldest(); first != nil && first.since < p.own[0].since || p.own[0].elsewhere && p.lentMore(1) {
		return false
	}
	p.making = true
	return true
}

// makeMore makes room again for the first of those who want a connection of their own, after one was closed of which he has not got the
// place: somebody came who was before him, or the pool has become smaller.
func (p *Pool) makeMore() {
	p.mu.Lock()
	again := p.making
	p.making = false
	p.mu.Unlock()
	if again {
		p.poke()
	}
}

// removeOwn takes w off the queue of those who want a connection of their own. The pool is locked.
func (p *Pool) removeOwn(w *Waiter) {
	for i, x := range p.own {
		if x == w {
			p.own = append(p.own[:i], p.own[i+1:]...)
			break
		}
	}
	w.queued, p.making = false, false
	p.wanted.Add(-1)
}

// single is the owner of a connection that is one session's.
type single struct {
	pool   *Pool
	waiter *Waiter // nil from when the session has it
}

// Opened hands the connection to its session. It has become free again where a cancel was under way: it is closed then.
func (o *single) Opened(c *backend.Conn) {
	w := o.waiter
	if w == nil {
		c.Retire()
		return
	}
	o.waiter = nil
	p := o.pool
	p.locals[c.Loop().ID].all[c] = false
	p.mu.Lock()
	p.dialing--
	p.mu.Unlock()
	w.take(c)
}

// Failed tells the session, and nobody else: that it may not have this connection says nothing of others.
func (o *single) Failed(c *backend.Conn, err error) {
	p, l := o.pool, c.Loop()
	p.mu.Lock()
	p.dialing--
	p.mu.Unlock()
	p.uncount(l)
	o.waiter.fail(err, l)
	if p.onFailure != nil {
		p.onFailure(p, err)
	}
	p.open(l)
	p.books.settle(l)
}

func (o *single) Lost(*backend.Conn)     {}
func (o *single) Closed(c *backend.Conn) { o.pool.Closed(c) }
func (o *single) Changed(*backend.Conn)  {}

var _ backend.Owner = (*single)(nil)
