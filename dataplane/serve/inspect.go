package serve

import (
	"fmt"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/backend"
	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/pool"
	"github.com/heliosproxy/heliosproxy/dataplane/serve/showing"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Describe is the connection as an administrator sees it. It is called on the loop's thread.
func (c *Conn) Describe() console.Client {
	l := c.Loop()
	at := func(since int64) time.Time { return time.Now().Add(-time.Duration(l.Now() - since)) }
	x := console.Client{
		ID: c.id, User: c.name, Database: c.asked.Database, State: c.pgbouncerState(), Connected: at(c.since), Self: fmt.Sprintf("%p", c),
		Received: c.ep.In, Sent: c.ep.Out, Closing: c.Killed() != nil, PinnedBy: c.pins.String(),
	}
	x.Addr, x.Port = showing.Host(c.peer)
	x.LocalAddr, x.LocalPort = showing.Host(c.ep.LocalAddress())
	if c.last != 0 {
		x.Requested = at(c.last)
	}
	x.Wait = c.Waited()
	if c.lease != nil {
		x.Link = fmt.Sprintf("%p", c.lease)
	}
	x.TLS = c.ep.Cipher()
	if c.stream != nil {
		x.Replication = c.stream.Kind
	}
	if c.session != nil {
		x.Application, _ = c.session.Want.Get("application_name")
		x.Statements = len(c.session.Names.All)
	}
	return x
}

// Waited is how long the client has waited for a server connection, or for an administrator to let it go on; 0 if it does not wait.
func (c *Conn) Waited() time.Duration {
	if !c.waiting || c.console != nil {
		return 0
	}
	return time.Duration(max(c.Loop().Now()-max(c.last, c.since), 1))
}

// Pinned says whether the client keeps its server connection for what it has there.
func (c *Conn) Pinned() bool { return c.pins != 0 }

// pgbouncerState is the state in PgBouncer's words.
func (c *Conn) pgbouncerState() string {
	switch {
	case c.carries:
		return "active_cancel_req"
	case c.phase < serving && c.session == nil:
		return "login"
	case c.waiting && c.console == nil:
		return "waiting"
	case c.lease != nil || c.console != nil:
		return "active"
	}
	return "idle"
}

// DescribeServer is a server connection as an administrator sees it. client is whose it is, nil if nobody's.
func DescribeServer(p *pool.Pool, s *backend.Conn, client *Conn) console.Server {
	x := showing.Server(p, s)
	if client != nil {
		x.Link, x.Database = fmt.Sprintf("%p", client), client.asked.Database
		if client.session != nil {
			x.Application, _ = client.session.Want.Get("application_name")
		}
	}
	return x
}

// Pool returns the pool that the client's statements go to; nil where it is not logged in to a database.
func (c *Conn) Pool() *pool.Pool { return c.pool }

// Pins is why the session keeps its server connection.
func (c *Conn) Pins() pin.Set { return c.pins }

// Database returns the database that the client has named, and User whom.
func (c *Conn) Database() string { return c.asked.Database }

// User returns who the client is.
func (c *Conn) User() string { return c.name }

// ID returns the number of the connection, which no other has had.
func (c *Conn) ID() uint64 { return c.id }

// Lease returns the server connection that the client has; nil if none.
func (c *Conn) Lease() *backend.Conn { return c.lease }

// CameBefore says whether the client had connected by then.
func (c *Conn) CameBefore(t time.Time) bool {
	return time.Since(t) < time.Duration(c.Loop().Now()-c.since)
}

// Administers says that the client is one of the console.
func (c *Conn) Administers() bool { return c.console != nil }

// Rests says that the client waits neither for a server connection nor for a command of the console.
func (c *Conn) Rests() bool { return !c.waiting }

// InTransaction says whether a transaction or a statement is under way.
func (c *Conn) InTransaction() bool {
	return c.lease != nil && (c.stream != nil || !c.session.Quiet() || c.session.Status != pgwire.Idle)
}

// EndByAdmin ends the connection on an administrator's behalf. It is called on the loop's thread.
func (c *Conn) EndByAdmin() {
	if c.phase <= serving {
		c.Kill(pgerr.New(pgerr.AdminEnded))
	}
}
