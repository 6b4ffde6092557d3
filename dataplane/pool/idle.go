package pool

import (
	"slices"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
)

// lives is how long c lives: up to a fifth less than the pool says, so that those which were opened together do not end together.
func (f *Profile) lives(c *backend.Conn) int64 {
	part := int64(c.PID * 2654435769 >> 22) // of 1024; pids of connections that were opened together follow on each other
	return int64(f.Lifetime) - int64(f.Lifetime)/5*part/1024
}

// old says whether c has lived for as long as it may. The time that it took to open does not count, or a slow server's connections could
// be too old before they have served anybody.
func (f *Profile) old(c *backend.Conn, now int64) bool {
	return f.Lifetime > 0 && now-c.Ready >= f.lives(c)
}

// keep keeps a free connection for the next who asks.
func (lo *local) keep(c *backend.Conn) {
	lo.idle = append(lo.idle, c)
	lo.startTimer(c)
}

// shed closes a free connection that is not in the list of the idle.
func (lo *local) shed(c *backend.Conn) {
	lo.all[c] = true
	lo.pool.going.Add(1)
	c.Retire()
}

// shedFirst closes the free connection that was not used for longest.
func (lo *local) shedFirst() {
	c := lo.idle[0]
	lo.idle = append(lo.idle[:0], lo.idle[1:]...)
	lo.shed(c)
}

// yield closes free connections of a loop whose places other pools get.
func (p *Pool) yield(l *reactor.Loop) {
	for lo := &p.locals[l.ID]; len(lo.idle) > 0 && p.owed.Load() > 0 && p.books.pay(p); {
		lo.shedFirst()
	}
}

// poke lets every loop look at its free connections. Any thread may call it.
func (p *Pool) poke() {
	for i := range p.locals {
		lo := &p.locals[i]
		lo.loop.Post(lo.look)
	}
}

// Fire closes free connections that were not used for long, as far as the pool has more than it keeps, and those that are old.
func (lo *local) Fire(*reactor.Timer) {
	p, now := lo.pool, lo.loop.Now()
	prof := p.profile.Load()
	more := int(p.total.Load()-p.going.Load()) - prof.Min
	var gone []*backend.Conn
	lo.idle = slices.DeleteFunc(lo.idle, func(c *backend.Conn) bool {
		unused := more > 0 && prof.Idle > 0 && c.Since+int64(prof.Idle) <= now
		if !unused && !prof.old(c, now) {
			return false
		}
		more--
		gone = append(gone, c)
		return true
	})
	for _, c := range lo.idle {
		lo.startTimer(c)
	}
	for _, c := range gone {
		lo.shed(c)
	}
}

// startTimer makes the timer fire when c, which is free, is to be closed.
func (lo *local) startTimer(c *backend.Conn) {
	prof, now := lo.pool.profile.Load(), lo.loop.Now()
	at := int64(0)
	if prof.Idle > 0 {
		if at = c.Since + int64(prof.Idle); at <= now { // kept, as there are no more than are kept in any case
			at = now + int64(max(prof.Idle, time.Millisecond))
		}
	}
	if prof.Lifetime > 0 {
		if end := c.Ready + prof.lives(c); at == 0 || end < at {
			at = max(end, now+1)
		}
	}
	if at != 0 && (!lo.timer.Running() || at < lo.due) {
		lo.due = at
		lo.timer.Start(lo.loop, at)
	}
}
