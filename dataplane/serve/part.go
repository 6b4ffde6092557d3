package serve

import (
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/session/carry"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Fate is what becomes of a session as soon as no transaction is open.
type Fate uint8

// Fates.
const (
	Stays Fate = iota
	Moves      // to the process that takes this one's place, if it can
	Ends       // it is told that the proxy shuts down
)

// Successor is the process that takes this one's place.
type Successor interface {
	// Carry sends a session there, without waiting: of c, which hears of the outcome by [Conn.Arrived] or [Conn.Return]. The descriptors
	// are its client's and, if it has one, its server connection's.
	Carry(c *Conn, s *heliosv1.CarriedSession, descriptors ...int)
}

// Meet says what is to become of the connection's session, on its loop's thread.
func (c *Conn) Meet(f Fate) {
	c.fate = f
	c.Wake()
}

// Fate is what is to become of the connection's session.
func (c *Conn) Fate() Fate { return c.fate }

// part lets a session that does nothing meet its fate. It is gone if another process has it.
func (c *Conn) part() (gone bool, err error) {
	if c.fate == Ends {
		return false, pgerr.New(pgerr.ShuttingDown)
	}
	if c.session.News() {
		if err := c.deliver(); err != nil {
			return false, err
		}
	}
	if c.more || !c.ep.Plain() || !c.ep.Drained() || c.ep.HungUp() || c.lease != nil && !c.lease.Gives() {
		return false, nil
	}
	s, ok := carry.Pack(c.session)
	if !ok {
		return false, nil
	}
	s.Id, s.Listener, s.User, s.Configured, s.Database, s.ServerName = c.id, c.door.Listener.Name, c.name, c.named, c.asked.Database, c.asked.Server
	if !c.peer.IsUnix() {
		s.Peer = c.peer.IP.String()
	}
	s.Key = &heliosv1.CancelKey{Pid: c.key.PID, Secret: c.key.Secret()}
	s.AgeMs = (c.Loop().Now() - c.since) / int64(time.Millisecond)
	c.phase = given
	c.ep.Detach()
	if c.lease == nil {
		c.hub.Successor.Carry(c, s, c.ep.Descriptor())
		return true, nil
	}
	carry.PackServer(c.session, s, &c.lease.Server)
	s.Server.Pool = c.pool.Message()
	c.lease.Hand(s.GetServer())
	c.hub.Successor.Carry(c, s, c.ep.Descriptor(), c.lease.EP.Descriptor())
	return true, nil
}

// Arrived ends here what goes on in another process.
func (c *Conn) Arrived() {
	if c.lease != nil {
		c.pool.Give(c.lease)
		c.lease = nil
	}
	c.clock.Stop()
	c.hub.Keys.Revoke(c.key)
	c.leave()
	c.phase = over
	c.End()
	c.ep.Discard()
}

// Return lets a session go on that the other process has not taken.
func (c *Conn) Return() {
	c.phase, c.fate = serving, Stays
	if err := c.Loop().Adopt(c.ep); err != nil {
		c.hub.Log.Error("a client cannot be taken back", zap.Error(err))
		c.ep.Discard()
		c.end(errGone)
		return
	}
	c.ep.Attach(&c.Task)
	if c.lease != nil {
		if err := c.lease.Keep(&c.Task); err != nil {
			c.end(serverFailed(err))
			return
		}
	}
	c.Wake()
}

// Take lets a session go on here that another process has given, on the thread of its loop. server is the connection that it keeps; nil
// where it keeps none.
func Take(h *Hub, ep, server *reactor.Endpoint, peer reactor.Address, door *Door, s *heliosv1.CarriedSession) {
	c := enter(h, ep, peer, door)
	if err := c.take(server, s); err != nil {
		if server != nil { // nobody can have it but its session
			h.Pools.Refuse(server, s.GetServer())
		}
		c.end(err)
		return
	}
	c.logBegin("client taken over")
	c.Wake()
}

// take makes the connection's session what the other process says that it is.
func (c *Conn) take(server *reactor.Endpoint, s *heliosv1.CarriedSession) error {
	h := c.hub
	c.since -= s.GetAgeMs() * int64(time.Millisecond)
	c.name, c.named, c.asked = s.GetUser(), s.GetConfigured(), snapshot.Asked{Database: s.GetDatabase(), Server: s.GetServerName()}
	c.snap = h.Current()
	c.phase, c.fate, c.login = serving, h.Fate(), nil
	r, _ := c.snap.Route(c.asked, c.name)
	c.at = r.Counts.Resource
	_ = h.Clients.Enter(&c.place, c.address(), false, admission.Bounds{}) // it was in already
	_ = h.Clients.Admit(&c.place, r.Counts, c.name, admission.Bounds{})
	if err := c.Removed(c.snap); err != nil {
		return err
	}
	c.pool = h.Pools.Get(r.Alias, r.Target, r.Profile)
	c.open()
	c.waiter.Alive = c.waits
	c.begin(r, carry.Startup(s))
	c.key = h.Keys.Restore(c, s.GetKey().GetPid(), s.GetKey().GetSecret())
	var srv *serverstate.Server
	if server != nil {
		if c.pool.Key != pool.KeyOf(s.GetServer().GetPool()) || r.Keeps != s.GetServer().GetForGood() {
			return pgerr.New(pgerr.Removed, "the pool of its server connection")
		}
		c.lease = c.pool.Inherit(server, &c.Task, s.GetServer())
		srv = &c.lease.Server
		carry.UnpackServer(srv, s.GetServer(), c.session)
	}
	carry.Unpack(c.session, s, srv, h.Statements, c.local.shared.Known)
	c.pins = c.session.Reasons.All()
	return nil
}
