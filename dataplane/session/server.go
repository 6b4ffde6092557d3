package session

import (
	"bytes"

	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// maxInspected bounds the server's messages that are looked at whole; larger ones go through unseen.
const maxInspected = 1 << 16

// FromServer turns bytes of the server connection srv into bytes for the client, valid until the next park
// or composition. An error means that the two sides have lost each other.
func (s *Session) FromServer(p []byte, srv *serverstate.Server) ([]byte, error) {
	own := len(s.part) > 0
	if own {
		p = append(s.part, p...)
		s.part = nil
	}
	c := compose(p, *s.shared.Scratch)
	i := 0
	for i < len(p) {
		if s.through > 0 {
			k := min(s.through, len(p)-i)
			if i, s.through = i+k, s.through-k; s.through == 0 {
				c.settle(s, i)
			}
			continue
		}
		if s.swallow > 0 {
			k := min(s.swallow, len(p)-i)
			c.skip(i, i+k)
			i, s.swallow = i+k, s.swallow-k
			continue
		}
		if len(p)-i < pgwire.HeaderSize {
			break
		}
		n := pgwire.Body(p[i:])
		if n < 0 {
			return nil, pgerr.New(pgerr.ServerLost)
		}
		end := i + pgwire.HeaderSize + n
		if inspected(p[i]) && n <= maxInspected {
			if len(p) < end {
				break
			}
			s.answer(&c, p, i, end, srv)
			if s.fault != nil {
				return nil, s.fault
			}
			i = end
			continue
		}
		if s.count(p[i], srv) {
			s.swallow = end - i
		} else {
			s.through = end - i
		}
	}
	if i < len(p) {
		c.end(i)
		s.part = append(make([]byte, 0, 256), p[i:]...)
	}
	return c.output(s.shared.Scratch), nil
}

// inspected says whether the content of a message matters, not its type alone.
func inspected(t byte) bool {
	switch t {
	case pgwire.ReadyForQuery, pgwire.ErrorResponse, pgwire.CommandComplete, pgwire.ParameterStatus,
		pgwire.ParseComplete, pgwire.BindComplete, pgwire.CloseComplete, pgwire.NoData, pgwire.EmptyQueryResponse, pgwire.PortalSuspended,
		pgwire.CopyInResponse:
		return true
	}
	return false
}

// count keeps the books for a message that is not inspected. It says whether it is for the proxy.
func (s *Session) count(t byte, srv *serverstate.Server) (hidden bool) {
	e := s.queue.front()
	if t == pgwire.ErrorResponse { // a very long one
		s.skipUnit(e, srv)
		return false
	}
	if e == nil {
		return false
	}
	hidden = e.hidden && t != pgwire.NotificationResponse
	if t == pgwire.RowDescription && e.kind == describe {
		s.queue.pop()
	}
	return hidden
}

// answer deals with a whole message of the server, at p[i:end].
func (s *Session) answer(c *composer, p []byte, i, end int, srv *serverstate.Server) {
	e := s.queue.front()
	hidden := e != nil && e.hidden
	body := p[i+pgwire.HeaderSize : end]
	switch p[i] {
	case pgwire.ParseComplete:
		if e != nil && e.st != nil {
			e.st.Accepted.Store(true)
		}
		if e != nil && e.before != nil {
			s.shared.spare = append(s.shared.spare, e.before)
		}
		s.pop()
	case pgwire.BindComplete, pgwire.CloseComplete:
		s.pop()
	case pgwire.NoData:
		if e != nil && e.kind == describe {
			s.pop()
		}
	case pgwire.CommandComplete, pgwire.EmptyQueryResponse, pgwire.PortalSuspended:
		if p[i] == pgwire.CommandComplete && !hidden {
			s.complete(c, e, body, i, end, srv)
		}
		if e != nil && e.kind == execute {
			s.pop()
		} else if e != nil {
			e.ordinal++
		}
	case pgwire.CopyInResponse:
		s.beginCopy(e)
	case pgwire.ParameterStatus:
		name, rest, ok := pgwire.CString(body)
		if value, _, ok2 := pgwire.CString(rest); ok && ok2 {
			srv.SetParam(name, value)
			if n := string(bytes.ToLower(name)); !hidden && !s.Keeps && settings.Settable(n) {
				s.surprised = s.surprised || !s.Dirty()
				s.touch(n)
			}
		}
	case pgwire.ErrorResponse:
		s.failed(c, e, body, i, end, srv)
		c.settle(s, end)
		return
	case pgwire.ReadyForQuery:
		if len(body) != 1 {
			s.fault = pgerr.New(pgerr.ServerLost)
			return
		}
		srv.Status = body[0]
		s.ready()
		if !hidden {
			s.Status = body[0]
			if s.Status == pgwire.Idle {
				s.portal = nil
				if len(s.portals) > 0 {
					clear(s.portals)
				}
			}
		}
	}
	if hidden {
		c.skip(i, end)
	}
	c.settle(s, end)
}

// ready takes the expectation that a ReadyForQuery fulfils off the queue.
func (s *Session) ready() {
	for s.queue.n > 0 {
		k := s.queue.front().kind
		s.queue.pop()
		if k == sync || k == simple || k == function {
			return
		}
	}
}

func (s *Session) pop() {
	if s.queue.n > 0 {
		s.queue.pop()
	}
}

// settle answers what the proxy answers itself and whose turn it is, behind the input before end.
func (c *composer) settle(s *Session, end int) {
	if e := s.queue.front(); e == nil || e.kind != virtual && e.kind != copyEnd {
		return
	}
	if c.from < end {
		c.upTo(end)
	}
	c.used = true
	c.dst = s.settleFront(c.dst)
}

// settleFront appends the answers that the proxy gives itself and whose turn it is.
func (s *Session) settleFront(dst []byte) []byte {
	for e := s.queue.front(); e != nil && (e.kind == virtual || e.kind == copyEnd); e = s.queue.front() {
		if e.kind == virtual {
			dst = append(dst, pgwire.ParseComplete, 0, 0, 0, 4)
		}
		s.queue.pop()
	}
	return dst
}

// complete deals with a CommandComplete for the client.
func (s *Session) complete(c *composer, e *expect, body []byte, i, end int, srv *serverstate.Server) {
	if len(body) > 0 && body[0] == 'D' { // DISCARD ALL and DEALLOCATE ALL that got through to the server
		switch string(bytes.TrimRight(body, "\x00")) {
		case "DISCARD ALL":
			srv.Held.Clear()
			srv.Tainted = srv.Tainted || !s.Keeps
			s.forgetStatements()
		case "DEALLOCATE ALL":
			srv.Held.Clear()
		}
	}
	if e == nil || e.effects == nil {
		return
	}
	ordinal := int(e.ordinal)
	for k := range e.effects.Steps {
		step := &e.effects.Steps[k]
		if step.Ordinal != ordinal {
			continue
		}
		s.done(step, srv)
		if step.Tag != "" {
			c.replace(i, end)
			c.dst = pgwire.AppendTag(c.dst, step.Tag)
		}
	}
}

// beginCopy deals with CopyInResponse. A Sync that was sent ahead of the data is ignored by the server.
func (s *Session) beginCopy(e *expect) {
	s.copyIn = true
	if e == nil || e.kind != execute {
		for i := range s.queue.n {
			if s.queue.get(i).kind == copyEnd {
				s.copyIn = false
			}
		}
		return
	}
	for i := 1; i < s.queue.n; {
		switch s.queue.get(i).kind {
		case copyEnd:
			s.copyIn = false
			return
		case sync:
			s.queue.remove(i)
			s.unsynced = true
		default:
			i++
		}
	}
}

// failed deals with an ErrorResponse, which ends the unit that it is in: the server skips to its Sync.
func (s *Session) failed(c *composer, e *expect, body []byte, i, end int, srv *serverstate.Server) {
	s.copyIn = false
	if bytes.Contains(body, []byte("\x00VFATAL\x00")) || bytes.Contains(body, []byte("\x00VPANIC\x00")) {
		s.fatal = true
		return
	}
	s.shared.Meter.Errors++
	switch {
	case e == nil:
		return
	case e.refusal != nil:
		c.replace(i, end)
		c.dst = pgwire.AppendError(c.dst, e.refusal)
	case e.hidden && e.kind == simple: // the settings, which the server had accepted before
		se, _ := pgwire.ReadError(body)
		reason := "no reason given"
		if se != nil {
			reason = se.Message
		}
		s.fault = pgerr.New(pgerr.SettingsLost, reason)
		return
	case bytes.Contains(body, []byte(s.shared.Registry.Prefix())):
		c.replace(i, end)
		c.dst = pgwire.Append(c.dst, pgwire.ErrorResponse, s.inClientsWords(body))
	}
	s.skipUnit(e, srv)
}

// inClientsWords puts the client's name of a statement in place of the server's. The statement may be one
// that the client closes in the same unit.
func (s *Session) inClientsWords(body []byte) []byte {
	put := func(name string, st *statement.Statement) bool {
		quoted := []byte("\"" + st.Name + "\"")
		if !bytes.Contains(body, quoted) {
			return false
		}
		body = bytes.ReplaceAll(body, quoted, []byte("\""+name+"\""))
		return true
	}
	for i := range s.queue.n {
		if e := s.queue.get(i); e.kind == closing && e.st != nil && put(e.name, e.st) {
			return body
		}
	}
	for name, st := range s.statements {
		if put(name, st) {
			return body
		}
	}
	return body
}

// skipUnit forgets what the server will not answer because a message before it failed.
func (s *Session) skipUnit(e *expect, srv *serverstate.Server) {
	if e == nil || e.kind == simple || e.kind == function || e.kind == sync {
		return // its ReadyForQuery comes
	}
	n := 0
	for n < s.queue.n && s.queue.get(n).kind != sync {
		n++
	}
	for i := n - 1; i >= 0; i-- { // the last first, as they were noted
		s.undo(s.queue.get(i), i == 0, srv)
	}
	for range n {
		s.queue.pop()
	}
	if s.queue.n == 0 {
		s.skips = true
	}
}

// undo takes back what was noted of a message that the server has refused or skipped.
func (s *Session) undo(e *expect, refused bool, srv *serverstate.Server) {
	switch {
	case e.kind == parse && e.hidden && e.st != nil:
		srv.Held.Remove(e.st)
	case e.kind == parse && e.st == nil && !e.hidden && e.name == "":
		if e.before != nil && !refused { // the one before is still there
			s.unnamed, srv.Held.Unnamed = e.before.unnamed, e.before.held
			return
		}
		s.endUnnamed(srv)
	case e.kind == parse && e.hidden && e.name == "":
		srv.Held.Unnamed = statement.Somebodys
	case e.kind == parse && e.hidden:
	case e.kind == parse:
		if !e.again {
			srv.Held.Remove(e.st)
		}
		if s.statements[e.name] == e.st {
			s.forget(e.name)
		}
	case e.kind == virtual:
		if s.statements[e.name] == e.st {
			s.forget(e.name)
		}
	case e.kind == closing && e.before != nil:
		s.unnamed, srv.Held.Unnamed = e.before.unnamed, e.before.held
	case e.kind == closing && e.hidden && e.name != "":
		srv.Held.Stale = append(srv.Held.Stale, e.name)
	case e.kind == closing && e.st != nil:
		if _, again := s.statements[e.name]; !again {
			s.add(e.name, e.st)
		}
	}
}
