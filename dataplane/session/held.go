package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// hold makes room for st on the server connection: what is evicted for it is closed in the same write.
func (s *Session) hold(c *composer, st *statement.Statement, srv *serverstate.Server) {
	s.closeStale(c, srv)
	for out := srv.Held.Evict(st); out != nil; out = srv.Held.Evict(st) {
		c.dst = pgwire.AppendNamed(c.dst, pgwire.Close, 'S', out.Name)
		s.queue.push(expect{kind: closing, hidden: true, name: out.Name})
	}
	srv.Held.Add(st)
}

// closeStale closes what the server connection has under names that nobody means any more.
func (s *Session) closeStale(c *composer, srv *serverstate.Server) {
	for _, name := range srv.Held.Stale {
		c.dst = pgwire.AppendNamed(c.dst, pgwire.Close, 'S', name)
		s.queue.push(expect{kind: closing, hidden: true, name: name})
	}
	srv.Held.Stale = nil
}

// ensure sees to it that the server connection has st, which the session has.
func (s *Session) ensure(c *composer, st *statement.Statement, srv *serverstate.Server) {
	if srv.Held.Has(st) {
		return
	}
	s.hold(c, st, srv)
	s.under(c, st.Planner, func() {
		c.dst = pgwire.AppendParse(c.dst, st.Name, []byte(st.Body))
		s.queue.push(expect{kind: parse, hidden: true, st: st})
	})
}

// under sends what send appends with those settings in force that parse analysis reads and that were in
// force when the client parsed, and puts the session's own back behind it.
func (s *Session) under(c *composer, planner settings.Set, send func()) {
	now := s.Want.Planner()
	if planner == now {
		send()
		return
	}
	s.set(c, now, planner)
	send()
	s.set(c, planner, now)
}

// set changes settings in the middle of an extended unit, with hidden messages that leave the client's
// unnamed statement and portal alone.
func (s *Session) set(c *composer, from, to settings.Set) {
	name := s.shared.Registry.Prefix() + "set"
	body := settings.AppendSelect(nil, from, to)
	body = append(body, 0, 0, 0)
	c.dst = pgwire.AppendParse(c.dst, name, body)
	c.dst = pgwire.AppendBind(c.dst, name, name)
	c.dst = pgwire.AppendExecute(c.dst, name)
	c.dst = pgwire.AppendNamed(c.dst, pgwire.Close, 'P', name)
	c.dst = pgwire.AppendNamed(c.dst, pgwire.Close, 'S', name)
	for _, k := range [...]kind{parse, bind, execute, closing, closing} {
		s.queue.push(expect{kind: k, hidden: true, name: name})
	}
}
