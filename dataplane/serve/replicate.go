package serve

import (
	"errors"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/relay"
	"github.com/heliosproxy/heliosproxy/dataplane/replication"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// welcomeReplication opens a walsender for a client that is who it says. There is no session: what the client has of the
// proxy is a server connection of its own and a machine that lets everything through.
func (c *Conn) welcomeReplication(t *reactor.Task, verdict []byte) error {
	s, err := c.await(t, func() (*backend.Conn, error) { return c.pool.Own(t, &c.waiter, c.login.start.Parameters) })
	if err != nil {
		return fatal(err)
	}
	c.lease, c.stream = s, replication.New(c.account, c.leaving)
	if c.stream.Kind = "logical"; c.login.start.Physical() {
		c.stream.Kind = "physical"
	}
	rest := c.login.startup.Rest()
	if err := c.greetWith(verdict, s.Params, s.PID); err != nil {
		return err
	}
	c.hub.Log.Info("a replication connection", append(c.who(), zap.String("node", s.Target.Node), zap.Uint32("walsender", s.PID))...)
	if len(rest) == 0 {
		return nil
	}
	out, _, err := c.stream.FromClient(rest, &s.Server)
	if err != nil {
		return err
	}
	if err := s.EP.Send(out); err != nil {
		return serverFailed(err)
	}
	return nil
}

// replicate relays for as long as there is something to relay, and looks whether the connection may go on.
func (c *Conn) replicate(t *reactor.Task) error {
	for {
		if err := t.Killed(); err != nil {
			return err
		}
		if why := c.stream.Leaves(); why != nil {
			if !c.ep.Drained() {
				return c.ep.Fault() // the client gets first what it was sent
			}
			return why
		}
		if (!c.lease.EP.Readable() || !c.ep.Drained()) && (!c.ep.Readable() || !c.lease.EP.Drained()) {
			return c.ep.Fault()
		}
		if err := relay.Run(t, c.ep, c.lease, c.stream, nil, &c.watch.Client); err != nil {
			return err
		}
	}
}

// leaving returns why a client of replication has to go, if it has.
func (c *Conn) leaving() error {
	if c.fate == Ends {
		return pgerr.New(pgerr.ShuttingDown)
	}
	snap := c.hub.Current()
	if snap == c.snap {
		return nil
	}
	if err := c.Removed(snap); err != nil {
		return err
	}
	c.snap = snap
	return nil
}

// deaf says whether the client of replication can, or need, not be told why its connection ends: it is within a message of the server, or knows.
func (c *Conn) deaf(err error) bool {
	return c.stream != nil && (!c.stream.Between() || errors.Is(err, relay.ErrServer) && c.stream.Knows())
}

// dismiss ends the walsender.
func (c *Conn) dismiss(err error) {
	s := c.lease
	c.lease = nil
	if errors.Is(err, relay.ErrServer) {
		s.Lose()
		return
	}
	s.Dismiss(c.stream.Busy(), c.stream.Partial())
}

var _ relay.Machine = (*replication.Stream)(nil)
