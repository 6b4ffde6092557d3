package serve

import (
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/relay"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/clock"
	"github.com/heliosproxy/heliosproxy/dataplane/snapshot"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// bound takes what the configuration says of how long the session may take for what it does.
func (c *Conn) bound(now snapshot.Times) {
	switch {
	case c.clock != nil:
		c.clock.Bound(now)
	case now != snapshot.Times{}:
		c.clock = clock.New(timed{c}, now)
	}
}

// mute says whether the client cannot be told why the clock has ended its session: it is within a message of the server.
func (c *Conn) mute() bool { return c.clock.Over() && c.session.Left().Tail > 0 }

// machine is the session as the relay sees it.
func (c *Conn) machine() relay.Machine {
	if c.clock == nil {
		return c.session
	}
	return timed{c}
}

// timed is a session whose statements are timed one by one, also where a client sends one before the other is answered.
type timed struct{ *Conn }

func (m timed) FromClient(p []byte, srv *serverstate.Server) (toServer, toClient []byte, err error) {
	if len(p) > 0 && !m.clock.Runs() {
		m.clock.Does(clock.Running)
	}
	return m.session.FromClient(p, srv)
}

func (m timed) FromServer(p []byte, srv *serverstate.Server) ([]byte, error) {
	before := m.session.Left().Owed
	out, err := m.session.FromServer(p, srv)
	if before > 0 && m.session.Left().Owed < before {
		m.clock.Does(clock.Running)
	}
	return out, err
}

func (m timed) Quiet() bool  { return m.session.Quiet() }
func (m timed) Lags() bool   { return m.session.Lags() }
func (m timed) Free() bool   { return m.session.Free() }
func (m timed) Room() bool   { return !m.clock.Cancels() && m.session.Room() }
func (m timed) Resume() bool { return m.session.Resume() }

func (m timed) LoggedIn() bool { return m.phase == serving }
func (m timed) Idle() bool     { return m.session.Status == pgwire.Idle }
func (m timed) Leased() bool   { return m.lease != nil }

// Overdue cancels the statement. The client is told why, if it is not within a message.
func (m timed) Overdue(after time.Duration, through func()) {
	if left := m.session.Left(); left.Tail == 0 && len(left.Head) == 0 {
		_ = m.warn(pgerr.New(pgerr.QueryTimeout, after))
	}
	m.lease.Cancel(func() {
		through()
		m.Wake()
	})
}

// tellPlace tells a client which place it has in the queue. Before it is logged in drivers expect no notice.
func (c *Conn) tellPlace(place, waiting int) {
	if c.phase == serving {
		_ = c.warn(pgerr.New(pgerr.StillWaiting, c.pool.Profile().Notice, place, waiting, place-1))
	}
}
