package session

import (
	"errors"
	"strconv"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// ErrTerminated is returned where the client says goodbye.
var ErrTerminated = errors.New("the client has terminated the session")

// Lengths that PostgreSQL allows.
const (
	smallMessage = 10000
	largeMessage = 1<<30 - 1
)

// Begin looks at what a client without a server connection has sent. Where that needs a server, the
// answer is the first statement and the bytes from it on, which are the caller's to keep; they go into
// FromClient. Where it does not, rest is empty. reply is for the client.
func (s *Session) Begin(p []byte) (q *query.Query, rest, reply []byte, err error) {
	if len(s.input) > 0 {
		p = append(s.input, p...)
		s.input = nil
	}
	for len(p) > 0 {
		if s.drop > 0 {
			k := min(s.drop, len(p))
			p, s.drop = p[k:], s.drop-k
			continue
		}
		if len(p) < pgwire.HeaderSize {
			s.keep(p)
			return nil, nil, reply, nil
		}
		t, n := p[0], pgwire.Body(p)
		if err := check(t, n); err != nil {
			return nil, nil, reply, err
		}
		switch {
		case t == pgwire.Terminate:
			s.Terminated = true
			return nil, nil, reply, ErrTerminated
		case s.skipping && t == pgwire.Sync:
			s.skipping = false
			reply = pgwire.AppendReady(reply, s.Status)
			p = p[pgwire.HeaderSize:]
			continue
		case s.skipping || t == pgwire.CopyData || t == pgwire.CopyDone || t == pgwire.CopyFail:
			s.drop = pgwire.HeaderSize + n // what PostgreSQL ignores outside of COPY
			continue
		}
		if t == pgwire.Parse {
			if took, ok := s.prepareHere(p, n); ok {
				reply = append(reply, pgwire.ParseComplete, 0, 0, 0, 4)
				reply = pgwire.AppendReady(reply, s.Status)
				p = p[took:]
				continue
			}
		}
		s.first = query.Query{Opaque: n > s.Limits.TextBytes, StdStrings: s.stdStrings()}
		if (t == pgwire.Query || t == pgwire.Parse) && !s.first.Opaque {
			if len(p) < pgwire.HeaderSize+n {
				s.keep(p)
				return nil, nil, reply, nil
			}
			s.first.Text, _ = textOf(t, p[pgwire.HeaderSize:pgwire.HeaderSize+n])
		}
		s.judged = s.first.Text != nil
		return &s.first, p, reply, nil
	}
	return nil, nil, reply, nil
}

// Preload puts bytes in front of what the client sends, which came in one packet with its log-in. It
// says whether there are any.
func (s *Session) Preload(p []byte) bool {
	if len(p) > 0 {
		s.input = append([]byte(nil), p...)
	}
	return len(p) > 0
}

// Take returns what Preload has put in front, for a session that has its server connection already.
func (s *Session) Take() []byte {
	p := s.input
	s.input = nil
	return p
}

// keep copies the beginning of a message.
func (s *Session) keep(p []byte) { s.input = append(make([]byte, 0, max(256, len(p))), p...) }

// Refuse answers the unit that begins with p, which Begin returned, with an error instead of a server.
// What is left of p behind it goes to Begin again.
func (s *Session) Refuse(p []byte, append_ func(dst []byte) []byte) (rest, reply []byte) {
	s.judged = false
	reply = append_(nil)
	t, n := p[0], pgwire.HeaderSize+pgwire.Body(p)
	if t == pgwire.Query || t == pgwire.FunctionRun {
		reply = pgwire.AppendReady(reply, s.Status)
	} else {
		s.skipping = true
		if t == pgwire.Sync {
			n = 0 // it ends the unit that it is
		}
	}
	k := min(n, len(p))
	s.drop = n - k
	return p[k:], reply
}

// Prelude makes the settings of the session go ahead of what FromClient returns next.
func (s *Session) Prelude() { s.prelude = true }

// FromClient turns bytes of the client into bytes for the server connection srv, and bytes that the
// client is answered at once. Both are valid until the next park or composition.
func (s *Session) FromClient(p []byte, srv *serverstate.Server) (toServer, toClient []byte, err error) {
	own := len(s.input) > 0
	if own {
		p = append(s.input, p...)
		s.input = nil
	}
	c := compose(p, *s.shared.Scratch)
	if s.prelude {
		s.prelude = false
		s.sendSettings(&c, srv)
	}
	i := 0
	for i < len(p) {
		if s.pass > 0 {
			k := min(s.pass, len(p)-i)
			i, s.pass = i+k, s.pass-k
			continue
		}
		if s.drop > 0 {
			k := min(s.drop, len(p)-i)
			c.skip(i, i+k)
			i, s.drop = i+k, s.drop-k
			continue
		}
		if len(p)-i < pgwire.HeaderSize {
			break
		}
		n := pgwire.Body(p[i:])
		if err := check(p[i], n); err != nil {
			return nil, nil, err
		}
		took, whole, err := s.message(&c, p, i, n, srv)
		if err != nil {
			return nil, nil, err
		}
		if !whole {
			break
		}
		i += took
	}
	if i < len(p) {
		c.end(i)
		if own && i == 0 {
			s.input = p
		} else {
			s.keep(p[i:])
		}
	}
	toServer = c.output(s.shared.Scratch)
	return toServer, s.settleFront(nil), nil
}

// message deals with the message at p[i:], whose body has n bytes. It returns how much of p it took; what
// it left to s.pass or s.drop is not in that. It says false where more of the message has to be there.
func (s *Session) message(c *composer, p []byte, i, n int, srv *serverstate.Server) (took int, whole bool, err error) {
	t := p[i]
	end := i + pgwire.HeaderSize + n
	if s.skips && t != pgwire.Sync && t != pgwire.Terminate {
		s.drop = end - i // the server would skip it
		return 0, true, nil
	}
	switch t {
	case pgwire.Query:
		return s.query(c, p, i, end, srv)
	case pgwire.Parse:
		return s.parse(c, p, i, end, srv)
	case pgwire.Bind:
		return s.bind(c, p, i, end, srv)
	case pgwire.Describe, pgwire.Close:
		return s.named(c, p, i, end, srv)
	case pgwire.Execute:
		return s.execute(p, i, end)
	case pgwire.Sync:
		if len(p) < end {
			return 0, false, nil
		}
		if !s.copyIn { // the server ignores a Sync while it waits for copy data
			s.queue.push(expect{kind: sync})
			s.unsynced, s.skips = false, false
			if len(s.strays) > 0 {
				c.upTo(end)
				s.closeStrays(c)
				return end - i, true, nil
			}
		}
	case pgwire.Flush, pgwire.CopyData:
	case pgwire.FunctionRun:
		s.shared.Meter.Queries++
		s.queue.push(expect{kind: function})
	case pgwire.CopyDone, pgwire.CopyFail:
		s.copyIn = false
		if s.queue.n > 0 {
			s.queue.push(expect{kind: copyEnd})
		}
	case pgwire.Terminate:
		s.Terminated = true
		return 0, false, ErrTerminated
	}
	s.pass = end - i
	return 0, true, nil
}

// sendSettings brings the server connection to the session's settings, in a Query of the proxy's own.
func (s *Session) sendSettings(c *composer, srv *serverstate.Server) {
	at := len(c.dst)
	c.used = true
	c.dst = pgwire.AppendHeader(c.dst, pgwire.Query, 0)
	c.dst = settings.AppendChange(c.dst, srv.Settings, s.Want)
	c.dst = append(c.dst, 0)
	patchLength(c.dst, at)
	srv.Settings = s.Want
	srv.Held.Unnamed = 0 // a Query ends it
	s.queue.push(expect{kind: simple, hidden: true})
}

// patchLength sets the length of the message at the end of dst that begins at at.
func patchLength(dst []byte, at int) {
	n := len(dst) - at - 1
	dst[at+1], dst[at+2], dst[at+3], dst[at+4] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
}

// check refuses the types and lengths of messages that PostgreSQL refuses.
func check(t byte, n int) error {
	limit := smallMessage
	switch t {
	case pgwire.Query, pgwire.Parse, pgwire.Bind, pgwire.CopyData, pgwire.FunctionRun:
		limit = largeMessage
	case pgwire.Describe, pgwire.Close, pgwire.Execute, pgwire.Sync, pgwire.Flush, pgwire.CopyDone, pgwire.CopyFail, pgwire.Terminate:
	default:
		return pgerr.New(pgerr.ProtocolViolation, "invalid frontend message type "+strconv.Itoa(int(t)))
	}
	if n < 0 || n > limit {
		return pgerr.New(pgerr.ProtocolViolation, "invalid message length")
	}
	return nil
}

// textOf returns the SQL of the body of a Query or Parse message.
func textOf(t byte, body []byte) ([]byte, bool) {
	if t == pgwire.Parse {
		_, rest, ok := pgwire.CString(body)
		if !ok {
			return nil, false
		}
		body = rest
	}
	text, _, ok := pgwire.CString(body)
	return text, ok
}

// stdStrings is the session's standard_conforming_strings.
func (s *Session) stdStrings() bool {
	v, ok := s.Want.Get("standard_conforming_strings")
	return !ok || v != "off"
}
