package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// hold makes room for st on the server connection: what is evicted for it is closed in the same write.
func (s *Session) hold(c *compose.Composer, st *statement.Statement, srv *serverstate.Server) {
	s.closeStale(c, srv)
	for out := srv.Held.Evict(st); out != nil; out = srv.Held.Evict(st) {
		c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Close, 'S', out.Name)
		s.queue.Push(expect.Answer{Kind: expect.Close, Hidden: true, Name: out.Name})
	}
	srv.Held.Add(st)
}

// closeStale closes what the server connection has under names that nobody means any more.
func (s *Session) closeStale(c *compose.Composer, srv *serverstate.Server) {
	for _, name := range srv.Held.Stale {
		c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Close, 'S', name)
		s.queue.Push(expect.Answer{Kind: expect.Close, Hidden: true, Name: name})
	}
	srv.Held.Stale = nil
}

// ensure sees to it that the server connection has st, which the session has.
func (s *Session) ensure(c *compose.Composer, st *statement.Statement, srv *serverstate.Server) {
	if !srv.Held.Has(st) {
		s.prepare(c, st, srv)
	}
}

// prepare parses st on the server connection, which has it not.
func (s *Session) prepare(c *compose.Composer, st *statement.Statement, srv *serverstate.Server) {
	s.hold(c, st, srv)
	planner := st.Planner
	if !st.SQL.IsAnalyzed() {
		planner = s.Want.Planner()
	}
	s.under(c, planner, func() {
		c.Dst = pgwire.AppendParse(c.Dst, st.Name, []byte(st.Body))
		s.Account.ServerParses++
		s.queue.Push(expect.Answer{Kind: expect.Parse, Hidden: true, Statement: st})
	})
}

// uses sees to it that the server connection has the statements that a text names.
func (s *Session) uses(c *compose.Composer, fx *statement.Effects, srv *serverstate.Server) {
	for _, st := range fx.Uses {
		s.ensure(c, st, srv)
	}
}

// under sends what send appends with those settings in force that parse analysis reads and that were in
// force when the client parsed, and puts the session's own back behind it.
func (s *Session) under(c *compose.Composer, planner settings.Set, send func()) {
	now := s.Want.Planner()
	if planner == now {
		send()
		return
	}
	s.apart(c, func() {
		s.set(c, now, planner)
		send()
		s.set(c, planner, now)
	})
}

// apart sends what send appends in a unit of its own: an Execute within the client's unit would make it a pipeline, in which the server
// refuses VACUUM and others, and after an error there it would skip a Query that comes without a Sync. It does not where the client has
// begun a unit, or where the server may ignore Syncs: the answer to one of the proxy's own could be taken for the client's. own says
// which it was.
func (s *Session) apart(c *compose.Composer, send func()) (own bool) {
	n := s.queue.N
	if send(); s.unsynced || s.queue.N == n || s.queue.Open(n) || s.queue.Doubts() {
		return false
	}
	c.Dst = pgwire.AppendSync(c.Dst)
	s.queue.Push(expect.Answer{Kind: expect.Sync, Hidden: true})
	return true
}

// set changes settings in the middle of an extended unit, with hidden messages that leave the client's
// unnamed statement and portal alone.
func (s *Session) set(c *compose.Composer, from, to settings.Set) {
	s.own(c, s.shared.Registry.Prefix()+"set", settings.AppendSelect(nil, from, to), nil)
}

// own runs a query of the proxy's own in the middle of an extended unit, under a name. answer, which may be nil,
// gets the first column of its row.
func (s *Session) own(c *compose.Composer, name string, sql []byte, answer *[]byte) {
	c.Dst = pgwire.AppendOwn(c.Dst, name, append(sql, 0, 0, 0))
	s.queue.PushOwn(name, answer)
}
