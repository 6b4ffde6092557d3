package session

import (
	"encoding/binary"
	"errors"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// ErrTerminated is returned where the client says goodbye.
var ErrTerminated = errors.New("the client has terminated the session")

// Begin looks at what a client without a server connection has sent. Where that needs a server, the answer is the first statement and the bytes
// from it on, which are the caller's to keep; they go into FromClient. Where it does not, rest is empty. reply is for the client.
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
		if err := pgwire.CheckFrontend(t, n); err != nil {
			return nil, nil, reply, err
		}
		switch {
		case t == pgwire.Terminate:
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
		s.first = query.Query{}
		isText := t == pgwire.Query || t == pgwire.Parse
		s.first.Opaque = isText && n > s.Limits.TextBytes
		s.first.Named = t == pgwire.Parse && len(p) > pgwire.HeaderSize && p[pgwire.HeaderSize] != 0
		if isText && !s.first.Opaque {
			if len(p) < pgwire.HeaderSize+n {
				s.keep(p)
				return nil, nil, reply, nil
			}
			s.first.Text, _ = pgwire.Text(t, p[pgwire.HeaderSize:pgwire.HeaderSize+n])
			s.first.StdStrings, s.first.Known = s.Want.StdStrings(), s.shared.Known
		}
		if t == pgwire.Query && len(s.first.Text)+1 == n {
			var deferred bool
			if reply, deferred = s.deferBegin(reply, &s.first); deferred {
				p = p[pgwire.HeaderSize+n:]
				continue
			}
		}
		s.judged = s.first.Text != nil && s.begun == nil
		return &s.first, p, reply, nil
	}
	return nil, nil, reply, nil
}

// Rejudge lets what Begin has said a server is needed for be judged again, as another configuration is in force by now.
func (s *Session) Rejudge() { s.judged = false }

// Preload puts bytes in front of what the client sends, which came in one packet with its log-in. It says whether there are any.
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
//
//go:noinline
func (s *Session) keep(p []byte) { s.input = append(make([]byte, 0, max(256, len(p))), p...) }

// Refuse answers the unit that begins with p, which Begin returned, with an error instead of a server.
// What is left of p behind it goes to Begin again.
func (s *Session) Refuse(p []byte, append_ func(dst []byte) []byte) (rest, reply []byte) {
	s.judged = false
	if s.begun != nil {
		s.Status = pgwire.InFailed
	}
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
// client is answered at once. Both are valid until the next park or composition. There is no error: see [Session.Ending].
func (s *Session) FromClient(p []byte, srv *serverstate.Server) (toServer, toClient []byte, err error) {
	if s.ending != nil || s.doubt.Asks && s.held {
		return s.probeAlone(), nil, nil
	}
	own := len(s.input) > 0
	if own {
		p = append(s.input, p...)
		s.input = nil
	}
	c := compose.New(p, *s.shared.Scratch)
	if s.doubt.Asks || s.prelude || s.begun != nil {
		s.precede(&c, srv)
	}
	s.unit.Break()
	i := s.beyond(&c, 0, len(p))
	for len(p)-i >= pgwire.HeaderSize {
		n := pgwire.Body(p[i:])
		if err := pgwire.CheckFrontend(p[i], n); err != nil || p[i] == pgwire.Terminate {
			return s.ends(&c, p[i], i, err)
		}
		took, whole := s.message(&c, p, i, n, srv)
		if !whole {
			break
		}
		s.judged = s.judged && planted.Is(planted.Judged) // which was about this message
		if i += took; s.pass|s.drop > 0 {
			i = s.beyond(&c, i, len(p))
		}
	}
	if i < len(p) {
		c.End(i)
		if own && i == 0 {
			s.input = p
		} else {
			s.keep(p[i:])
		}
	}
	return c.Output(s.shared.Scratch), s.queue.Settle(nil), nil
}

// precede sends what goes ahead of the client's messages.
func (s *Session) precede(c *compose.Composer, srv *serverstate.Server) {
	if s.doubt.Asks {
		s.probe(c)
	}
	if s.prelude && (s.queue.N > 0 || !planted.Is(planted.Late)) {
		s.prelude = false
		s.takeOver(c, srv)
	}
	if s.begun != nil {
		s.beginNow(c, srv)
	}
}

// ends ends the client's stream at i: with its goodbye, or with err. What stands before it is carried out, and answered whether the
// client has asked for that or not: a server that is not asked may keep back the end of a message of which it has sent the beginning.
// Behind a message of which nobody knows where it ends PostgreSQL answers nothing that was not asked for.
func (s *Session) ends(c *compose.Composer, t byte, i int, err error) (toServer, toClient []byte, _ error) {
	if s.ending = err; err == nil {
		s.ending = ErrTerminated
	}
	c.End(i)
	s.mute = err != nil && pgwire.Endless(t)
	switch {
	case s.doubt.Open && s.asks():
		c.UpTo(i)
		s.probe(c)
	case s.queue.Asked < s.queue.N && !s.mute:
		c.UpTo(i)
		c.Dst = pgwire.Append(c.Dst, pgwire.Flush, nil)
		s.queue.Asked = s.queue.N
	}
	return c.Output(s.shared.Scratch), s.queue.Settle(nil), nil
}

// beyond goes over what is not looked at of the message under way, in the input from i to end.
func (s *Session) beyond(c *compose.Composer, i, end int) int {
	if s.pass > 0 {
		k := min(s.pass, end-i)
		i, s.pass = i+k, s.pass-k
	}
	if s.drop > 0 && s.pass == 0 {
		k := min(s.drop, end-i)
		c.Skip(i, i+k)
		i, s.drop = i+k, s.drop-k
	}
	return i
}

// message deals with the message at p[i:], whose body has n bytes. It returns how much of p it took; what
// it left to s.pass or s.drop is not in that. It says false where more of the message has to be there.
func (s *Session) message(c *compose.Composer, p []byte, i, n int, srv *serverstate.Server) (took int, whole bool) {
	t := p[i]
	end := i + pgwire.HeaderSize + n
	if s.skips && t != pgwire.Sync {
		s.drop = end - i // the server would skip it
		return 0, true
	}
	if !expect.Continues(t) {
		s.unit.Break()
	}
	switch t {
	case pgwire.Query:
		return s.query(c, p, i, end, srv)
	case pgwire.Bind:
		took, whole = s.bind(c, p, i, end, srv)
		s.unsynced = s.unsynced || whole
		return took, whole
	case pgwire.Execute:
		if !s.execute(p, i, end) {
			return 0, false
		}
		s.unsynced = true
	case pgwire.Describe, pgwire.Close:
		took, whole = s.named(c, p, i, end, srv)
		s.unsynced = s.unsynced || whole
		return took, whole
	case pgwire.Parse:
		took, whole = s.parse(c, p, i, end, srv)
		s.unsynced = s.unsynced || whole
		return took, whole
	case pgwire.Sync:
		if len(p) < end {
			return 0, false
		}
		if !s.copyIn || planted.Is(planted.CopySync) { // the server ignores a Sync while it waits for copy data
			s.queue.PushSync(s.data, n > 0)
			s.unit.End(p, end)
			s.unsynced, s.skips = false, false
			if s.strays.Any() {
				c.UpTo(end)
				s.strays.CloseAll(c, &s.queue)
				return end - i, true
			}
		} else if s.data { // or it has refused them, and answers
			s.queue.PushSync(true, n > 0)
		}
	case pgwire.Flush:
		s.queue.Asked = s.queue.N
		if n > 0 { // it is refused
			s.unsynced = true
			s.queue.Push(expect.Answer{Kind: expect.Describe})
		}
	case pgwire.CopyData:
		s.data = true
	case pgwire.FunctionRun:
		return s.call(c, p, i, end, srv)
	case pgwire.CopyDone, pgwire.CopyFail:
		s.copyIn, s.data = false, false
		if s.queue.N > 0 {
			s.queue.Push(expect.Answer{Kind: expect.CopyEnd})
		}
	}
	return s.passes(p, i, end), true
}

// call deals with a FunctionCall. Unless its OID says that the function leaves nothing behind, the transaction may leave anything.
func (s *Session) call(c *compose.Composer, p []byte, i, end int, srv *serverstate.Server) (int, bool) {
	if body := i + pgwire.HeaderSize; !s.Keeps && end-body >= 4 { // else it is malformed: the server says so
		if len(p) < body+4 || len(p) < end && end-body <= s.Limits.TextBytes {
			return 0, false
		}
		leaves, harmless := pin.Called(binary.BigEndian.Uint32(p[body:]))
		if err := s.Policy.Refuses(0, leaves); err != nil {
			return s.refuseText(c, i, end, err, srv)
		}
		if !harmless {
			s.suspect(srv)
			s.Changes.Search(p[body:min(end, len(p))])
		}
		s.leave(leaves, srv)
	}
	s.Account.Queries++
	s.queue.Push(expect.Answer{Kind: expect.Function})
	return s.passes(p, i, end), true
}

// passes lets the message at p[i:end] go on as it is. It returns how much of it is there.
func (s *Session) passes(p []byte, i, end int) int {
	at := min(end, len(p))
	s.pass = end - at
	return at - i
}

// Foreign says whether the server connection has settings, or anything else, that are not this session's.
func (s *Session) Foreign(srv *serverstate.Server) bool {
	return srv.Settings != s.Want || srv.IsForeign(s.ID, s.Sequences)
}

// takeOver brings the server connection to the session's settings and takes away what is another session's, in a Query of the proxy's own.
func (s *Session) takeOver(c *compose.Composer, srv *serverstate.Server) {
	at := len(c.Dst)
	c.Use()
	c.Dst = pgwire.AppendHeader(c.Dst, pgwire.Query, 0)
	c.Dst = settings.AppendTakeOver(c.Dst, srv.Settings, s.Want, srv.Away(s.ID, s.Sequences))
	c.Dst = append(c.Dst, 0)
	binary.BigEndian.PutUint32(c.Dst[at+1:], uint32(len(c.Dst)-at-1))
	s.over, srv.Settings = srv.Settings, s.Want
	srv.Held.Unnamed = 0 // a Query ends it
	s.queue.Push(expect.Answer{Kind: expect.Query, Hidden: true})
}
