package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/session/stock"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// ensure sees to it that the server connection has st, which the session has.
func (s *Session) ensure(c *compose.Composer, st *statement.Statement, srv *serverstate.Server) {
	if !srv.Held.Has(st) {
		s.prepare(c, st, srv)
	}
}

// prepare parses st on the server connection, which has it not.
func (s *Session) prepare(c *compose.Composer, st *statement.Statement, srv *serverstate.Server) {
	stock.Hold(c, &s.queue, srv.Held, st)
	s.under(c, st.Planner, st.SQL.IsAnalyzed(), srv, func() {
		body := []byte(st.Body)
		if s.Names.FoundTold() && s.Names.Found() == st && !planted.Is(planted.Inferred) {
			body = st.Typed()
			srv.Held.SetTyped(st)
		}
		c.Dst = pgwire.AppendParse(c.Dst, st.Name, body)
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

// blind says whether parsing a statement has to wait until the server has said what is set: in a transaction that may have changed it.
// Then that is asked, and the message at i is kept back.
func (s *Session) blind(c *compose.Composer, i int, analyzed bool, srv *serverstate.Server) bool {
	if !analyzed || !s.unsure(srv) || s.Status == pgwire.InFailed || s.reading != nil && len(*s.reading) > 0 {
		return false
	}
	c.UpTo(i)
	unread := []byte{'?'}
	s.reading = &unread // if what comes is too long to be read it stays so, and is not asked for again
	s.wait(c, func() { s.askUnder(c, srv, true) })
	return true
}

// blindFor says the same of a statement, and of those that it names.
func (s *Session) blindFor(c *compose.Composer, i int, st *statement.Statement, fx *statement.Effects, srv *serverstate.Server) bool {
	if st != nil && !srv.Held.Has(st) && s.blind(c, i, st.SQL.IsAnalyzed(), srv) {
		return true
	}
	if fx != nil {
		for _, used := range fx.Uses {
			if s.Names.Borrowed([]byte(s.Names.Of(used))) {
				srv.Held.Forget(used) // as in usable
			}
			if s.blindFor(c, i, used, nil, srv) {
				return true
			}
		}
	}
	return false
}

// under sends what send appends, which is analyzed or not, with those settings in force that parse analysis reads and that were in
// force when the client parsed, and puts those back behind it that are in force now.
func (s *Session) under(c *compose.Composer, planner settings.Set, analyzed bool, srv *serverstate.Server, send func()) {
	now, to, back := s.Want.Planner(), []byte(nil), []byte(nil)
	switch {
	case !analyzed || s.Status == pgwire.InFailed: // where the server refuses it
	case s.unsure(srv) && s.reading != nil:
		to, back = settings.Local(*s.reading, planner, func(n string) bool { return s.residue.Suspect || srv.Tainted || s.Changes.Has(n) || s.Want.Has(n) })
	case planner != now:
		to, back = settings.AppendSelect(nil, now, planner), settings.AppendSelect(nil, planner, now)
	}
	if len(to) == 0 {
		send()
		return
	}
	name := s.shared.Registry.Prefix() + "set"
	s.apart(c, func() {
		stock.Own(c, &s.queue, name, to, nil, false)
		send()
		stock.Own(c, &s.queue, name, back, nil, false)
	})
}

// apart sends what send appends in a unit of its own: an Execute within the client's unit would make it a pipeline, in which the server refuses
// VACUUM and others, and after an error there it would skip a Query that comes without a Sync. It does not where the client has begun a unit, or
// where the server may ignore Syncs: the answer to one of the proxy's own could be taken for the client's. own says which it was.
func (s *Session) apart(c *compose.Composer, send func()) (own bool) {
	n := s.queue.N
	if send(); s.unsynced || s.queue.N == n || s.queue.Open(n) || s.queue.Doubts() {
		return false
	}
	c.Dst = pgwire.AppendSync(c.Dst)
	s.queue.Push(expect.Answer{Kind: expect.Sync, Hidden: true})
	return true
}

// wait sends what send appends, and keeps the client's input back until what that asks for is there.
func (s *Session) wait(c *compose.Composer, send func()) {
	if !s.apart(c, send) {
		c.Dst = pgwire.Append(c.Dst, pgwire.Flush, nil)
		s.unsynced = true
	}
	s.held = true
}
