package serve

import (
	"errors"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/relay"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/changeover"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/clock"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/catalog"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// statement is the walk of what a client without a server connection has sent, up to the server: the first statement is judged, a server
// connection leased, and the settings are brought over. p is what is sent there first, and all of it is relayed from then on until the
// transaction has ended. Where the proxy has answered everything itself there is no lease.
func (c *Conn) statement(t *reactor.Task) (p []byte, copied bool, err error) {
	p, err = c.ep.TryRecv()
	if err != nil {
		return nil, false, errors.Join(errGone, err)
	}
	if p == nil && !c.more {
		return nil, false, nil // an event for nothing
	}
	c.more = false
	c.clock.Does(clock.Busy)
	for {
		q, rest, reply, err := c.session.Begin(p)
		if len(reply) > 0 {
			if err := c.ep.Send(reply); err != nil {
				return nil, false, errors.Join(errGone, err)
			}
		}
		if err != nil || q == nil {
			c.watch.Hears(t.Loop().Now(), c.session.Receiving())
			return nil, false, err
		}
		c.begins()
		rest, copied, no := c.forward(t, q, rest)
		if no == nil {
			return rest, copied, nil
		}
		if no.err != nil {
			return nil, false, no.err
		}
		c.watch.Refused(c.account)
		var answer []byte
		p, answer = c.session.Refuse(no.rest, no.say)
		c.local.Meter.Refused++
		if err := c.ep.Send(answer); err != nil {
			return nil, false, errors.Join(errGone, err)
		}
	}
}

// dirty is what is left on a server connection whose settings are not known.
var dirty = backend.Mess{Dirty: true}

// refusal is why a unit is not carried out: words for the client, and the unit. Or an error that ends the session.
type refusal struct {
	say  func(dst []byte) []byte
	rest []byte
	err  error
}

// forward leases a server connection for the unit that begins with q, whose bytes are p, and returns what is sent there: p, or a copy that
// outlives parks, which the loop gets back if it is copied.
func (c *Conn) forward(t *reactor.Task, q *query.Query, p []byte) (rest []byte, copied bool, no *refusal) {
	if v := c.Judge(q); v.Action == query.Reject && !c.session.Begun() { // in a transaction the server has to fail too
		return nil, false, c.refuse(v.Err, p)
	}
	s := c.tryAcquire(t)
	if s == nil {
		p, copied = c.local.spare.Copy(p), true
		var err error
		if s, err = c.acquire(t); err != nil {
			no = c.refuse(err, p)
			c.local.spare.Done(p)
			return nil, false, no
		}
	}
	c.account.Assignments++
	c.lease = s
	if !changeover.AtOnce(c.session, s, &c.pool.Learnt) {
		if !copied {
			p, copied = c.local.spare.Copy(p), true
		}
		c.bringing = true
		refused, err := changeover.Bring(t, c.session, s, &c.pool.Learnt, p)
		c.bringing = false
		switch {
		case err != nil:
			no = &refusal{err: serverFailed(err)}
		case refused != nil:
			c.lease = nil
			s.Clean(dirty)
			no = c.refuse(refused, p)
		}
	}
	if no == nil {
		if err := c.news(); err != nil {
			return nil, false, &refusal{err: err}
		}
		return p, copied, nil
	}
	if copied {
		c.local.spare.Done(p)
	}
	return nil, false, no
}

// news tells the client what the server connection reports otherwise than the one before.
func (c *Conn) news() error {
	if p := changeover.News(c.session, &c.lease.Server); p != nil {
		if err := c.ep.Send(p); err != nil {
			return errors.Join(errGone, err)
		}
	}
	return nil
}

// ahead is what goes to the server first, where that is p.
func (c *Conn) ahead(p []byte) []byte {
	c.Loop().Serves = true
	if c.more {
		c.more = false // the session has them in front of what comes
		if len(p) == 0 {
			p = c.session.Take()
		}
	}
	return p
}

// answered is the end of a relay: the session rests, and gives the server connection back if it can.
func (c *Conn) answered(t *reactor.Task) error {
	c.clock.Does(clock.Busy)
	if err := c.clock.Through(t); err != nil {
		return err
	}
	if c.session.Receiving() && c.session.Quiet() {
		c.watch.Unfinished()
	} else {
		c.watch.Answered(t.Loop().Now(), c.account)
	}
	if err := c.session.Ending(); err != nil {
		return err
	}
	return c.settle(t)
}

// settle is the end of a transaction, or of a unit within one.
func (c *Conn) settle(t *reactor.Task) error {
	s, m := c.lease, c.session
	if m.Status != pgwire.Idle {
		return nil
	}
	c.watch.Committed(t.Loop().Now(), c.account)
	if m.Keeps {
		m.EndOfTransaction()
		return nil
	}
	if m.Changes.Surprised() {
		c.pool.Learnt.Forget()
	}
	if m.Asks() {
		c.settling = true
		err := c.findOut(t)
		c.settling = false
		if err != nil {
			return err
		}
	}
	if p := s.Overheard(); len(p) > 0 {
		if err := c.ep.Send(m.Ear.Once(p)); err != nil {
			return errors.Join(errGone, err)
		}
	}
	m.EndOfTransaction()
	if !m.Free() {
		c.kept()
		return nil
	}
	if err := c.news(); err != nil {
		return err
	}
	c.pins = 0
	c.lease = nil
	if s.Tainted || s.Spoiled || m.Policy.Guard == pin.Always {
		s.Clean(dirty)
		return nil
	}
	c.pool.Release(s)
	return nil
}

// findOut asks the server what the transaction has left, as far as that is not known.
func (c *Conn) findOut(t *reactor.Task) error {
	m := c.session
	var err error
	switch {
	case m.Doubtful():
		err = c.lookThrough(t)
	case m.Dirty() && !planted.Is(planted.Unasked):
		err = c.learn(t)
	}
	if err != nil || !m.Unsure() {
		return err
	}
	now, refused, err := c.lease.Planner(t)
	if err != nil {
		return serverFailed(err)
	}
	if refused == nil {
		m.Sure(now)
	}
	return nil
}

// lookThrough finds out what the transaction has left on the server connection. What the session may not keep is taken from it, and it is told.
func (c *Conn) lookThrough(t *reactor.Task) error {
	if err := c.awaitCatalog(t); err != nil {
		return err
	}
	s, m := c.lease, c.session
	if e := c.hub.Log.Check(zap.DebugLevel, "a server connection is looked through"); e != nil {
		e.Write(zap.String("user", c.name), zap.String("database", c.asked.Database), zap.String("because", m.Because()))
	}
	left, refused, err := changeover.Look(t, m, s, &c.pool.Learnt)
	c.local.Meter.Looks++
	if err != nil {
		return serverFailed(err)
	}
	if refused != nil {
		c.unfollowed(refused)
	} else {
		if err := c.dropped(m.Looked(left.Settings, left.Holds, left.Others)); err != nil {
			return err
		}
	}
	if ready := m.Owed(); ready != nil {
		if err := c.ep.Send(ready); err != nil {
			return errors.Join(errGone, err)
		}
	}
	return nil
}

// unfollowed keeps the server connection, as nobody can be asked what is set there.
func (c *Conn) unfollowed(refused *pgwire.ServerError) {
	c.session.Unfollowed()
	c.hub.Log.Info("what a transaction has left cannot be found out", zap.String("user", c.name), zap.String("database", c.asked.Database), zap.String("reason", refused.Message))
}

// kept counts and logs the reasons for which the session keeps its server connection, each as it comes.
func (c *Conn) kept() {
	now := c.session.Reasons.All()
	if why := now &^ c.pins; why != 0 {
		c.local.Meter.Pin(why)
		c.hub.Log.Info("a session keeps its server connection", zap.String("user", c.name), zap.String("database", c.asked.Database), zap.Stringer("for", why))
	}
	c.pins = now
}

// awaitCatalog waits, once, for a catalogue that is being read for the first time: it says which custom parameters code sets.
func (c *Conn) awaitCatalog(t *reactor.Task) error {
	if c.session.Catalog == nil || c.awaited {
		return nil
	}
	c.awaited = true
	return catalog.Await(t, c.session.Catalog)
}

// warn tells the client something that is not an error.
func (c *Conn) warn(e *pgerr.Error) error {
	if err := c.ep.Send(pgwire.AppendNotice(nil, e)); err != nil {
		return errors.Join(errGone, err)
	}
	return nil
}

// learn asks the server what the transaction has left of the parameters that it may have changed:
// commit, rollback, savepoints and SET LOCAL have all had their say by then.
func (c *Conn) learn(t *reactor.Task) error {
	what, refused, err := changeover.Learn(t, c.session, c.lease, &c.pool.Learnt)
	if err != nil {
		return serverFailed(err)
	}
	if refused != nil {
		c.unfollowed(refused)
	}
	return c.dropped(what)
}

// dropped tells the client what is taken from it, if anything is, of what is on the server connection.
func (c *Conn) dropped(what pin.Set) error {
	if what == 0 {
		return nil
	}
	c.lease.Tainted = true
	c.local.Meter.Drop(what)
	return c.warn(pgerr.New(pgerr.PinDropped, what.String()))
}

// renew takes the newest configuration for the transaction that comes.
func (c *Conn) renew() error {
	if snap := c.hub.Current(); snap != c.snap {
		return c.follow(snap)
	}
	return nil
}

// follow takes a configuration for what comes.
func (c *Conn) follow(snap *snapshot.Snapshot) error {
	if err := c.Removed(snap); err != nil {
		return err
	}
	r, _ := snap.Route(c.asked, c.name)
	c.snap, c.session.Limits = snap, &snap.Limits
	c.pool = c.hub.Pools.Get(r.Alias, r.Target, r.Profile)
	c.session.Pool = c.pool.Name
	c.open()
	c.rule(r)
	return nil
}

// rule gives the session what the configuration says of its database.
func (c *Conn) rule(r snapshot.Route) {
	c.session.Policy, c.session.Catalog = r.Policy, nil
	c.bound(r.Times)
	if r.Profile.Notice > 0 && c.waiter.Tell == nil {
		c.waiter.Tell = c.tellPlace
	}
	c.listen(r)
	if r.Policy.Guard != pin.Text && c.hub.Catalog != nil {
		c.session.Catalog = c.hub.Catalog(r.Target, r.Safe)
	}
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
		c.snap, c.session.Limits = snap, &snap.Limits
	}
	return nil
}

// Removed returns why the session, or a log-in that an administrator holds, has to end under a configuration: its database or its user is
// not there any more. Where everybody is let in, that is a user who was configured before.
func (c *Conn) Removed(snap *snapshot.Snapshot) error {
	if c.phase > serving || c.phase < serving && (!c.gated || c.pool == nil) || c.console != nil {
		return nil // log-in has its own words, and the console
	}
	if _, ok := snap.Route(c.asked, c.name); !ok {
		if c.phase < serving {
			return pgerr.New(pgerr.UnknownDatabase, c.asked.Database)
		}
		return pgerr.New(pgerr.Removed, "database "+c.asked.Database)
	}
	if snap.User(c.name) == nil && (c.named || c.snap.User(c.name) != nil) {
		return pgerr.New(pgerr.Removed, "user "+c.name)
	}
	return nil
}

// refuse says how the unit p is answered that failed with err.
func (c *Conn) refuse(err error, p []byte) *refusal {
	var pe *pgerr.Error
	var se *pgwire.ServerError
	switch {
	case errors.As(err, &pe):
		if pe.Severity == pgerr.Fatal {
			return &refusal{err: err}
		}
		return &refusal{rest: append([]byte(nil), p...), say: func(dst []byte) []byte { return pgwire.AppendError(dst, pe) }}
	case errors.As(err, &se):
		return &refusal{rest: append([]byte(nil), p...), say: func(dst []byte) []byte { return pgwire.AppendServerError(dst, se, pgerr.Failure) }}
	}
	return &refusal{err: err}
}

func serverFailed(err error) error {
	if errors.Is(err, reactor.ErrStopped) {
		return err
	}
	return errors.Join(relay.ErrServer, err)
}
