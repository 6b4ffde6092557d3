package serve

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/reactor"
	"github.com/heliosproxy/heliosproxy/dataplane/relay"
	"github.com/heliosproxy/heliosproxy/dataplane/session"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// logBegin logs that a client is logged in, or was taken over from another process.
func (c *Conn) logBegin(what string) {
	if e := c.hub.Log.Check(zap.InfoLevel, what); e != nil {
		e.Write(append(c.who(), zap.String("listener", c.door.Listener.Name), zap.Bool("tls", !c.ep.Plain()))...)
	}
}

// logEnd logs a log-in that was refused, or the end of a session, with the reason.
func (c *Conn) logEnd(err error) {
	level, what := zap.InfoLevel, "client disconnected"
	switch {
	case c.phase >= serving:
	case errors.Is(err, errGone): // a probe, or a cancel
		level, what = zap.DebugLevel, "connection ended"
	default:
		what = "log-in refused"
	}
	if e := c.hub.Log.Check(level, what); e != nil {
		e.Write(append(c.who(), zap.String("reason", c.reason(err)), zap.Duration("after", time.Duration(c.Loop().Now()-c.since)),
			zap.Uint64("received", c.ep.In), zap.Uint64("sent", c.ep.Out))...)
	}
}

// who says in fields of the log who the client is. A host name by which it has come is told, if it has said one.
func (c *Conn) who() []zap.Field {
	fields := append(make([]zap.Field, 0, 8), zap.Stringer("peer", c.peer), zap.String("user", c.name), zap.String("database", c.asked.Database))
	if c.asked.Server != "" {
		fields = append(fields, zap.String("server_name", c.asked.Server))
	}
	return fields
}

// reason is why a connection ends, in one line without SQL.
func (c *Conn) reason(err error) string {
	var pe *pgerr.Error
	var se *pgwire.ServerError
	switch {
	case c.session != nil && c.session.Fatal():
		return "the server has ended the session"
	case errors.Is(err, session.ErrTerminated), errors.Is(err, console.ErrTerminated):
		return "the client has said goodbye"
	case errors.As(err, &pe):
		return pe.SQLState + " " + pe.Message
	case errors.As(err, &se):
		return se.SQLState + " from the server"
	case errors.Is(err, relay.ErrServer):
		return "the server connection is lost"
	case errors.Is(err, reactor.ErrStopped):
		return "the proxy has ended"
	}
	return "the client has gone away"
}
