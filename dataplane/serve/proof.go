package serve

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/auth"
	"github.com/heliosproxy/heliosproxy/dataplane/lookup"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/startup"
	"github.com/heliosproxy/heliosproxy/dataplane/state/users"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/proxyproto"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
)

// login is what a connection needs until it is logged in.
type login struct {
	startup  startup.Machine
	header   *proxyproto.Reader // of what comes first; nil: it has come, or none comes
	came     *startup.Start     // what the client asks for
	start    *startup.Start     // the same as the configuration lets it
	client   auth.Client
	exchange *auth.Exchange
	inquiry  *snapshot.Inquiry // where the user was looked up
	asked    int64             // when, if the answer was one that had been kept
}

// handshakeError is why TLS could not be agreed on. The client has been told by an alert, and understands nothing else.
type handshakeError struct{ cause error }

func (e *handshakeError) Error() string { return e.cause.Error() }
func (e *handshakeError) Unwrap() error { return e.cause }

// logIn takes in what the client has sent and goes one step on. It says whether there is more to do now.
func (c *Conn) logIn(t *reactor.Task) (went bool, err error) {
	var p []byte
	if c.phase == greeting || !c.login.startup.Answered() { // else it was sent together with what came before
		if p, err = c.ep.TryRecv(); err != nil {
			return false, errors.Join(errGone, err)
		}
		if p == nil {
			return false, nil
		}
	}
	if c.phase == greeting {
		return true, c.greet(t, p)
	}
	body, ok, perr := c.login.startup.Message(p, pgwire.Password)
	if perr != nil {
		return false, perr
	}
	if !ok {
		return true, nil
	}
	return true, c.prove(t, c.login.exchange.Step(body))
}

// greet reads what comes before anybody is asked who he is.
func (c *Conn) greet(t *reactor.Task, p []byte) error {
	if c.login.header != nil {
		if err := c.introduced(&p); err != nil || c.login.header != nil {
			return err
		}
	}
	o := c.login.startup.Step(p)
	if o.Err != nil {
		return o.Err
	}
	if (o.Agrees || o.Secure != nil && o.Secure.Direct) && c.busy() {
		return c.turnedAway(o.Secure)
	}
	if len(o.Reply) > 0 {
		if err := c.ep.Send(o.Reply); err != nil {
			return errors.Join(errGone, err)
		}
	}
	switch {
	case o.Secure != nil:
		return c.secure(t, o.Secure)
	case o.Cancel != nil:
		return c.carryCancel(t, o.Cancel)
	case o.Start == nil:
		return nil
	}
	snap := c.hub.Current()
	if snap == nil {
		return pgerr.New(pgerr.NotReady)
	}
	c.snap, c.login.came, c.login.start = snap, o.Start, o.Start
	c.name, c.asked.Database = o.Start.User, o.Start.Database
	c.phase = proving
	if full := c.hub.Clients.Enter(&c.place, c.address(), resource.IsConsole(c.asked.Database), snap.Bounds(c.asked, c.name)); full != nil {
		return pgerr.New(pgerr.TooManyClients, full).WithHint(full.Hint())
	}
	if !o.Start.Plain() {
		if p := o.Start.Negotiate(c.newest()); p != nil {
			if err := c.ep.Send(p); err != nil {
				return errors.Join(errGone, err)
			}
		}
	}
	x, step := auth.Begin(c.door.Door, c.describe(), c.hub.MockSecret())
	c.login.exchange = x
	if step.Err == nil && c.door.TLS != nil && c.door.TLS.Mode().Required() && !c.login.client.TLS && !c.peer.IsUnix() {
		return pgerr.New(pgerr.TLSRequired)
	}
	return c.prove(t, step)
}

// secure makes the connection speak TLS.
func (c *Conn) secure(t *reactor.Task, s *startup.Secure) error {
	config, leaf := c.door.TLS.Current()
	state, err := c.ep.Secure(t, s.Received, func(raw net.Conn) *tls.Conn { return tls.Server(raw, config) })
	if err != nil {
		return &handshakeError{err}
	}
	c.asked.Server = resource.FoldServerName(state.ServerName)
	if s.Direct {
		if err := tlsconf.CheckDirect(state); err != nil {
			return pgerr.New(pgerr.InvalidStartup, err.Error())
		}
	}
	cl := &c.login.client
	cl.TLS = true
	cl.EndPoint, _ = tlsconf.EndPoint(leaf) // a certificate that has none is not bound to
	verify := func() (*tlsconf.Error, error) { return c.door.TLS.Verify(state), nil }
	var refused *tlsconf.Error
	if len(state.PeerCertificates) == 0 {
		refused, err = verify()
	} else { // that takes its time
		refused, err = reactor.Compute(t, verify)
	}
	switch {
	case err != nil:
		return c.lateLogin(err)
	case refused != nil:
		return pgerr.New(pgerr.CertificateRefused, refused.Reason).Because(refused)
	case len(state.PeerCertificates) > 0:
		cl.Cert = state.PeerCertificates[0]
	}
	return nil
}

// describe says what is known of the client before it proves anything.
func (c *Conn) describe() *auth.Client {
	cl, start := &c.login.client, c.login.start
	cl.User, cl.Database, cl.Physical = c.name, c.asked.Database, start.Physical()
	cl.Unix, cl.Local, cl.Addr = c.peer.IsUnix(), c.near(), c.address()
	if cl.Unix && c.relayed {
		cl.OSUser = func() (string, error) { return "", errRelayed }
	} else if cl.Unix {
		uid, err := c.ep.PeerUID()
		cl.OSUser = func() (string, error) {
			if err != nil {
				return "", err
			}
			return c.hub.OSUser(uid)
		}
	}
	cl.Interfaces, cl.HostName = c.hub.Interfaces, func() string { return c.hub.HostName(cl.Addr) }
	return cl
}

// newest is the newest version of the protocol that the client may speak: what it would get from the server, if that is known.
func (c *Conn) newest() uint32 {
	if r, ok := c.snap.Route(c.asked, c.name); ok {
		if p := c.hub.Pools.Find(r.Target); p != nil && p.Learnt.Before(18) {
			return pgwire.Version30
		}
	}
	return pgwire.Version32
}

// prove does what a step of the proof asks for.
func (c *Conn) prove(t *reactor.Task, step auth.Step) error {
	for {
		// Who has asked on many connections at once must not be told by any of them whether a proof is right.
		told := step.Done || step.Err != nil && step.Err.ID == pgerr.AuthenticationFailed
		if step.Who || step.Asks || told && c.login.exchange.Asked() {
			if err := c.patience(t); err != nil {
				return err
			}
		}
		switch {
		case step.Work != nil:
			if err := c.work(t, step); err != nil {
				return err
			}
			step = c.login.exchange.Resume()
			continue
		case step.Who:
			u, err := c.lookUp(t)
			if err != nil {
				return err
			}
			step = c.login.exchange.Knows(u)
			continue
		case step.Err != nil && c.login.asked != 0 && step.Err.ID == pgerr.AuthenticationFailed:
			u, err := c.lookUpAnew(t)
			if err != nil {
				return err
			}
			step = c.login.exchange.Again(u, step.Err)
			continue
		case step.Err != nil:
			c.noteFailure(t, step.Err)
			return step.Err
		case step.Done:
			c.noteSuccess()
			return c.welcome(t, step.Reply)
		}
		if err := c.ep.Send(step.Reply); err != nil {
			return errors.Join(errGone, err)
		}
		return nil
	}
}

// lookUp finds the client's user: in the configuration, or in a database. nil is nobody.
func (c *Conn) lookUp(t *reactor.Task) (*users.User, error) {
	c.named = true
	if u := c.snap.User(c.name); u != nil {
		return u, nil
	}
	q, ok := c.snap.Inquiry(c.asked, c.name)
	if !ok {
		return nil, nil
	}
	c.named, c.login.inquiry = false, &q
	now := time.Now().UnixNano()
	if k, ok := c.hub.Kept(&q, c.name, now, !c.hub.Gates.Holds(c.asked.Database)); ok {
		c.login.asked = k.Asked
		return k.Good(now), nil
	}
	return c.inquire(t)
}

// lookUpAnew asks the database again whose answer was kept: the password may have been changed since.
func (c *Conn) lookUpAnew(t *reactor.Task) (*users.User, error) {
	now, asked := time.Now().UnixNano(), c.login.asked
	c.login.asked = 0
	if k, ok := c.hub.Since(c.login.inquiry, c.name, asked, now); ok {
		return k.Good(now), nil
	}
	return c.inquire(t)
}

// inquire asks the database for the client's user, when its clients are not held: the one that it is then.
func (c *Conn) inquire(t *reactor.Task) (*users.User, error) {
	for {
		u, err := c.hub.Ask(t, c.login.inquiry, c.name)
		switch {
		case err == nil:
			return u, nil
		case t.Expired() || t.Killed() != nil:
			return nil, c.lateLogin(err)
		case !errors.Is(err, lookup.ErrHeld):
			return nil, pgerr.New(pgerr.UserLookup).Because(err)
		}
		if err := c.passGate(t); err != nil {
			return nil, c.lateLogin(err)
		}
		c.snap = c.hub.Current()
		u = c.snap.User(c.name)
		q, ok := c.snap.Inquiry(c.asked, c.name)
		if c.named = u != nil; c.named || !ok {
			return u, nil
		}
		c.login.inquiry = &q
	}
}

// keepKey keeps what the client has proved to have, where that opens servers.
func (c *Conn) keepKey() {
	x := c.login.exchange
	if x.KeyOf == nil {
		return
	}
	o, ok := c.snap.Owner(c.asked, c.name)
	if !ok {
		return
	}
	c.hub.Ring.Learn(o, x.KeyOf, x.Key)
	if q := c.login.inquiry; q != nil { // the answer may have become another one since: whichever comes last, the key goes
		if k, ok := c.hub.Users.Find(q.Place, c.name, 0); ok {
			c.hub.Ring.Keep(o, k.User.Verifier())
		}
	}
}
