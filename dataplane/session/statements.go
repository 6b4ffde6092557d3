package session

import (
	"bytes"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/residue"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// bind deals with a Bind message: portal, statement, values. Only the two names have to be there.
func (s *Session) bind(c *compose.Composer, p []byte, i, end int, srv *serverstate.Server) (int, bool) {
	portal, rest, ok := pgwire.CString(p[i+pgwire.HeaderSize : min(end, len(p))])
	name, rest, ok2 := pgwire.CString(rest)
	if !ok || !ok2 {
		if len(p) < end && len(p)-i < 2*pgwire.SmallMessage {
			return 0, false
		}
		portal, name, rest = nil, nil, p[i+pgwire.HeaderSize:min(end, len(p))] // malformed: the server says so
	}
	st, is := s.usable(c, p, i, end, name, srv)
	if is != fit {
		return 0, is == unfit
	}
	mark := s.Names.Mark()
	if s.Ear.Concerned() && s.unheard(c, i, end, name) {
		return 0, !s.Ear.Waits
	}
	var server string
	var effects *statement.Effects
	found := st != nil
	if found {
		s.Account.Binds++
		if !srv.Held.Has(st) {
			c.UpTo(i)
			s.prepare(c, st, srv)
		}
		server, effects = st.Name, s.does(st.Effects, st, name, srv)
	} else {
		server, effects, found = s.bindOther(c, i, name, srv)
	}
	if effects != nil || s.residue.Suspect {
		s.carryOut(c, i, effects, rest, srv)
	}
	if s.portals.Open(portal, effects); len(portal) == 0 {
		s.portals.Bind(st, statement.Cut(name), s.Names.FoundTold(), s.Unnamed.ID)
	}
	at := i
	if found {
		s.opensUnit(i, st)
		at = min(end, len(p)) - len(rest) // where the values begin
		c.Replace(i, at)
		c.Dst = pgwire.AppendBindHead(c.Dst, portal, server, end-at)
	}
	s.queue.PushBind(st, mark)
	return at - i + s.passes(p, at, end), true
}

// bindOther is what a Bind uses that has no statement of a name.
func (s *Session) bindOther(c *compose.Composer, i int, name []byte, srv *serverstate.Server) (server string, fx *statement.Effects, found bool) {
	if s.Keeps {
		return "", s.Kept[string(name)], false
	}
	server, fx, t, found := s.lookup(c, i, name, nil, srv)
	switch {
	case t != nil:
		fx = s.does(fx, t, name, srv)
	case len(name) > 0 && (s.owns() || s.Reasons.Have&pin.Unknown != 0): // one that only the server connection knows
		fx = s.Kept[string(name)]
		s.begin(fx, srv)
		s.suspect(srv)
	}
	return server, fx, found
}

// does notes what executing a statement does, which the client calls name: fx is what its text t does to the session.
func (s *Session) does(fx *statement.Effects, t residue.Text, name []byte, srv *serverstate.Server) *statement.Effects {
	if fx != nil {
		s.begin(fx, srv)
	}
	if s.note(t, srv); s.Ear.Shares {
		fx = s.follow(fx, t, name)
	}
	return fx
}

// carryOut notes the names in the values of a Bind that may be those of parameters, and sees to it that the server connection has the
// statements that the bound one names.
func (s *Session) carryOut(c *compose.Composer, i int, fx *statement.Effects, values []byte, srv *serverstate.Server) {
	if s.residue.Suspect {
		pgwire.BindValues(values, func(v []byte) {
			s.Changes.Search(v)
			if fx != nil && fx.Suspect && pin.NamesSeed(v) {
				s.leave(pin.Lasting, srv)
			}
		})
	}
	if fx != nil && len(fx.Uses) > 0 {
		c.UpTo(i)
		s.uses(c, fx, srv)
	}
}

// unsettled says whether it is not known yet which statement a name will mean, or whether the server connection will have it, when the
// server comes to the message: something in an earlier unit that is not answered decides it. The message and what follows it are kept back.
func (s *Session) unsettled(name []byte) bool {
	if s.queue.Named == 0 && s.queue.Risks == 0 || s.Keeps || s.undecided() || s.queue.Owed() == 0 {
		return false
	}
	if s.queue.Named > 0 && len(name) > 0 {
		s.keepBack()
		return true
	}
	st := s.Names.Find(statement.Cut(name))
	return (st != nil || len(name) == 0) && s.risky(st)
}

// risky keeps the message back if it is not known yet whether the server connection will have the statement, the unnamed one where st is nil.
func (s *Session) risky(st *statement.Statement) bool {
	if s.queue.Risky(st) {
		s.keepBack()
	}
	return s.held
}

// namesUnsettled says the same of a text that names prepared statements.
func (s *Session) namesUnsettled(q *query.Query) bool {
	if s.queue.Named == 0 && s.queue.Risks == 0 || s.Keeps || s.undecided() || s.queue.Owed() == 0 {
		return false
	}
	if f := q.SQL(); f != nil && f.Does&(sqlparse.Executes|sqlparse.Prepares) == 0 && q.Facts.Flags&sqltext.FlagDeallocate == 0 {
		return false
	}
	s.keepBack()
	return true
}

// lookup sees to it that the server connection has the statement that the client calls name, st where that has a name and there is
// one. t is nil where there is none. found is false where the name goes on as it is.
func (s *Session) lookup(c *compose.Composer, i int, name []byte, st *statement.Statement, srv *serverstate.Server) (server string, fx *statement.Effects, t residue.Text, found bool) {
	if len(name) == 0 {
		u := &s.Unnamed
		if u.ID == srv.Held.Unnamed {
			if u.ID == 0 {
				return "", nil, nil, false
			}
			return "", u.Effects, u.Shape, false
		}
		if u.ID == 0 || u.Unknown { // not there: and nor must be another session's
			c.UpTo(i)
			c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Close, 'S', "")
			s.queue.Push(expect.Answer{Kind: expect.Close, Hidden: true, Before: s.replaced(srv)})
			srv.Held.Unnamed, u.ID = 0, 0
			return "", nil, nil, false
		}
		s.parseAgain(c, i, srv)
		return "", u.Effects, u.Shape, false
	}
	if st == nil {
		if s.strays.Any() {
			c.UpTo(i)
			s.strays.Close(c, &s.queue, string(name))
		}
		if strings.HasPrefix(string(name), s.shared.Registry.Prefix()) {
			return "?" + string(name), nil, nil, true // the server's names are not the client's to guess
		}
		return "", nil, nil, false
	}
	c.UpTo(i)
	s.ensure(c, st, srv)
	return st.Name, st.Effects, st, true
}

// named deals with Describe and Close: what ('S' or 'P') and name.
func (s *Session) named(c *compose.Composer, p []byte, i, end int, srv *serverstate.Server) (int, bool) {
	if len(p) < end {
		return 0, false
	}
	k := expect.Describe
	if p[i] == pgwire.Close {
		k = expect.Close
	}
	body := p[i+pgwire.HeaderSize : end]
	if len(body) < 2 || body[0] != 'S' || s.Keeps || bytes.IndexByte(body, 0) != len(body)-1 {
		switch {
		case k == expect.Close:
			s.queue.Push(expect.Answer{Kind: k})
		case len(body) == 2 && !s.Keeps: // the unnamed portal
			b := &s.portals.Bound
			s.describe(b.Statement, b.As, b.Told, false, b.Made, srv)
		default:
			s.queue.Plain(k, nil)
		}
		return s.passes(p, i, end), true
	}
	name, _, _ := pgwire.CString(body[1:])
	if k == expect.Close {
		if s.unsettled(name) {
			return 0, false
		}
		s.close(string(statement.Cut(name)), srv)
		return s.passes(p, i, end), true // at the server nothing has that name, and closing nothing is no error
	}
	st, is := s.usable(c, p, i, end, name, srv)
	if is != fit {
		return 0, is == unfit
	}
	name = statement.Cut(name)
	server, _, _, found := s.lookup(c, i, name, st, srv)
	made := uint64(0)
	if len(name) == 0 {
		made = s.Unnamed.ID
	}
	s.describe(st, name, s.Names.FoundTold(), true, made, srv)
	if !found {
		return s.passes(p, i, end), true
	}
	c.Replace(i, end)
	c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Describe, 'S', server)
	return end - i, true
}

// close forgets a statement, for as long as the server does not skip the message.
func (s *Session) close(name string, srv *serverstate.Server) {
	if name == "" {
		s.queue.Push(expect.Answer{Kind: expect.Close, Before: s.replaced(srv)})
		s.endUnnamed(srv)
		return
	}
	st := s.Names.All[name]
	if st != nil {
		s.forget(name)
		if st.Private {
			srv.Held.Forget(st)
		}
	}
	s.queue.Push(expect.Answer{Kind: expect.Close, Statement: st, Name: name})
}

func (s *Session) forget(name string) {
	if st := s.Names.Remove(name); st != nil {
		s.Reasons.Remove(st.Name)
	}
}

// execute deals with an Execute message: portal, number of rows. It says false where more of it has to be there.
func (s *Session) execute(p []byte, i, end int) bool {
	s.Account.Queries++
	s.data = false
	var fx *statement.Effects
	if s.portals.Any() {
		if len(p) < end {
			return false
		}
		name, _, _ := pgwire.CString(p[i+pgwire.HeaderSize : end])
		fx = s.portals.Does(name)
	}
	s.queue.PushExecute(fx)
	return true
}

// refuse lets the server refuse what stands in place of a message, and puts err in place of its error:
// so it comes in its turn, and the server skips what depends on it.
func (s *Session) refuse(c *compose.Composer, err *pgerr.Error) {
	c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Describe, 'S', s.shared.Registry.Prefix()+"refused")
	s.queue.Push(expect.Answer{Kind: expect.Describe, Refusal: err})
}

// refuseWhole refuses the message that goes from i to end.
func (s *Session) refuseWhole(c *compose.Composer, i, end int, err *pgerr.Error) (int, bool) {
	c.UpTo(i)
	s.refuse(c, err)
	s.drop = end - i // not all of it need be there
	return 0, true
}
