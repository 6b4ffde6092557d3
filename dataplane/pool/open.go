package pool

import (
	"errors"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// again is how long a pool that lacks connections which it keeps open waits for room where a limit is reached.
const again = int64(spare)

// open opens connections: for those who wait and for whom none is under way, and those that are kept open in any case.
func (p *Pool) open(here *reactor.Loop) {
	for p.openOne(here) {
	}
}

// openOne opens a connection if one is wanted and may be opened.
func (p *Pool) openOne(here *reactor.Loop) bool {
	prof, now := p.profile.Load(), here.Now()
	p.mu.Lock()
	if p.closed.Load() || p.held.Load() {
		p.withdraw()
		all := p.moved()
		p.mu.Unlock()
		for _, w := range all {
			w.fail(ErrMoved, here)
		}
		return false
	}
	soon := p.lastErr != nil && now-p.failed < int64(prof.Retry)
	if soon {
		p.alarm.set(p.failed + int64(prof.Retry))
		if all := p.hopeless(); len(all) > 0 {
			err := p.lastErr
			p.mu.Unlock()
			for _, w := range all {
				w.fail(err, here)
			}
			return true
		}
	}
	first := p.oldest()
	if soon || int(p.waiting.Load()) <= p.opening || p.opening >= prof.opening() {
		first = nil
	}
	own := p.ownFirst(first)
	lacks := first == nil && own == nil && !soon && p.opening < prof.opening() && int(p.total.Load()-p.going.Load()) < prof.Min
	refused := false
	switch since := sinceOf(first, own); {
	case first == nil && own == nil && !lacks, !p.room(prof, since, now):
	case !p.books.take(p, now, since):
		refused = true
		if lacks {
			p.alarm.set(now + again)
		}
	case own != nil:
		p.total.Add(1)
		p.grant(own)
		p.mu.Unlock()
		p.dial(own, here)
		return true
	default:
		p.total.Add(1)
		p.opening++
		l := here
		if first != nil {
			l = first.loop
		}
		p.mu.Unlock()
		p.permitted(here, l, func() { backend.Open(l, p.target.Load(), p) })
		return true
	}
	if !refused {
		p.withdraw()
	}
	recalls := p.recalls(now)
	p.mu.Unlock()
	if recalls {
		p.books.recall(p)
	}
	return false
}

// opening is how many connections may be opened at once.
func (f *Profile) opening() int {
	if f.Opening == 0 {
		return 4
	}
	return f.Opening
}

// withdraw says that the pool does not want a place that it was refused. The pool is locked: whoever asks for one in between would be
// forgotten.
func (p *Pool) withdraw() {
	if p.refused.Load() {
		p.books.withdraw(p)
	}
}

// sinceOf is when those asked for whom a connection is to be opened; 0 if nobody waits.
func sinceOf(first, own *Waiter) int64 {
	switch {
	case own != nil:
		return own.since
	case first != nil:
		return first.since
	}
	return 0
}

// room says whether the pool may have one connection more, for who has asked at since. Beyond the most that it has otherwise that is
// who has waited for long.
func (p *Pool) room(prof *Profile, since, now int64) bool {
	total := int(p.total.Load())
	switch {
	case total < prof.Max:
		return true
	case since == 0 || total >= prof.Max+prof.Reserve:
		return false
	case now-since < int64(prof.ReserveAfter):
		p.alarm.set(since + int64(prof.ReserveAfter))
		return false
	}
	return true
}

// hopeless takes those off the queue whom no connection can serve that there is or will be soon. The pool is locked.
func (p *Pool) hopeless() []*Waiter {
	if p.total.Load() > 0 || isFull(p.lastErr) && p.books.live(p) {
		return nil
	}
	return p.takeAll()
}

// isFull says whether a server has refused a log-in because it has as many connections as it takes: it is not dead.
func isFull(err error) bool { return refusedWith(err, "53300") }

// refusedWith says whether a server has refused a log-in with this SQLSTATE.
func refusedWith(err error, state string) bool {
	var se *pgwire.ServerError
	return errors.As(err, &se) && se.SQLState == state
}

// curable says whether a failure may be over as soon as the user logs in to the proxy again: it lacks a key, or has one that is good
// no more.
func (p *Pool) curable(err error) bool {
	var pe *pgerr.Error
	var se *pgwire.ServerError
	return errors.As(err, &pe) && pe.ID == pgerr.ServerKey ||
		errors.As(err, &se) && se.SQLState == "28P01" && p.target.Load().Secret.Proved()
}

// uncount counts off a connection that is no more.
func (p *Pool) uncount(here *reactor.Loop) {
	p.total.Add(-1)
	p.books.give(p, here.Now())
	if by := p.books.ration.Load(); by != nil {
		(*by).Return(p.Key)
	}
}

// Failed is called by a connection that could not be opened. With no connection left that could serve
// them, those who wait hear why; otherwise they go on waiting.
func (p *Pool) Failed(c *backend.Conn, err error) {
	l := c.Loop()
	p.mu.Lock()
	p.opening--
	p.failed, p.lastErr = l.Now(), err
	p.uncount(l)
	all := p.hopeless()
	wants := len(p.own) > 0
	p.mu.Unlock()
	for _, w := range all {
		w.fail(err, l)
	}
	if retry := int64(p.profile.Load().Retry); retry > 0 {
		p.alarm.set(l.Now() + retry)
	} else {
		p.alarm.set(l.Now() + again)
	}
	if wants {
		p.open(l)
	}
	p.books.settle(l)
	if p.onFailure != nil {
		p.onFailure(p, err)
	}
}

// Closed is called by a connection that is gone.
func (p *Pool) Closed(c *backend.Conn) {
	l := c.Loop()
	lo := &p.locals[l.ID]
	if lo.all[c] {
		p.going.Add(-1)
	}
	delete(lo.all, c)
	p.uncount(l)
	p.open(l)
	p.books.settle(l)
	p.makeMore()
}
