package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// opensUnit notes that a Bind of st is at i, which may begin a unit that could be sent again: one of nothing but it, Describe, Execute and Close.
func (s *Session) opensUnit(i int, st *statement.Statement) {
	if s.unit.Forget(); st != nil && !st.Private && s.Status == pgwire.Idle && !s.unsynced && !s.queue.Clients() {
		s.unit.Begin(i)
	}
}

// looksAnew says whether an error is that of looking at a statement whose plan on the server connection has changed: it is parsed
// anew there, and then looked at: once.
func (s *Session) looksAnew(e *expect.Answer, body []byte, srv *serverstate.Server) bool {
	if e == nil || !e.Hidden || e.Kind != expect.Describe || e.Statement == nil || !e.Again || !s.held || s.Status != pgwire.Idle || !pgwire.PlanChanged(body) {
		return false
	}
	if last := s.queue.Get(s.queue.N - 1); last.Kind != expect.Sync || !last.Hidden || s.queue.Owed() != 1 {
		return false
	}
	s.shared.Registry.Retire(e.Statement)
	srv.Held.Forget(e.Statement)
	s.skipUnit(srv)
	return true
}

// heals says whether an error is healed by sending the unit again, which then is prepared for: some times at most, and not where the statement is
// parsed under other settings than it is used under, as PostgreSQL refuses that too.
func (s *Session) heals(e *expect.Answer, body []byte, srv *serverstate.Server) bool {
	if e == nil || e.Kind != expect.Bind || e.Statement == nil || len(s.unit.Bytes) == 0 || !pgwire.PlanChanged(body) {
		return false
	}
	last := s.queue.Get(s.queue.N - 1)
	if last.Kind != expect.Sync || last.Hidden || s.queue.Owed() != 1 || s.held {
		return false // another unit is under way
	}
	name, again := s.Names.Of(e.Statement), pgwire.DescribesPortal(s.unit.Bytes)
	if name == "" || s.Names.Told(name) && !again || e.Statement.SQL.IsAnalyzed() && e.Statement.Planner != s.Want.Planner() {
		return false
	}
	s.shared.Registry.Retire(e.Statement)
	s.skipUnit(srv)
	s.queue.Change(0).Hidden = true // the ReadyForQuery comes again
	s.input = s.unit.Again(s.input)
	s.held = true
	return true
}
