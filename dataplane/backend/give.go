package backend

import (
	"net/netip"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/tlsconf"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// Gives says whether the leased connection, which is idle and owes nothing, can be given to another process.
func (c *Conn) Gives() bool {
	return c.phase == leased && c.EP.Plain() && c.EP.Drained() && !c.EP.HungUp() && c.cancels == 0 && c.inAt == len(c.in) && len(c.overheard) == 0
}

// Hand takes the connection off its loop, and adds to what is so on it what another process has to know to go on with it. Either Given or
// Keep follows.
func (c *Conn) Hand(to *heliosv1.CarriedServer) {
	ago := func(then int64) int64 { return (c.Loop().Now() - then) / int64(time.Millisecond) }
	to.Key = &heliosv1.CancelKey{Pid: c.PID, Secret: c.secret}
	to.Host, to.Port, to.BornMs, to.ReadyMs = c.route.Host, int32(c.route.Port), ago(c.Born), ago(c.Ready)
	if c.route.IP.IsValid() {
		to.Address = c.route.IP.String()
	}
	c.EP.Detach()
}

// Keep takes the connection back for t, as the other process has not taken it.
func (c *Conn) Keep(t *reactor.Task) error {
	if err := c.Loop().Adopt(c.EP); err != nil {
		return err
	}
	c.EP.Attach(t)
	return nil
}

// Given ends here what goes on in the other process. The owner does not hear of it.
func (c *Conn) Given() {
	c.phase = closed
	c.End()
	c.EP.Discard()
}

// Inherit makes a connection, leased to task, of one that another process has opened, at ep.
func Inherit(ep *reactor.Endpoint, task *reactor.Task, t *Target, o Owner, from *heliosv1.CarriedServer) *Conn {
	then := func(ago int64) int64 { return ep.Loop().Now() - ago*int64(time.Millisecond) }
	c := &Conn{Target: t, owner: o, EP: ep, Born: then(from.GetBornMs()), Ready: then(from.GetReadyMs())}
	c.PID, c.secret = from.GetKey().GetPid(), from.GetKey().GetSecret()
	ip, _ := netip.ParseAddrPort(from.GetAddress()) // none for a unix socket
	var has bool
	if c.route, has = t.server().Way(from.GetHost(), int(from.GetPort()), ip); !has || ip.IsValid() && t.insists() {
		other := *t // it is none that would be opened now, and is closed when it is free
		c.Target = &other
	}
	c.Server = serverstate.Server{Held: statement.NewHeld(t.MaxStatements, t.MaxStatementBytes)}
	c.Init(ep.Loop(), c)
	c.Lease(task)
	return c
}

// Part says goodbye at ep for a connection of another process that nobody can have here. The owner hears when the server has closed it.
func Part(ep *reactor.Endpoint, o Owner) {
	c := &Conn{owner: o, EP: ep, phase: leased}
	c.Init(ep.Loop(), c)
	c.Retire()
}

// insists says whether a connection over TCP has to be encrypted.
func (t *Target) insists() bool {
	if t.TLS == nil {
		return false
	}
	switch t.TLS.Mode() {
	case tlsconf.Disable, tlsconf.Allow, tlsconf.Prefer:
		return false
	}
	return true
}
