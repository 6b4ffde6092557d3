package session

import (
	"slices"
	"strings"

	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// parse deals with a Parse message: name, text, number of parameter types, types.
func (s *Session) parse(c *composer, p []byte, i, end int, srv *serverstate.Server) (int, bool, error) {
	body := pgwire.HeaderSize + i
	if end-body > s.Limits.TextBytes {
		return s.parseOpaque(p, i, end, srv)
	}
	if len(p) < end {
		return 0, false, nil
	}
	name, rest, ok := pgwire.CString(p[body:end])
	text, types, ok2 := pgwire.CString(rest)
	s.unsynced = true
	if !ok || !ok2 || len(types) < 2 {
		s.judged = false
		s.queue.push(expect{kind: parse})
		s.pass = end - i
		return 0, true, nil
	}
	q, v := s.decide(text)
	if v.Action == query.Reject {
		c.replace(i, end)
		s.refuse(c, v.Err)
		return end - i, true, nil
	}
	effects, text2 := s.understand(q)
	if effects != nil && len(effects.Steps) > 0 {
		rest = append(append(append([]byte(nil), text2...), 0), types...)
	}
	if s.Keeps {
		return s.parseKept(c, string(name), rest, effects, i, end)
	}
	if len(name) == 0 {
		s.parseUnnamed(rest, effects, srv)
		if effects == nil || len(effects.Steps) == 0 {
			s.pass = end - i
			return 0, true, nil
		}
		c.replace(i, end)
		c.dst = pgwire.AppendParse(c.dst, "", rest)
		return end - i, true, nil
	}
	c.replace(i, end)
	if _, taken := s.statements[string(name)]; taken {
		s.parseTaken(c, name, rest)
		return end - i, true, nil
	}
	if len(s.statements) >= s.Limits.Statements {
		s.refuse(c, pgerr.New(pgerr.StatementLimit, len(s.statements)))
		return end - i, true, nil
	}
	if s.bytes+len(text2) > s.Limits.StatementBytes {
		s.refuse(c, pgerr.New(pgerr.StatementBytes, s.Limits.StatementBytes))
		return end - i, true, nil
	}
	key := s.keyOf(rest)
	var shared *statement.Statement
	if s.Dirty() || srv.Tainted || q.Facts.Flags&sqltext.FlagTimeWords != 0 {
		shared = s.shared.Registry.Own(key, effects)
		if s.Dirty() || srv.Tainted { // nobody knows the settings that it is parsed under: it stays where it is
			s.pin("\x00" + shared.Name)
		}
	} else {
		shared = s.shared.Registry.Shared(key, effects)
	}
	s.add(string(name), shared)
	if srv.Held.Has(shared) {
		if s.Status != pgwire.InFailed {
			s.queue.push(expect{kind: virtual, st: shared, name: string(name)})
			return end - i, true, nil
		}
		again := s.shared.Registry.Prefix() + "again" // in a failed transaction the server decides whether it may be parsed
		s.closeStray(c, again)
		c.dst = pgwire.AppendParse(c.dst, again, rest)
		s.queue.push(expect{kind: parse, again: true, st: shared, name: string(name)})
		s.strays = append(s.strays, again)
		return end - i, true, nil
	}
	s.hold(c, shared, srv)
	c.dst = pgwire.AppendParse(c.dst, shared.Name, rest)
	s.queue.push(expect{kind: parse, st: shared, name: string(name)})
	return end - i, true, nil
}

// parseKept lets a Parse pass in pool mode session: the statement is the server connection's own, and
// only what goes back to the session's first settings is put in other words.
func (s *Session) parseKept(c *composer, name string, rest []byte, fx *statement.Effects, i, end int) (int, bool, error) {
	s.queue.push(expect{kind: parse})
	if fx == nil || len(fx.Steps) == 0 {
		delete(s.kept, name)
		s.pass = end - i
		return 0, true, nil
	}
	if s.kept == nil {
		s.kept = map[string]*statement.Effects{}
	}
	s.kept[name] = fx
	c.replace(i, end)
	c.dst = pgwire.AppendParse(c.dst, name, rest)
	return end - i, true, nil
}

// keyOf is the key of a statement that is parsed now; body is what follows the name.
func (s *Session) keyOf(body []byte) statement.Key {
	return statement.Key{Pool: s.Pool, Body: string(body), Planner: s.Want.Planner()}
}

// prepareHere answers a Parse with nothing but its Sync behind it, at the beginning of p, for a session without a
// server connection. A statement that a server has parsed for another session need not be parsed again
// before it is used; and a client that waits for this answer while its other connections hold all server
// connections in transactions would wait for ever.
func (s *Session) prepareHere(p []byte, n int) (took int, ok bool) {
	end := pgwire.HeaderSize + n
	took = end + pgwire.HeaderSize
	if s.Keeps || len(p) < took || p[end] != pgwire.Sync || pgwire.Body(p[end:]) != 0 || n > s.Limits.TextBytes {
		return 0, false
	}
	name, rest, ok := pgwire.CString(p[pgwire.HeaderSize:end])
	if !ok || len(name) == 0 || s.statements[string(name)] != nil || len(s.statements) >= s.Limits.Statements || s.bytes+len(rest) > s.Limits.StatementBytes {
		return 0, false
	}
	text, _, ok := pgwire.CString(rest)
	if !ok {
		return 0, false
	}
	st := s.shared.Registry.Find(s.keyOf(rest))
	if st == nil || !st.Accepted.Load() {
		return 0, false
	}
	if _, v := s.decide(text); v.Action != query.Continue {
		return 0, false
	}
	s.add(string(name), st)
	return took, true
}

// decide asks the pipeline about the statement with the given text, unless that was done already, when
// the session had no server connection yet.
func (s *Session) decide(text []byte) (*query.Query, query.Verdict) {
	if s.judged {
		s.judged = false
		s.first.Text = text
		return &s.first, query.Verdict{}
	}
	s.first = query.Query{Text: text, StdStrings: s.stdStrings(), InTransaction: s.Status != pgwire.Idle}
	return &s.first, s.judge.Judge(&s.first)
}

// parseOpaque lets a Parse pass that is too large to be looked at. A named one would be lost with the
// server connection, so the session keeps that.
func (s *Session) parseOpaque(p []byte, i, end int, srv *serverstate.Server) (int, bool, error) {
	if len(p) == i+pgwire.HeaderSize {
		return 0, false, nil
	}
	if p[i+pgwire.HeaderSize] == 0 {
		s.endUnnamed(srv)
		srv.Held.Unnamed = statement.Somebodys
		srv.Tainted = srv.Tainted || !s.Keeps
	} else if !s.Keeps {
		s.pin("\x00opaque")
	}
	s.judged = false
	s.unsynced = true
	s.queue.push(expect{kind: parse})
	s.pass = end - i
	return 0, true, nil
}

// parseTaken answers a Parse under a name that is taken as PostgreSQL does: by letting it parse under that
// very name, which is made to be taken at the server too. Any other error of the text comes first, as it
// would there. The name is closed again behind the Sync.
func (s *Session) parseTaken(c *composer, name, rest []byte) {
	s.closeStray(c, string(name))
	c.dst = pgwire.AppendParse(c.dst, string(name), []byte{0, 0, 0})
	s.queue.push(expect{kind: parse, hidden: true, name: string(name)})
	c.dst = pgwire.AppendParse(c.dst, string(name), rest)
	s.queue.push(expect{kind: parse, name: string(name)})
	s.strays = append(s.strays, string(name))
}

// closeStray closes a name that this unit has put on the server connection, if it has.
func (s *Session) closeStray(c *composer, name string) {
	if slices.Contains(s.strays, name) {
		c.dst = pgwire.AppendNamed(c.dst, pgwire.Close, 'S', name)
		s.queue.push(expect{kind: closing, hidden: true})
	}
}

// closeStrays closes what the unit has put on the server connection under names that are not the
// proxy's, in a unit of its own, which nothing that went wrong before can touch.
func (s *Session) closeStrays(c *composer) {
	for _, name := range s.strays {
		c.dst = pgwire.AppendNamed(c.dst, pgwire.Close, 'S', name)
		s.queue.push(expect{kind: closing, hidden: true})
	}
	c.dst = pgwire.AppendSync(c.dst)
	s.queue.push(expect{kind: sync, hidden: true})
	s.strays = s.strays[:0]
}

// bind deals with a Bind message: portal, statement, values. Only the two names have to be there.
func (s *Session) bind(c *composer, p []byte, i, end int, srv *serverstate.Server) (int, bool, error) {
	portal, rest, ok := pgwire.CString(p[i+pgwire.HeaderSize : min(end, len(p))])
	name, rest, ok2 := pgwire.CString(rest)
	if !ok || !ok2 {
		if len(p) < end && len(p)-i < 2*smallMessage {
			return 0, false, nil
		}
		portal, name, rest = nil, nil, p[i+pgwire.HeaderSize:min(end, len(p))] // malformed: the server says so
	}
	s.unsynced, s.judged = true, false
	if s.Keeps {
		s.openPortal(portal, s.kept[string(name)])
		s.queue.push(expect{kind: bind})
		s.pass = end - i
		return 0, true, nil
	}
	server, effects, found := s.lookup(c, i, name, srv)
	s.begin(effects, srv)
	s.openPortal(portal, effects)
	if !found {
		s.queue.push(expect{kind: bind})
		s.pass = end - i
		return 0, true, nil
	}
	at := min(end, len(p)) - len(rest) // where the values begin
	c.replace(i, at)
	c.dst = pgwire.AppendHeader(c.dst, pgwire.Bind, len(portal)+len(server)+2+end-at)
	c.dst = append(append(c.dst, portal...), 0)
	c.dst = append(append(c.dst, server...), 0)
	s.queue.push(expect{kind: bind})
	s.pass = end - at
	return at - i, true, nil
}

// lookup finds the statement that the client calls name, and sees to it that the server connection has
// it. found is false where the name goes on as it is.
func (s *Session) lookup(c *composer, i int, name []byte, srv *serverstate.Server) (server string, fx *statement.Effects, found bool) {
	if len(name) == 0 {
		u := &s.unnamed
		if u.id == srv.Held.Unnamed {
			return "", u.effects, false
		}
		if u.id == 0 || u.unknown { // not there: and nor must be another session's
			c.upTo(i)
			c.dst = pgwire.AppendNamed(c.dst, pgwire.Close, 'S', "")
			s.queue.push(expect{kind: closing, hidden: true, before: s.replaced(srv)})
			srv.Held.Unnamed, u.id = 0, 0
			return "", nil, false
		}
		c.upTo(i)
		s.under(c, u.planner, func() {
			c.dst = pgwire.AppendParse(c.dst, "", u.body)
			s.queue.push(expect{kind: parse, hidden: true})
		})
		srv.Held.Unnamed = u.id
		return "", u.effects, false
	}
	st := s.statements[string(name)]
	if st == nil {
		if len(s.strays) > 0 {
			c.upTo(i)
			s.closeStray(c, string(name))
		}
		if strings.HasPrefix(string(name), s.shared.Registry.Prefix()) {
			return "?" + string(name), nil, true // the server's names are not the client's to guess
		}
		return "", nil, false
	}
	c.upTo(i)
	s.ensure(c, st, srv)
	return st.Name, st.Effects, true
}

// named deals with Describe and Close: what ('S' or 'P') and name.
func (s *Session) named(c *composer, p []byte, i, end int, srv *serverstate.Server) (int, bool, error) {
	if len(p) < end {
		return 0, false, nil
	}
	s.unsynced, s.judged = true, false
	k := describe
	if p[i] == pgwire.Close {
		k = closing
	}
	body := p[i+pgwire.HeaderSize : end]
	if len(body) < 2 || body[0] != 'S' || s.Keeps {
		s.queue.push(expect{kind: k})
		s.pass = end - i
		return 0, true, nil
	}
	name, _, _ := pgwire.CString(body[1:])
	if k == closing {
		s.close(string(name), srv)
		s.pass = end - i // at the server nothing has that name, and closing nothing is no error
		return 0, true, nil
	}
	server, _, found := s.lookup(c, i, name, srv)
	s.queue.push(expect{kind: k})
	if !found {
		s.pass = end - i
		return 0, true, nil
	}
	c.replace(i, end)
	c.dst = pgwire.AppendNamed(c.dst, pgwire.Describe, 'S', server)
	return end - i, true, nil
}

// close forgets a statement, for as long as the server does not skip the message.
func (s *Session) close(name string, srv *serverstate.Server) {
	if name == "" {
		s.queue.push(expect{kind: closing, before: s.replaced(srv)})
		s.endUnnamed(srv)
		return
	}
	st := s.statements[name]
	if st != nil {
		s.forget(name)
		if st.Private && srv.Held.Has(st) {
			srv.Held.Remove(st)
			srv.Held.Stale = append(srv.Held.Stale, st.Name)
		}
	}
	s.queue.push(expect{kind: closing, st: st, name: name})
}

func (s *Session) add(name string, st *statement.Statement) {
	if s.statements == nil {
		s.statements = map[string]*statement.Statement{}
	}
	s.statements[name] = st
	s.bytes += len(st.Body)
}

func (s *Session) forget(name string) {
	if st := s.statements[name]; st != nil {
		delete(s.statements, name)
		s.bytes -= len(st.Body)
		s.unpin("\x00" + st.Name)
	}
}

// execute deals with an Execute message: portal, number of rows.
func (s *Session) execute(p []byte, i, end int) (int, bool, error) {
	s.shared.Meter.Queries++
	s.unsynced, s.judged = true, false
	fx := s.portal
	if s.portals != nil {
		if len(p) < end {
			return 0, false, nil
		}
		if name, _, _ := pgwire.CString(p[i+pgwire.HeaderSize : end]); len(name) > 0 {
			fx = s.portals[string(name)]
		}
	}
	s.queue.push(expect{kind: execute, effects: fx})
	s.pass = end - i
	return 0, true, nil
}

// openPortal notes what executing a portal will do.
func (s *Session) openPortal(portal []byte, fx *statement.Effects) {
	if len(portal) == 0 {
		s.portal = fx
		return
	}
	if fx == nil {
		delete(s.portals, string(portal))
		return
	}
	if s.portals == nil {
		s.portals = map[string]*statement.Effects{}
	}
	s.portals[string(portal)] = fx
}

// refuse lets the server refuse what stands in place of a message, and puts err in place of its error:
// so it comes in its turn, and the server skips what depends on it.
func (s *Session) refuse(c *composer, err *pgerr.Error) {
	c.dst = pgwire.AppendNamed(c.dst, pgwire.Describe, 'S', s.shared.Registry.Prefix()+"refused")
	s.queue.push(expect{kind: describe, refusal: err})
}

func (s *Session) pin(reason string) {
	if s.pinned == nil {
		s.pinned = map[string]struct{}{}
	}
	s.pinned[reason] = struct{}{}
	s.pins = len(s.pinned)
}

func (s *Session) unpin(reason string) {
	if s.pins == 0 {
		return
	}
	delete(s.pinned, reason)
	s.pins = len(s.pinned)
}
