package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/effects"
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// query deals with a Query message.
func (s *Session) query(c *compose.Composer, p []byte, i, end int, srv *serverstate.Server) (int, bool) {
	body := i + pgwire.HeaderSize
	if end-body > s.Limits.TextBytes {
		if !s.Keeps { // what it changes, and may leave, is not known
			if err := s.Policy.Unseen(false); err != nil {
				return s.refuseText(c, i, end, err, srv)
			}
			s.note(&facts.Shape{}, srv)
			s.suspect(srv)
		}
		s.simple(nil, srv)
		return s.passes(p, i, end), true
	}
	if len(p) < end {
		return 0, false
	}
	text, more, ok := pgwire.CString(p[body:end])
	if !ok || len(more) > 0 { // malformed: the server says so, and the unnamed statement is still there
		s.unsynced, s.data = false, false
		s.queue.Push(expect.Answer{Kind: expect.Query})
		return s.passes(p, i, end), true
	}
	q, v := s.decide(text, false)
	if v.Action == query.Reject {
		return s.refuseText(c, i, end, v.Err, srv)
	}
	if s.namesUnsettled(q) {
		s.judged = true // and not again
		return 0, false
	}
	fx, sent, rewritten, v := s.understood(c, i, q, s.alone())
	if s.Ear.Waits {
		s.judged = true
		return 0, false
	}
	if fx != nil && len(fx.Uses) > 0 {
		if s.blindFor(c, i, nil, fx, srv) {
			return 0, false
		}
		c.UpTo(i)
		s.apart(c, func() { s.uses(c, fx, srv) })
	}
	if v.Action == query.Reject {
		return s.refuseText(c, i, end, v.Err, srv)
	}
	s.begin(fx, srv)
	s.note(q.Shape, srv)
	if s.residue.Suspect {
		s.Changes.Search(text)
	}
	s.simple(s.Ear.Follow(fx, q.Facts.Flags, text, q.StdStrings), srv)
	if rewritten {
		c.Replace(i, end)
		c.Dst = pgwire.AppendQuery(c.Dst, string(sent))
		return end - i, true
	}
	return s.passes(p, i, end), true
}

// refuseText lets the server refuse what stands in place of the Query that goes from i to end, and puts err in place of its error.
func (s *Session) refuseText(c *compose.Composer, i, end int, err *pgerr.Error, srv *serverstate.Server) (int, bool) {
	c.UpTo(i)
	s.simple(nil, srv)
	c.Dst = pgwire.AppendQuery(c.Dst, ".") // an error in any state of the transaction
	s.queue.Newest().Refusal = err
	s.drop = end - i // not all of it need be there
	return 0, true
}

// simple notes a Query that goes to the server.
func (s *Session) simple(fx *statement.Effects, srv *serverstate.Server) {
	s.Account.Queries++
	s.unsynced, s.data = false, false
	var b *expect.Before
	if !planted.Is(planted.Unnamed) {
		if s.Unnamed.ID != 0 && s.queue.Open(s.queue.N) { // something before it may fail, and then it is skipped
			b = s.replaced(srv)
		}
		s.endUnnamed(srv) // as a Query does
	}
	s.portals.EndUnnamed()
	if fx == nil && b == nil {
		s.queue.Plain(expect.Query, nil)
		return
	}
	s.queue.Push(expect.Answer{Kind: expect.Query, Effects: fx, Before: b})
}

// understand finds out what the text does to the session, nil for most, and what is sent in its place
// where that must be something else. alone says that no transaction is open and nothing is under way.
func (s *Session) understand(q *query.Query, alone bool) (fx *statement.Effects, sent []byte, rewritten bool) {
	return effects.Of(s.text(q), effects.Session{
		Startup: s.Startup, Keeps: s.Keeps, Pinned: s.Reasons.Any() || s.owns() || s.residue.Suspect, Owns: s.owns(), Alone: alone, Statements: s.Names.All, Shares: s.shares(q),
	})
}

// alone says that no transaction is open and nothing of the client is under way.
func (s *Session) alone() bool { return s.Status == pgwire.Idle && !s.unsynced && !s.queue.Clients() }

// text is the text and what is known of it.
func (s *Session) text(q *query.Query) effects.Text {
	t := effects.Text{
		SQL: q.Text, StdStrings: q.StdStrings, Flags: q.Facts.Flags, Single: q.Facts.Statements == 1, Facts: q.SQL(), Leaves: q.Leaves(),
	}
	if !s.follows.Followable(s.Want) {
		t.Flags |= sqltext.FlagUnfollowable
	}
	return t
}

// owns says whether the server connection has prepared statements that are the session's own, under its names.
func (s *Session) owns() bool {
	return s.Keeps || s.Policy != nil && s.Policy.Pinning == pin.Keep && (s.Reasons.Have|s.residue.Maybe)&pin.Prepared != 0
}

// begin notes what a text that goes to the server may do.
func (s *Session) begin(fx *statement.Effects, srv *serverstate.Server) {
	if fx == nil || s.Keeps {
		return
	}
	s.reading = nil
	for _, n := range fx.Sets {
		if planted.Is(planted.Set) || planted.Is(planted.Rollback) && s.Status != pgwire.Idle || planted.Is(planted.Role) && n == "role" {
			continue
		}
		s.Changes.Add(n)
	}
	if fx.SetsAll {
		s.Changes.AddAll(s.Want)
		s.Changes.AddAll(s.Startup)
		s.Changes.Add("role")
		s.Changes.Add("session_authorization")
	}
	if fx.Suspect && !planted.Is(planted.SetConfig) {
		s.suspect(srv)
	}
	s.leave(fx.Leaves, srv)
}

// done does what a statement of the session does when it has succeeded.
func (s *Session) done(step *statement.Step, srv *serverstate.Server) {
	switch step.Do {
	case statement.Deallocate:
		s.forget(step.Name)
	case statement.DeallocateAll, statement.DiscardAll:
		s.forgetStatements()
		if s.owns() {
			srv.Held.DropNamed(s.queue.Parsing())
			clear(s.Kept)
		}
		if step.Do == statement.DiscardAll {
			s.Reasons.Have &^= pin.Sequence
			s.Sequences++
		}
	case statement.DiscardSequences:
		s.Sequences++
	}
	s.Ear.Do(step.Do, step.Name)
}
