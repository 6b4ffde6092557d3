// Package replication is the machine of a client that talks to a walsender: every byte goes through as it came, and of the messages only their type and length are seen. It never reads a command and never answers one.
//
// A walsender has a protocol of its own (chapter "Streaming Replication Protocol" of PostgreSQL's manual): commands that
// are not SQL, and CopyBoth, in which both sides talk at once and for as long as they like. Nothing of it has to be
// understood for it to be relayed. Where messages begin has to be known, so that what the proxy itself has to say stands
// between two of them.
package replication

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Stream is the machine. It belongs to the loop of its client. It implements the relay's Machine.
type Stream struct {
	Kind string // "logical" or "physical"

	leave func() error
	meter *meter.Account

	client, server cursor
	status         byte  // of the last ReadyForQuery
	owed           int   // ReadyForQuery messages that the server owes
	bye            bool  // the client has said goodbye
	streams        bool  // CopyBoth is under way: it ends when somebody ends it, not by itself
	failed         bool  // the server's last message was an ErrorResponse
	why            error // the stream is left for this; what the server sends goes nowhere any more
}

// New makes the machine of a client whose server connection has just become ready. Commands and errors are counted in m.
// Where a message of the server has ended and the stream may be ended, leave is asked whether something ends it.
func New(m *meter.Account, leave func() error) *Stream {
	return &Stream{leave: leave, meter: m, status: pgwire.Idle}
}

// FromClient returns p for the server.
func (s *Stream) FromClient(p []byte, _ *serverstate.Server) (toServer, toClient []byte, err error) {
	for at := 0; at < len(p); {
		var typ byte
		at, typ = s.client.next(p, at)
		switch typ {
		case pgwire.Query:
			s.meter.Queries++
			s.owed++
		case pgwire.Sync, pgwire.FunctionRun: // a walsender refuses what comes with them, and is ready again
			s.owed++
		case pgwire.Terminate:
			s.bye = true
		}
	}
	return p, nil, nil
}

// FromServer returns p for the client: up to where the stream is left, if it is.
func (s *Stream) FromServer(p []byte, srv *serverstate.Server) (toClient []byte, err error) {
	if s.why != nil {
		return nil, nil
	}
	for at := 0; at < len(p); {
		var typ byte
		at, typ = s.server.next(p, at)
		if typ == 0 {
			continue
		}
		s.failed = typ == pgwire.ErrorResponse
		switch typ {
		case pgwire.ErrorResponse:
			s.meter.Failed([2]byte{'?', '?'}) // it is not looked into
		case pgwire.CopyBothResponse:
			s.streams = true
		case pgwire.ReadyForQuery:
			s.status, srv.Status = s.server.last, s.server.last
			s.streams, s.owed = false, max(0, s.owed-1)
		}
		if s.Leaves() != nil {
			return p[:at], nil
		}
	}
	return p, nil
}

// Leaves returns why the proxy ends the stream, if it does. It may where the client is between two messages of the
// server, and what is under way has no end of its own, or nothing is. An answer is final.
func (s *Stream) Leaves() error {
	if s.why == nil && s.server.between() && (s.streams || !s.Busy() && s.status == pgwire.Idle) {
		s.why = s.leave()
	}
	return s.why
}

// Between says whether the client is between two messages of the server, and so can be told something by the proxy.
func (s *Stream) Between() bool { return s.server.between() }

// Knows says whether the client knows why the connection ends: the last that it was told is an error, or it has said
// goodbye.
func (s *Stream) Knows() bool { return s.bye || s.failed && s.server.between() }

// Partial says whether the server was sent the beginning of a message and not its end.
func (s *Stream) Partial() bool { return !s.client.between() }

// Busy says whether the server has something to do.
func (s *Stream) Busy() bool { return s.owed > 0 || s.Partial() }

// Quiet says that the session may rest: whatever comes next wakes it.
func (s *Stream) Quiet() bool { return true }

// Free says that the relay is to return though there is more to move: the stream is left.
func (s *Stream) Free() bool { return s.why != nil }

// Room says that more may be read from the client: nothing is kept of it.
func (s *Stream) Room() bool { return s.why == nil }

// Resume says that nothing was kept back.
func (s *Stream) Resume() bool { return false }

// Lags says that nobody measures who waits for whom.
func (s *Stream) Lags() bool { return false }

// cursor follows the messages of one direction.
type cursor struct {
	head [pgwire.HeaderSize]byte
	n    int  // bytes of head that are there; 0 between messages
	body int  // bytes of the body that are to come, where head is whole
	last byte // the last byte of the message that has ended
}

// between says whether the last message has ended and no other has begun.
func (c *cursor) between() bool { return c.n == 0 }

// next goes on from p[at] to the end of a message or of p, which has something there. The type is that of the message
// that has ended; 0 if none has.
func (c *cursor) next(p []byte, at int) (end int, typ byte) {
	if c.n < pgwire.HeaderSize {
		k := copy(c.head[c.n:], p[at:])
		at += k
		if c.n += k; c.n < pgwire.HeaderSize {
			return at, 0
		}
		c.body = max(0, pgwire.Body(c.head[:])) // a length that no message has is for who reads it to refuse
	}
	k := min(c.body, len(p)-at)
	at += k
	if c.body -= k; c.body > 0 {
		return at, 0
	}
	c.n = 0
	c.last = p[at-1]
	return at, c.head[0]
}
