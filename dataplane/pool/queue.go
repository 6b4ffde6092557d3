package pool

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// ErrMoved ends a wait in a pool that is closed, as nothing leads there any more. Who waits looks where its pool is now, and asks there.
var ErrMoved = errors.New("nothing leads to the pool any more")

// Waiter is a place in the queue of a pool. It is embedded in who waits and used for one wait after another.
type Waiter struct {
	// Alive is asked at each wake-up: an error ends the wait. It may be nil.
	Alive func() error
	// Tell, if set, is called once in a wait that takes long, with the place in the queue, from 1 on, and how many wait.
	Tell func(place, waiting int)
	// Since, if set, is when it began to wait, in a pool that has moved, as loops count time: its place and its time in the next one are those
	// of somebody who has asked then.
	Since int64

	loop       *reactor.Loop
	since      int64
	task       *reactor.Task
	pool       *Pool
	prev, next *Waiter
	queued     bool // in a queue; guarded by the pool's lock
	coming     bool // a connection was granted and has not arrived; of the waiter's loop, but for the moment of granting
	gone       bool // nobody waits for what is coming
	conn       *backend.Conn
	err        error

	startup   []pgwire.Parameter // of a connection of its own; nil: any will do
	elsewhere bool               // another process opens it
	has       bool               // the place for that
}

// Acquire lends a connection to t, in the order of asking. It parks, so the caller has kept the bytes
// that it still needs. The wait ends with an error when the pool's time is over, when w.Alive says so,
// when t is killed, or when no server can be reached; and with ErrMoved.
func (p *Pool) Acquire(t *reactor.Task, w *Waiter) (*backend.Conn, error) {
	l := t.Loop()
	w = w.renew(t, p)
	p.mu.Lock()
	p.push(w)
	if p.lastErr != nil && p.curable(p.lastErr) {
		p.lastErr = nil
	}
	p.mu.Unlock()
	p.match(l)
	if w.conn == nil {
		p.open(l)
		p.rouse(l)
	}
	return p.await(t, w)
}

// renew makes w ready for a wait of t, or returns another one in its place.
func (w *Waiter) renew(t *reactor.Task, p *Pool) *Waiter {
	if w.coming { // of an earlier wait that was given up
		w = &Waiter{Alive: w.Alive, Tell: w.Tell, Since: w.Since}
	}
	l := t.Loop()
	*w = Waiter{Alive: w.Alive, Tell: w.Tell, Since: w.Since, loop: l, since: cmp.Or(w.Since, l.Now()), task: t, pool: p}
	return w
}

// await parks t until w, which is in a queue or was taken off it, has what it waits for.
func (p *Pool) await(t *reactor.Task, w *Waiter) (*backend.Conn, error) {
	prof := p.profile.Load()
	end := int64(0)
	if prof.Acquire > 0 {
		end = w.since + int64(prof.Acquire)
	}
	notice := w.since + int64(prof.Notice) // if it is over, that was told in another pool
	tells := w.Tell != nil && prof.Notice > 0 && (end == 0 || prof.Notice < prof.Acquire) && notice > t.Loop().Now()
	if tells {
		t.SetDeadline(notice)
	} else {
		t.SetDeadline(end)
	}
	defer t.SetDeadline(0)
	for !w.served() {
		err := t.Park()
		if w.served() {
			break
		}
		if err == nil && w.Alive != nil {
			err = w.Alive()
		}
		switch {
		case err == reactor.ErrDeadline && tells:
			tells, err = false, nil
			t.SetDeadline(end)
			if place, waiting := p.place(w); place > 0 {
				w.Tell(place, waiting)
			}
		case err == reactor.ErrDeadline:
			err = p.timeout(prof)
		}
		if err != nil {
			p.leave(w)
			if w.conn != nil { // it came at the last moment
				p.Release(w.conn)
			}
			return nil, err
		}
	}
	if w.err != nil {
		return nil, w.err
	}
	return w.conn, nil
}

// served says whether the wait has come to an end by itself.
func (w *Waiter) served() bool { return w.conn != nil || w.err != nil || w.has }

// place is the place of w among all who wait, from 1 on, and how many they are; 0 if it does not wait any more.
func (p *Pool) place(w *Waiter) (place, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.queued {
		return 0, 0
	}
	place = 1
	for i := range p.lines {
		for x := p.lines[i].head; x != nil && x.since <= w.since && x != w; x = x.next {
			place++
		}
	}
	for _, x := range p.own {
		if x != w && x.since <= w.since {
			place++
		}
	}
	return place, int(p.waiting.Load() + p.wanted.Load())
}

// timeout is what somebody is told who has waited too long: why nothing could be opened, if that is so.
func (p *Pool) timeout(prof *Profile) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lastErr != nil {
		return p.lastErr
	}
	return pgerr.New(pgerr.QueueTimeout, prof.Acquire)
}

// match gives free connections of the loop to those who wait: there are both only for a moment.
func (p *Pool) match(l *reactor.Loop) {
	lo := &p.locals[l.ID]
	for len(lo.idle) > 0 && p.waiting.Load() > 0 {
		n := len(lo.idle) - 1
		c := lo.idle[n]
		if !c.Look() {
			if n < len(lo.idle) && lo.idle[n] == c { // still there: half a message, not of use now
				lo.idle = lo.idle[:n]
				lo.shed(c)
			}
			continue
		}
		lo.idle[n] = nil
		lo.idle = lo.idle[:n]
		p.offer(c)
	}
}

// rouse lets the other loops look whether they have a free connection for who waits here.
func (p *Pool) rouse(here *reactor.Loop) {
	for i := range p.locals {
		if lo := &p.locals[i]; lo.loop != here {
			lo.loop.Post(lo.look)
		}
	}
}

// take is called on the waiter's loop with the connection that it was granted.
func (w *Waiter) take(c *backend.Conn) {
	w.coming = false
	if w.gone {
		w.pool.Release(c)
		return
	}
	c.Lease(w.task)
	w.conn = c
	w.task.Wake()
}

// fail ends a wait with an error, from any loop.
func (w *Waiter) fail(err error, here *reactor.Loop) {
	set := func() { w.err = err; w.coming = false; w.task.Wake() }
	if w.loop == here {
		set()
		return
	}
	w.coming = true
	w.loop.Post(set)
}

// leave ends a wait that has not got what it waited for.
func (p *Pool) leave(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case w.queued && w.startup != nil:
		p.removeOwn(w)
		return
	case w.queued:
		p.remove(w)
		return
	}
	w.gone = true // granted on another loop and on its way
}

// line is those of one loop who wait, in the order of asking.
type line struct{ head, tail *Waiter }

func (p *Pool) push(w *Waiter) {
	q := &p.lines[w.loop.ID]
	w.queued = true
	w.prev, w.next = q.tail, nil
	for w.prev != nil && w.prev.since > w.since { // w has waited in another pool before
		w.prev, w.next = w.prev.prev, w.prev
	}
	if w.prev == nil {
		q.head = w
	} else {
		w.prev.next = w
	}
	if w.next == nil {
		q.tail = w
	} else {
		w.next.prev = w
	}
	p.waiting.Add(1)
}

// oldest is who has waited longest; nil where nobody waits.
func (p *Pool) oldest() *Waiter {
	var w *Waiter
	for i := range p.lines {
		if h := p.lines[i].head; h != nil && (w == nil || h.since < w.since) {
			w = h
		}
	}
	return w
}

// pop takes the next off the queue, for a connection that is on loop l; nil where there is none. That is
// who has waited longest, but for one thing: to take a connection to another loop costs several system
// calls, so the first of its own loop goes ahead of others who have waited up to patience longer.
func (p *Pool) pop(l *reactor.Loop) *Waiter {
	w := p.oldest()
	if w == nil {
		return nil
	}
	if own := p.lines[l.ID].head; own != nil && own.since-w.since <= int64(patience) {
		w = own
	}
	p.remove(w)
	w.coming = true
	return w
}

// patience is how much longer somebody on another loop may have waited.
const patience = time.Millisecond

// takeAll takes everybody off the queue.
func (p *Pool) takeAll() (all []*Waiter) {
	for i := range p.lines {
		for w := p.lines[i].head; w != nil; w = p.lines[i].head {
			p.remove(w)
			all = append(all, w)
		}
	}
	return all
}

// moved takes everybody off the queue of a pool that is closed, but for those who wait for a place of another process, as long as there are
// connections here whose places that are. The pool is locked.
func (p *Pool) moved() (all []*Waiter) {
	if !p.closed.Load() {
		return nil
	}
	all = p.takeAll()
	for _, w := range slices.Clone(p.own) {
		if !w.elsewhere || p.kept() == 0 {
			p.removeOwn(w)
			all = append(all, w)
		}
	}
	return all
}

func (p *Pool) remove(w *Waiter) {
	q := &p.lines[w.loop.ID]
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	p.waiting.Add(-1)
}
