package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/session/stock"
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// parseUnnamed notes the session's unnamed statement, which is also the server connection's from then on. It says whether the server
// has to be asked what it was parsed under.
func (s *Session) parseUnnamed(rest []byte, fx *statement.Effects, shape *facts.Shape, unknown bool, srv *serverstate.Server) (asks bool) {
	var b *expect.Before
	if s.queue.N > 0 { // something before it may fail, and then it is skipped
		b = s.replaced(srv)
	}
	u := &s.Unnamed
	u.ID = s.shared.Registry.Serial()
	u.Body = append(u.Body[:0], rest...)
	u.Effects, u.Shape = fx, shape
	u.Unknown, u.Planner = unknown, s.Want.Planner()
	u.Told, u.Seen, u.Types = 0, 0, nil
	if u.Unknown { // it can be used where it is, and nowhere else
		asks = s.stay(stock.Unsure{Unnamed: u.ID}, "")
	} else {
		s.Reasons.Remove("")
	}
	srv.Held.Unnamed = u.ID
	s.queue.Push(expect.Answer{Kind: expect.Parse, Effects: fx, Made: u.ID, Before: b})
	return asks
}

// parseAgain parses the unnamed statement on another server connection than its own.
func (s *Session) parseAgain(c *compose.Composer, i int, srv *serverstate.Server) {
	u := &s.Unnamed
	c.UpTo(i)
	stock.CloseStale(c, &s.queue, srv.Held)
	s.under(c, u.Planner, u.IsAnalyzed(), srv, func() {
		c.Dst = pgwire.AppendParse(c.Dst, "", u.Typed())
		s.queue.Push(expect.Answer{Kind: expect.Parse, Hidden: true, Made: u.ID})
	})
	srv.Held.Unnamed, u.Seen = u.ID, 0
}

// replaced puts the unnamed statement aside, for the case that what takes its place is skipped.
func (s *Session) replaced(srv *serverstate.Server) *expect.Before {
	b := s.shared.spare.Take()
	room := b.Body
	b.Unnamed, b.Held = s.Unnamed, srv.Held.Unnamed
	s.Unnamed.Body = room
	return b
}

// undoUnnamed takes back what was noted of a message that would have made another unnamed statement, or none. What was sent
// behind it may have made yet another one.
func (s *Session) undoUnnamed(e *expect.Answer, refused bool, srv *serverstate.Server) {
	var was expect.Before
	if e.Before != nil && !refused { // that one is still there
		was = *e.Before
	}
	if s.queue.Replaced(e, &was) || s.Unnamed.ID != e.Made {
		return
	}
	s.Unnamed, srv.Held.Unnamed = was.Unnamed, was.Held
	if s.Reasons.Remove(""); was.Unknown {
		s.Reasons.Add("", pin.Unknown)
	}
}

// endUnnamed notes that there is no unnamed statement any more.
func (s *Session) endUnnamed(srv *serverstate.Server) {
	srv.Held.Unnamed, s.Unnamed.ID = 0, 0
	s.Reasons.Remove("")
}
