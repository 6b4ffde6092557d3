package serve

import (
	"errors"
	"slices"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/cancelkeys"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
)

// errGone ends a connection that has nothing to be told: it is gone, or it has only carried a cancel.
var errGone = errors.New("the connection has ended")

// lateLogin is err, or that the log-in took too long.
func (c *Conn) lateLogin(err error) error {
	if errors.Is(err, reactor.ErrDeadline) {
		return pgerr.New(pgerr.LoginTimeout, c.hub.loginTimeout())
	}
	return err
}

// welcome makes a session of a client that is who it says. verdict, the last word of the proof, goes out with the greeting in one write.
func (c *Conn) welcome(t *reactor.Task, verdict []byte) error {
	if resource.IsConsole(c.asked.Database) {
		return c.welcomeConsole(verdict)
	}
	c.keepKey()
	r, err := c.route(c.hub.Current()) // the proof may have taken long
	if err != nil {
		return err
	}
	if c.hub.Gates.Disabled(c.asked.Database) {
		return pgerr.New(pgerr.DatabaseDisabled, c.asked.Database)
	}
	c.at = r.Counts.Resource
	if full := c.hub.Clients.Admit(&c.place, r.Counts, c.name, c.snap.Bounds(c.asked, c.name)); full != nil {
		return pgerr.New(pgerr.TooManyClients, full).WithHint(full.Hint())
	}
	if err := c.assign(r); err != nil {
		return err
	}
	c.SetDeadline(0)
	c.waiter.Alive = c.waits
	if c.login.start.Replication {
		return c.welcomeReplication(t, verdict)
	}
	said, known := c.pool.Learnt.Reported(c.session.Startup)
	if !known || c.session.Keeps {
		if said, err = c.introduce(t); err != nil {
			return err
		}
	}
	c.session.Told = said.Defaults
	pid := uint32(0)
	if c.session.Keeps {
		pid = c.lease.PID
	}
	c.more = c.session.Preload(c.login.startup.Rest())
	return c.greetWith(verdict, said.Params, pid)
}

// route says where a configuration, which is taken, leads a client that logs in.
func (c *Conn) route(snap *snapshot.Snapshot) (snapshot.Route, error) {
	r, ok := snap.Route(c.asked, c.name)
	switch {
	case !ok:
		return r, pgerr.New(pgerr.UnknownDatabase, c.asked.Database)
	case c.named && snap.User(c.name) == nil:
		return r, pgerr.New(pgerr.Removed, "user "+c.name)
	}
	c.snap = snap
	return r, nil
}

// assign leads a client that logs in to its pool, and begins its session, unless that is one of replication.
func (c *Conn) assign(r snapshot.Route) error {
	start := *c.login.came
	c.login.start = &start
	start.Ignore(r.Ignore)
	start.Fill(r.Parameters)
	if r.AddHost {
		start.AddHost(c.peer.IP)
	}
	c.pool = c.hub.Pools.Get(r.Alias, r.Target, r.Profile)
	c.open()
	if !start.Replication {
		c.begin(r, settings.Of(start.Settings...))
		c.session.Keeps = r.Keeps
		return nil
	}
	if !r.Keeps {
		return pgerr.New(pgerr.ReplicationMode, c.snap.Mode(c.asked.Database, c.name), c.asked.Database)
	}
	return nil
}

// begin makes the session of a client who has asked for these settings.
func (c *Conn) begin(r snapshot.Route, startup settings.Set) {
	c.session = session.New(&c.local.shared, c, &c.snap.Limits, r.Policy, startup)
	c.session.ID, c.session.Account, c.session.Pool, c.session.Ear.Owner = c.id, c.account, c.pool.Name, c
	c.rule(r)
}

// greetWith tells a client that it is logged in: what the server reports, a key to cancel by, and that it may begin. pid
// is the process that it has; 0 where that is none for good.
func (c *Conn) greetWith(verdict []byte, params []settings.Pair, pid uint32) error {
	secret := cancelkeys.Short
	if c.login.start.LongKey {
		secret = cancelkeys.Long
	}
	c.key = c.hub.Keys.Issue(c, pid, secret)
	out := append(c.local.greeting[:0], verdict...)
	out = pgwire.AppendAuthentication(out, pgwire.AuthOK, nil)
	for _, p := range params {
		out = pgwire.AppendParameterStatus(out, p.Name, p.Value)
	}
	out = pgwire.AppendKey(out, c.key.PID, c.key.Secret())
	out = pgwire.AppendReady(out, pgwire.Idle)
	c.local.greeting = out
	if err := c.ep.Send(out); err != nil {
		return errors.Join(errGone, err)
	}
	c.phase, c.fate, c.login = serving, c.hub.Fate(), nil
	c.local.Meter.Logins++
	c.logBegin("client connected")
	return nil
}

// introduce tries the client's settings on a server connection, which says whether they are good and how
// the server spells them. In pool mode session it is the client's connection from then on.
func (c *Conn) introduce(t *reactor.Task) (said pool.Report, err error) {
	s, err := c.acquire(t)
	if err != nil {
		return said, fatal(err)
	}
	want := c.session.Startup
	refused, err := s.Apply(t, want)
	if err != nil {
		s.Lose()
		return said, pgerr.New(pgerr.ServerLostIdle).Because(err)
	}
	if refused != nil {
		c.pool.Release(s)
		return said, refused
	}
	s.Learn()
	said = pool.Report{Params: slices.Clone(s.Params), Defaults: s.Defaults}
	c.pool.Learnt.Accept(want)
	c.pool.Learnt.Report(want, said)
	if c.session.Keeps {
		c.lease = s
		return said, nil
	}
	c.pool.Release(s)
	return said, nil
}

// acquire waits for a server connection.
func (c *Conn) acquire(t *reactor.Task) (*backend.Conn, error) {
	if s := c.tryAcquire(t); s != nil {
		return s, nil
	}
	return c.await(t, func() (*backend.Conn, error) { return c.pool.Acquire(t, &c.waiter) })
}

// await waits for the server connection that acquire brings.
func (c *Conn) await(t *reactor.Task, acquire func() (*backend.Conn, error)) (*backend.Conn, error) {
	l := t.Loop()
	since := l.Now()
	c.waiting, c.canceled = true, false
	s, err := c.acquireUnheld(t, acquire)
	c.waiting = false
	if s != nil && c.canceled && c.phase == serving { // in the moment that it was served
		c.pool.Release(s)
		s, err = nil, pgerr.New(pgerr.Canceled)
	}
	dialled := int64(0)
	if s != nil {
		dialled = s.Born
	}
	c.watch.Waited(since, l.Now(), dialled)
	return s, err
}

// alive ends a wait whose client is gone or has cancelled.
func (c *Conn) alive() error {
	switch {
	case c.ep.HungUp():
		return errGone
	case c.canceled:
		return pgerr.New(pgerr.Canceled)
	}
	return nil
}

// fatal makes an error one that ends the connection, as errors during log-in do.
func fatal(err error) error {
	var pe *pgerr.Error
	if errors.As(err, &pe) {
		return pe.AsFatal()
	}
	return err
}
