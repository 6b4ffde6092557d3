package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/session/told"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// fitness says whether a message can use its statement on the server connection.
type fitness uint8

const (
	fit     fitness = iota
	unfit           // it is refused
	unclear         // the message is kept back
)

// usable returns the statement that the client calls name, nil where that is the unnamed one or none, and whether the message at
// p[i:end] can use it. It is kept back until it is known which one it is, or, where clients were told its shape, until it was looked at
// on the server connection. It is refused where they were told that it returns something else than it does there.
func (s *Session) usable(c *compose.Composer, p []byte, i, end int, name []byte, srv *serverstate.Server) (st *statement.Statement, is fitness) {
	if s.unsettled(name) {
		return nil, unclear
	}
	if len(name) > 0 && !s.Keeps {
		st = s.Names.Find(statement.Cut(name))
	}
	if s.Keeps || s.Status == pgwire.InFailed { // where the server has another reason
		return st, fit
	}
	if s.queue.Shapes > 0 {
		s.held = true
		return nil, unclear
	}
	if st == nil {
		return nil, s.fits(c, i, end, name, srv)
	}
	if st.Stale.Load() {
		st = s.fresh(string(statement.Cut(name)), st, pgwire.DescribesPortal(p[i:]))
	}
	as := ""
	if s.Names.Borrowed(statement.Cut(name)) { // it is parsed as it would be now, for a client that has just done so
		as = string(statement.Cut(name))
		srv.Held.Forget(st)
	}
	if s.blindFor(c, i, st, st.Effects, srv) {
		if as != "" {
			s.Names.Borrow(as)
		}
		return nil, unclear
	}
	if s.Names.FoundTold() && st.Infers() && !srv.Held.Typed(st) && !planted.Is(planted.Inferred) {
		srv.Held.Forget(st) // its parameters may have other types there than the client was told
	}
	shape := st.Told.Load()
	if shape == 0 || planted.Is(planted.Told) {
		return st, fit
	}
	switch srv.Held.Shape(st) {
	case shape:
		return st, fit
	case 0:
		c.UpTo(i)
		s.look(c, expect.Answer{Statement: st, Name: as, Again: srv.Held.Has(st)}, st.Name, func() { s.ensure(c, st, srv) })
		return nil, unclear
	}
	return nil, s.outdated(c, i, end)
}

// fits says the same of the unnamed statement, which is looked at before it is used where it is parsed again.
func (s *Session) fits(c *compose.Composer, i, end int, name []byte, srv *serverstate.Server) fitness {
	u := &s.Unnamed
	elsewhere := u.ID != 0 && !u.Unknown && u.ID != srv.Held.Unnamed
	switch {
	case len(name) > 0:
		return fit
	case elsewhere && s.blind(c, i, u.IsAnalyzed(), srv), s.blindFor(c, i, nil, u.Effects, srv):
		return unclear
	case u.Told == 0, planted.Is(planted.Told):
		return fit
	case elsewhere:
		s.look(c, expect.Answer{Made: u.ID}, "", func() { s.parseAgain(c, i, srv) })
		return unclear
	case u.Seen == 0 || u.Seen == u.Told:
		return fit
	}
	return s.outdated(c, i, end)
}

// outdated lets the server refuse in place of the message, in its turn.
func (s *Session) outdated(c *compose.Composer, i, end int) fitness {
	s.refuseWhole(c, i, end, pgerr.New(pgerr.ResultChanged))
	return unfit
}

// look describes a statement that send puts on the server connection, for the proxy, and keeps what comes back until the answer is there.
func (s *Session) look(c *compose.Composer, a expect.Answer, name string, send func()) {
	a.Kind, a.Hidden = expect.Describe, true
	s.wait(c, func() {
		send()
		c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Describe, 'S', name)
		s.queue.Push(a)
	})
}

// fresh returns the statement that takes the place of a stale one for a client that was never told what it returns, or is told again in the
// same unit, where nobody can see that: outside of a transaction, at the beginning of a unit. For all others it is the stale one itself.
func (s *Session) fresh(name string, st *statement.Statement, again bool) *statement.Statement {
	if s.Names.Told(name) && !again || st.Private || s.Status != pgwire.Idle || s.queue.Clients() || s.unsynced {
		return st
	}
	return told.Anew(name, st, &s.Names, s.shared.Registry)
}

// describe notes a Describe that goes to the server: of the statement st, which the client calls name, or else of the unnamed one, if
// made is its ID. The answer tells the client what it returns, unless it was told already, and, if it types them, of which types the
// parameters are.
func (s *Session) describe(st *statement.Statement, name []byte, told, types bool, made uint64, srv *serverstate.Server) {
	if st != nil {
		if types && (!told || st.Types() == nil) || st.SQL.HasShape() && (!told || srv.Held.Shape(st) != st.Told.Load()) {
			s.queue.Push(expect.Answer{Kind: expect.Describe, Statement: st, Name: string(name)})
			return
		}
	} else if u := &s.Unnamed; made != 0 && (types && u.Types == nil || u.Told == 0 && u.HasShape()) {
		s.queue.Push(expect.Answer{Kind: expect.Describe, Made: made})
		return
	}
	s.queue.Plain(expect.Describe, nil)
}
