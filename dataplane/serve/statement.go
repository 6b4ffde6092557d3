package serve

import (
	"errors"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/relay"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// statement is the walk of what a client without a server connection has sent: the first statement is
// judged, a server connection leased, the settings brought over, and everything relayed until the
// transaction has ended.
func (c *Conn) statement(t *reactor.Task) error {
	p, err := c.ep.TryRecv()
	if err != nil {
		return errors.Join(errGone, err)
	}
	if p == nil && !c.more {
		return nil // an event for nothing
	}
	c.more = false
	for {
		q, rest, reply, err := c.session.Begin(p)
		if len(reply) > 0 {
			if err := c.ep.Send(reply); err != nil {
				return errors.Join(errGone, err)
			}
		}
		if err != nil || q == nil {
			return err
		}
		if err := c.renew(); err != nil {
			return err
		}
		refusal := c.forward(t, q, rest)
		if refusal.err != nil {
			return refusal.err
		}
		if refusal.say == nil {
			return nil
		}
		var answer []byte
		p, answer = c.session.Refuse(refusal.rest, refusal.say)
		c.local.Meter.Refused++
		if err := c.ep.Send(answer); err != nil {
			return errors.Join(errGone, err)
		}
	}
}

// dirty is what is left on a server connection whose settings are not known.
var dirty = backend.Mess{Dirty: true}

// refusal is why a unit was not carried out: words for the client, and the unit. Or an error that ends
// the session.
type refusal struct {
	say  func(dst []byte) []byte
	rest []byte
	err  error
}

// forward carries the unit that begins with q, whose bytes are p, to a server.
func (c *Conn) forward(t *reactor.Task, q *query.Query, p []byte) refusal {
	if v := c.snap.Pipeline.Judge(q); v.Action == query.Reject {
		return c.refuse(v.Err, p)
	}
	s := c.pool.TryAcquire(t)
	if s == nil {
		p = c.local.copyOf(p)
		defer c.local.done(p)
		var err error
		if s, err = c.acquire(t); err != nil {
			return c.refuse(err, p)
		}
	} else {
		c.local.Meter.Wait(0)
	}
	c.lease = s
	if want := c.session.Want; s.Settings != want {
		if settings.AllPlain(s.Settings, want) && c.pool.Learnt.Accepted(want) {
			c.session.Prelude()
		} else {
			p = append([]byte(nil), p...)
			refused, err := s.Apply(t, want)
			if err != nil {
				return refusal{err: serverFailed(err)}
			}
			if refused != nil {
				c.lease = nil
				s.Clean(dirty)
				return c.refuse(refused, p)
			}
			c.pool.Learnt.Accept(want)
		}
	}
	return refusal{err: c.relay(t, p)}
}

// relay moves bytes until the session rests, and then gives the server connection back if it can.
func (c *Conn) relay(t *reactor.Task, p []byte) error {
	if c.more {
		c.more = false // the session has them in front of what comes
		if len(p) == 0 {
			p = c.session.Take()
		}
	}
	if err := relay.Run(t, c.ep, c.lease, c.session, p); err != nil {
		return err
	}
	return c.settle(t)
}

// settle is the end of a transaction, or of a unit within one.
func (c *Conn) settle(t *reactor.Task) error {
	s, m := c.lease, c.session
	if m.Status != pgwire.Idle || m.Keeps {
		return nil
	}
	if m.Surprised() {
		c.pool.Learnt.Forget()
	}
	if m.Dirty() {
		if err := c.learn(t); err != nil {
			return err
		}
	}
	if !m.Free() {
		return nil
	}
	c.lease = nil
	if s.Tainted {
		s.Clean(dirty)
		return nil
	}
	c.pool.Release(s)
	return nil
}

// learn asks the server what the transaction has left of the parameters that it may have changed:
// commit, rollback, savepoints and SET LOCAL have all had their say by then.
func (c *Conn) learn(t *reactor.Task) error {
	s, m := c.lease, c.session
	set, reset, err := s.Ask(t, m.Touched())
	var refused *pgwire.ServerError
	if errors.As(err, &refused) && refused.Severity == "ERROR" {
		s.Tainted = true // who may not ask keeps what he had
		return nil
	}
	if err != nil {
		return serverFailed(err)
	}
	m.Want = m.Want.Change(set, reset)
	s.Settings = m.Want
	c.pool.Learnt.Accept(m.Want)
	return nil
}

// renew takes the newest configuration for the transaction that comes.
func (c *Conn) renew() error {
	snap := c.hub.Current()
	if snap == c.snap {
		return nil
	}
	if err := c.Removed(snap); err != nil {
		return err
	}
	r, _ := snap.Route(c.db, c.name)
	c.snap = snap
	c.session.Limits = &snap.Limits
	c.pool = c.hub.Pools.Get(pool.Alias{Database: c.db, User: c.name}, r.Target, r.Profile)
	c.session.Pool = c.pool.Name
	return nil
}

// keep looks whether a session that rests on a server connection may go on. The connection stays what it is.
func (c *Conn) keep() error {
	snap := c.hub.Current()
	if snap == c.seen || snap == c.snap {
		return nil
	}
	if err := c.Removed(snap); err != nil {
		return err
	}
	c.seen = snap
	if c.session.Keeps {
		c.snap = snap
		c.session.Limits = &snap.Limits
	}
	return nil
}

// Removed returns why the session has to end under a configuration: its database or its user is not there any
// more. Where everybody is let in, that is a user who was configured before.
func (c *Conn) Removed(snap *snapshot.Snapshot) error {
	if c.phase != serving {
		return nil // log-in has its own words
	}
	if _, ok := snap.Route(c.db, c.name); !ok {
		return pgerr.New(pgerr.Removed, "database "+c.db)
	}
	if snap.User(c.name) == nil && (c.door.Auth.NeedsUser() || c.snap.User(c.name) != nil) {
		return pgerr.New(pgerr.Removed, "user "+c.name)
	}
	return nil
}

// refuse says how the unit p is answered that failed with err.
func (c *Conn) refuse(err error, p []byte) refusal {
	var pe *pgerr.Error
	var se *pgwire.ServerError
	switch {
	case errors.As(err, &pe):
		if pe.Severity == pgerr.Fatal {
			return refusal{err: err}
		}
		return refusal{rest: append([]byte(nil), p...), say: func(dst []byte) []byte { return pgwire.AppendError(dst, pe) }}
	case errors.As(err, &se):
		return refusal{rest: append([]byte(nil), p...), say: func(dst []byte) []byte { return pgwire.AppendServerError(dst, se, pgerr.Failure) }}
	}
	return refusal{err: err}
}

func serverFailed(err error) error {
	if errors.Is(err, reactor.ErrStopped) {
		return err
	}
	return errors.Join(relay.ErrServer, err)
}
