package serve

import (
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/session/carry"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/admission"
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
	// Carry sends a session there, without waiting: of c, which hears of the outcome by [Conn.Arrived] or [Conn.Return].
	Carry(c *Conn, s *heliosv1.CarriedSession, descriptor int)
}

// Meet says what is to become of the connection's session, on its loop's thread.
func (c *Conn) Meet(f Fate) {
	c.fate = f
	c.Wake()
}

// Fate is what is to become of the connection's session.
func (c *Conn) Fate() Fate { return c.fate }

// part lets a session that has no server connection meet its fate. It is gone if another process has it.
func (c *Conn) part() (gone bool, err error) {
	if c.fate == Ends {
		return false, pgerr.New(pgerr.ShuttingDown)
	}
	if c.more || !c.ep.Plain() || !c.ep.Drained() || c.ep.HungUp() {
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
	c.hub.Successor.Carry(c, s, c.ep.Descriptor())
	return true, nil
}

// Arrived ends here what goes on in another process.
func (c *Conn) Arrived() {
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
	c.Wake()
}

// Take lets a session go on here that another process has given, on the thread of its loop.
func Take(h *Hub, ep *reactor.Endpoint, peer reactor.Address, door *Door, s *heliosv1.CarriedSession) {
	c := enter(h, ep, peer, door)
	c.since -= s.GetAgeMs() * int64(time.Millisecond)
	c.login = nil
	c.name, c.named, c.asked = s.GetUser(), s.GetConfigured(), snapshot.Asked{Database: s.GetDatabase(), Server: s.GetServerName()}
	c.snap = h.Current()
	c.phase, c.fate = serving, h.Fate()
	r, _ := c.snap.Route(c.asked, c.name)
	c.at = r.Counts.Resource
	_ = h.Clients.Enter(&c.place, c.address(), admission.Bounds{}) // it was in already
	_ = h.Clients.Admit(&c.place, r.Counts, c.name, admission.Bounds{})
	if err := c.Removed(c.snap); err != nil {
		c.end(err)
		return
	}
	c.pool = h.Pools.Get(r.Alias, r.Target, r.Profile)
	c.open()
	c.waiter.Alive = c.waits
	c.begin(r, carry.Startup(s))
	carry.Unpack(c.session, s, h.Statements, c.local.shared.Known)
	c.key = h.Keys.Restore(c, s.GetKey().GetPid(), s.GetKey().GetSecret())
	c.logBegin("client taken over")
	c.Wake()
}
