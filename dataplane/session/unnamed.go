package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
)

// parseUnnamed notes the session's unnamed statement, which is also the server connection's from then on.
func (s *Session) parseUnnamed(rest []byte, effects *statement.Effects, srv *serverstate.Server) {
	var b *before
	if s.queue.n > 0 { // something before it may fail, and then it is skipped
		b = s.replaced(srv)
	}
	u := &s.unnamed
	u.id = s.shared.Registry.Serial()
	u.body = append(u.body[:0], rest...)
	u.effects = effects
	u.unknown, u.planner = s.Dirty() || srv.Tainted, s.Want.Planner()
	if u.unknown { // it can be used where it is, and nowhere else
		s.pin(pinUnnamed)
	} else {
		s.unpin(pinUnnamed)
	}
	srv.Held.Unnamed = u.id
	s.queue.push(expect{kind: parse, effects: effects, before: b})
}

// pinUnnamed keeps the server connection for an unnamed statement that was parsed under settings that
// nobody knows.
const pinUnnamed = "\x00unnamed"

// replaced puts the unnamed statement aside, for the case that what takes its place is skipped.
func (s *Session) replaced(srv *serverstate.Server) *before {
	var b *before
	if n := len(s.shared.spare); n > 0 {
		b, s.shared.spare = s.shared.spare[n-1], s.shared.spare[:n-1]
	} else {
		b = &before{}
	}
	room := b.body
	b.unnamed, b.held = s.unnamed, srv.Held.Unnamed
	s.unnamed.body = room
	return b
}

// endUnnamed notes that there is no unnamed statement any more.
func (s *Session) endUnnamed(srv *serverstate.Server) {
	srv.Held.Unnamed, s.unnamed.id = 0, 0
	s.unpin(pinUnnamed)
}
