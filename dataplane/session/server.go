package session

import (
	"bytes"

	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/session/told"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
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
	c := compose.New(p, *s.shared.Scratch)
	i := 0
	if s.through|s.swallow > 0 {
		i = s.past(&c, len(p))
	}
	for len(p)-i >= pgwire.HeaderSize {
		n := pgwire.Body(p[i:])
		if n < 0 {
			return nil, pgerr.New(pgerr.ServerLost)
		}
		end := i + pgwire.HeaderSize + n
		if (expect.Matters(p[i]) || s.awaits(p[i])) && n <= maxInspected {
			if len(p) < end {
				break
			}
			s.answer(&c, p[i], p[i+pgwire.HeaderSize:end], i, end, srv)
			if s.fault != nil {
				return nil, s.fault
			}
			i = end
			continue
		}
		at := min(end, len(p))
		if s.count(&c, p[i], i, srv) {
			c.Skip(i, at)
			s.swallow = end - at
		} else if s.through = end - at; s.through == 0 {
			s.settle(&c, at)
		}
		i = at
	}
	if i < len(p) {
		c.End(i)
		s.part = append(make([]byte, 0, 256), p[i:]...)
	}
	return c.Output(s.shared.Scratch), nil
}

// past goes past what is not looked at of the message under way, in an input of n bytes.
func (s *Session) past(c *compose.Composer, n int) int {
	if s.swallow > 0 {
		k := min(s.swallow, n)
		c.Skip(0, k)
		s.swallow -= k
		return k
	}
	k := min(s.through, n)
	if s.through -= k; s.through == 0 {
		s.settle(c, k)
	}
	return k
}

// awaits says whether a message comes that the proxy wants to read: a row that it has asked for, or what a statement returns.
func (s *Session) awaits(t byte) bool {
	if t == pgwire.NotificationResponse {
		return s.Ear.Hears != nil
	}
	e := s.queue.Front()
	return e != nil && (t == pgwire.DataRow && e.Into != nil || (t == pgwire.RowDescription || t == pgwire.ParameterDescription) && e.Kind == expect.Describe && (e.Statement != nil || e.Made != 0))
}

// count keeps the books for a message that is not inspected. It says whether it is for the proxy.
func (s *Session) count(c *compose.Composer, t byte, i int, srv *serverstate.Server) (hidden bool) {
	if s.doubt.Open {
		s.inDoubt(c, t, i, srv)
	}
	e := s.queue.Front()
	if t == pgwire.ErrorResponse { // a very long one
		s.skipUnit(srv)
		return false
	}
	if e == nil {
		return false
	}
	hidden = e.Hidden && t != pgwire.NotificationResponse || planted.Is(planted.Notice) && t == pgwire.NoticeResponse
	if t == pgwire.RowDescription && e.Kind == expect.Describe {
		s.queue.Pop()
	}
	return hidden
}

// answer deals with a whole message of the server, of type t, at i to end of the input.
func (s *Session) answer(c *compose.Composer, t byte, body []byte, i, end int, srv *serverstate.Server) {
	if s.doubt.Open {
		s.inDoubt(c, t, i, srv)
	}
	e := s.queue.Front()
	hidden := e != nil && e.Hidden
	switch t {
	case pgwire.ParseComplete:
		if e != nil && e.Statement != nil {
			e.Statement.Accepted.Store(true)
		}
		if e != nil && e.Before != nil {
			s.shared.spare.Give(e.Before)
		}
		s.queue.Pop()
	case pgwire.BindComplete, pgwire.CloseComplete:
		hidden = hidden || planted.Is(planted.Swallowed) && t == pgwire.CloseComplete
		s.queue.Pop()
	case pgwire.ParameterDescription:
		told.Types(e, body, &s.Unnamed, &s.Names, s.shared.Registry, srv.Held)
	case pgwire.NoData, pgwire.RowDescription:
		if e != nil && e.Kind == expect.Describe {
			if e.Statement != nil || e.Made != 0 {
				told.Shape(e, t, body, &s.Unnamed, &s.Names, s.shared.Registry, srv.Held)
			}
			s.queue.Pop()
		}
	case pgwire.CommandComplete, pgwire.EmptyQueryResponse, pgwire.PortalSuspended:
		if s.copies {
			s.copies = false
			s.queue.EndCopy()
		}
		if t == pgwire.CommandComplete && !hidden && (e != nil && e.Effects != nil || s.Ear.Hears != nil || len(body) > 0 && body[0] == 'D') {
			s.complete(c, e, body, i, end, srv)
		}
		if e != nil && e.Kind == expect.Execute {
			s.queue.Pop()
		} else if e != nil {
			e.Ordinal++
		}
	case pgwire.NotificationResponse:
		hidden = s.Ear.Hears.Twice(body)
	case pgwire.DataRow:
		pgwire.Row(body, func(_ int, v []byte) { *e.Into = append((*e.Into)[:0], v...) })
	case pgwire.CopyInResponse:
		s.beginCopy(e)
	case pgwire.ParameterStatus:
		hidden = s.reported(body, hidden, srv)
	case pgwire.ErrorResponse:
		s.failed(c, e, body, i, end, srv)
		s.settle(c, end)
		return
	case pgwire.ReadyForQuery:
		if len(body) != 1 {
			s.fault = pgerr.New(pgerr.ServerLost)
			return
		}
		srv.Status = body[0]
		if s.doubt.Open {
			s.undoAll(s.queue.Unit(), false, srv)
			hidden = s.queue.N > 0 && s.queue.Front().Hidden
		}
		if s.queue.Ready(); s.doubt.Open {
			if s.doubt.Ready(&s.queue, c, body[0], i) {
				s.Status, hidden = body[0], true
			}
		}
		if !hidden {
			hidden = s.ready(body[0])
		}
	}
	if hidden {
		c.Skip(i, end)
	}
	s.settle(c, end)
}

// ready takes the status of a ReadyForQuery for the client. It says whether that is held back.
func (s *Session) ready(status byte) (owed bool) {
	s.Status = status
	s.Ear.Ready(status, s.queue.N == 0, s.Reasons.Have&pin.Listen != 0)
	if status != pgwire.Idle || s.queue.N > 0 {
		return false
	}
	s.portals.End()
	if s.Policy.Pinning == pin.Keep || s.Keeps || !s.Doubtful() {
		return false
	}
	s.owes = true // what it loses is told before
	return true
}

// reported takes what the server reports of a parameter. hidden says that it answers the proxy.
func (s *Session) reported(body []byte, hidden bool, srv *serverstate.Server) bool {
	name, rest, ok := pgwire.CString(body)
	value, _, ok2 := pgwire.CString(rest)
	if !ok || !ok2 {
		return hidden
	}
	srv.SetParam(name, value)
	n := string(bytes.ToLower(name))
	if hidden && s.broughtOver(n) && !s.otherDefault(n, value, srv) {
		return true
	}
	if !s.Keeps && settings.Settable(n) {
		s.Changes.Surprise = s.Changes.Surprise || !s.Dirty()
		s.Changes.Add(n)
	}
	return false
}

// broughtOver says whether the parameter is one of those in which the session differs from the one before it on the server connection.
func (s *Session) broughtOver(name string) bool {
	return s.over.Has(name) || s.Want.Has(name) || name == "is_superuser" && (s.broughtOver("session_authorization") || s.broughtOver("role"))
}

// otherDefault says whether a parameter that was given its default back has another one now than the server connection had.
func (s *Session) otherDefault(name string, value []byte, srv *serverstate.Server) bool {
	was, known := srv.Defaults.Get(name)
	return known && was != string(value) && s.over.Has(name) && !s.Want.Has(name)
}

// settle answers what the proxy answers itself and whose turn it is, behind the input before end.
func (s *Session) settle(c *compose.Composer, end int) {
	if s.queue.Turns > 0 {
		s.settleNow(c, end)
	}
}

func (s *Session) settleNow(c *compose.Composer, end int) {
	if e := s.queue.Front(); e.Kind != expect.Virtual && e.Kind != expect.CopyEnd {
		return
	}
	if c.Taken() < end {
		c.UpTo(end)
	}
	c.Use()
	c.Dst = s.queue.Settle(c.Dst)
}

// complete deals with a CommandComplete for the client.
func (s *Session) complete(c *compose.Composer, e *expect.Answer, body []byte, i, end int, srv *serverstate.Server) {
	if len(body) > 0 && body[0] == 'D' { // DISCARD ALL and DEALLOCATE ALL that got through to the server
		switch string(bytes.TrimRight(body, "\x00")) {
		case "DISCARD ALL":
			srv.Held.DropNamed(s.queue.Parsing())
			srv.Tainted = srv.Tainted || !s.Keeps
			if !e.Does(statement.DiscardAll) { // or else below
				s.forgetStatements()
			}
			s.forgetPortals()
		case "DEALLOCATE ALL":
			srv.Held.DropNamed(s.queue.Parsing())
		}
	}
	if e == nil {
		return
	}
	if s.Ear.Complete(body, e.Effects, int(e.Ordinal)); e.Effects == nil {
		return
	}
	ordinal := int(e.Ordinal)
	for k := range e.Effects.Steps {
		step := &e.Effects.Steps[k]
		if step.Ordinal != ordinal {
			continue
		}
		s.done(step, srv)
		if step.Tag != "" {
			c.Replace(i, end)
			c.Dst = pgwire.AppendTag(c.Dst, step.Tag)
		}
	}
}

// failed deals with an ErrorResponse, which ends the unit that it is in: the server skips to its Sync.
func (s *Session) failed(c *compose.Composer, e *expect.Answer, body []byte, i, end int, srv *serverstate.Server) {
	s.failCopy()
	if bytes.Contains(body, []byte("\x00VFATAL\x00")) || bytes.Contains(body, []byte("\x00VPANIC\x00")) {
		s.fatal = true
		return
	}
	if s.looksAnew(e, body, srv) || s.heals(e, body, srv) {
		c.Skip(i, end)
		return
	}
	s.Account.Failed(pgwire.StateClass(body))
	s.Ear.Fail()
	if e != nil && e.Statement != nil && (e.Kind == expect.Bind || e.Kind == expect.Describe) && pgwire.PlanChanged(body) {
		s.shared.Registry.Retire(e.Statement)
	}
	switch {
	case e == nil:
		return
	case e.Hidden && e.Kind != expect.Query && s.passOn(e, body):
		c.Skip(i, end)
	case e.Hidden && e.Words != nil: // a transaction is made to fail
		c.Skip(i, end)
	case e.Words != nil:
		c.Replace(i, end)
		c.Dst = pgwire.Append(c.Dst, pgwire.ErrorResponse, e.Words)
	case e.Refusal != nil:
		c.Replace(i, end)
		c.Dst = pgwire.AppendError(c.Dst, e.Refusal)
	case e.Hidden && e.Kind == expect.Query: // the settings, which the server had accepted before
		se, _ := pgwire.ReadError(body)
		reason := "no reason given"
		if se != nil {
			reason = se.Message
		}
		s.fault = pgerr.New(pgerr.SettingsLost, reason)
		return
	case bytes.Contains(body, []byte(s.shared.Registry.Prefix())):
		c.Replace(i, end)
		c.Dst = pgwire.Append(c.Dst, pgwire.ErrorResponse, s.inClientsWords(e, body))
	}
	last := s.queue.Get(s.queue.N - 1)
	ours := e.Hidden && s.held && last.Hidden && last.Kind == expect.Sync && s.queue.Owed() == 1 // else it is of a unit before
	s.skipUnit(srv)
	s.skips = s.skips || ours // the client's unit is refused before it was sent
}

// passOn says whether a message that has failed is in a unit of the proxy's own. If it is the Parse of a client's statement,
// its error is kept for the client's message for whose sake it was sent, which fails for want of it.
func (s *Session) passOn(failed *expect.Answer, body []byte) bool {
	next, apart := s.queue.Apart()
	if apart && failed.Kind == expect.Parse && (failed.Statement != nil || failed.Name == "") {
		next.Words = bytes.Clone(s.inClientsWords(failed, body))
	}
	return apart
}

// inClientsWords puts the client's name of a statement in place of the server's, in the error of e. The statement may be one that the client
// closes in the same unit.
func (s *Session) inClientsWords(e *expect.Answer, body []byte) []byte {
	switch b := &s.portals.Bound; { // two names may mean the same
	case e.Kind == expect.Bind && e.Statement != nil:
		body = s.Names.RenameMarked(body, e.Statement, e.Mark)
	case e.Kind != expect.Bind && b.Statement != nil:
		body = b.Statement.Rename(body, string(b.As))
	}
	return s.Names.Rename(s.queue.Rename(body))
}

// skipUnit forgets what the server will not answer because a message before it failed.
func (s *Session) skipUnit(srv *serverstate.Server) {
	n := s.queue.Unit()
	if s.undoAll(n, true, srv); n > 0 && s.queue.N == 0 && !planted.Is(planted.Skipping) {
		s.skips = true
	}
}

// undoAll takes off the n oldest messages, which the server has skipped but for the first, where that is refused.
func (s *Session) undoAll(n int, refused bool, srv *serverstate.Server) {
	for i := n - 1; i >= 0; i-- { // the last first, as they were noted
		s.undo(s.queue.Get(i), refused && i == 0, srv)
	}
	for range n {
		s.queue.Pop()
	}
}

// undo takes back what was noted of a message that the server has refused or skipped.
func (s *Session) undo(e *expect.Answer, refused bool, srv *serverstate.Server) {
	if e.Into != nil && e.Into == s.reading {
		s.reading = nil
	}
	switch {
	case e.Kind == expect.Parse && e.Hidden && e.Statement != nil:
		srv.Held.Remove(e.Statement)
	case e.Kind == expect.Parse && e.Statement == nil && !e.Hidden && e.Name == "":
		s.undoUnnamed(e, refused, srv)
	case e.Kind == expect.Parse && e.Hidden && e.Name == "":
		if srv.Held.Unnamed == e.Made { // or another one was parsed behind it
			srv.Held.Unnamed = statement.Somebodys
		}
	case e.Kind == expect.Parse && e.Hidden:
	case e.Kind == expect.Parse && e.Statement == nil: // see parseKept
		s.Kept.Set(e.Name, e.Effects)
	case e.Kind == expect.Parse || e.Kind == expect.Virtual:
		if e.Kind == expect.Parse && !e.Again {
			srv.Held.Remove(e.Statement)
		}
		if s.Names.All[e.Name] == e.Statement {
			s.forget(e.Name)
		}
	case e.Before != nil: // a Close of the unnamed statement, or a Query
		s.undoUnnamed(e, refused, srv)
	case e.Kind == expect.Close && e.Hidden && e.Name != "":
		srv.Held.Stale = append(srv.Held.Stale, e.Name)
	case e.Kind == expect.Close && e.Statement != nil:
		if _, again := s.Names.All[e.Name]; !again {
			s.Names.Add(e.Name, e.Statement)
		}
	}
}
