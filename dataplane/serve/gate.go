package serve

import (
	"cmp"
	"errors"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// errHeld ends a wait in the queue of a pool because an administrator has begun to hold the database.
var errHeld = errors.New("the database is held")

// tryAcquire takes a server connection that is free here, unless the database is held.
func (c *Conn) tryAcquire(t *reactor.Task) *backend.Conn {
	if c.hub.Gates.Holds(c.asked.Database) {
		return nil
	}
	return c.pool.TryAcquire(t)
}

// acquireUnheld waits until the database is not held, and for a server connection then. Where its pool moves meanwhile it waits at the one that
// the configuration has now, as somebody who has asked when it did: the time while the database is held does not count.
func (c *Conn) acquireUnheld(t *reactor.Task, acquire func() (*backend.Conn, error)) (*backend.Conn, error) {
	for c.waiter.Since = 0; ; {
		if c.hub.Gates.Holds(c.asked.Database) {
			c.waiter.Since = 0
		}
		if err := c.passGate(t); err != nil {
			return nil, err
		}
		if err := c.reroute(); err != nil {
			return nil, err
		}
		c.waiter.Since = cmp.Or(c.waiter.Since, t.Loop().Now())
		c.pool.Hold(false) // it may be for clients of another database that it was
		s, err := acquire()
		if !errors.Is(err, errHeld) && !errors.Is(err, pool.ErrMoved) {
			return s, err
		}
	}
}

// reroute takes the newest configuration for who has waited, if there is one or his pool is closed: what waits was not begun under another.
func (c *Conn) reroute() error {
	snap := c.hub.Current()
	switch {
	case snap == c.snap && !c.pool.Gone():
		return nil
	case c.phase == serving:
		c.session.Rejudge()
		return c.follow(snap)
	}
	r, err := c.route(snap)
	if err == nil {
		err = c.assign(r)
	}
	return err
}

// passGate waits until the database is not held. A client that is to end does not wait: nothing of it is at a server.
func (c *Conn) passGate(t *reactor.Task) error {
	c.gated = true
	defer func() { c.gated = false }()
	for c.hub.Gates.Holds(c.asked.Database) {
		if c.fate == Ends || c.phase < serving && c.hub.Fate() == Ends {
			return pgerr.New(pgerr.ShuttingDown)
		}
		if err := c.Removed(c.hub.Current()); err != nil {
			return err
		}
		if err := t.Park(); err != nil {
			return err
		}
		if err := c.alive(); err != nil {
			return err
		}
	}
	return nil
}

// waits is alive for who waits in the queue of a pool.
func (c *Conn) waits() error {
	err := c.alive()
	if err == nil && c.hub.Gates.Holds(c.asked.Database) {
		err = errHeld
	}
	return err
}

// Held tells the connection, on its loop's thread, that databases are held that were not before, or no more.
func (c *Conn) Held() {
	if c.gated || c.waiting && c.console == nil {
		c.Wake()
	}
}
