package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/session/compose"
	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/session/stock"
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// parse deals with a Parse message: name, text, number of parameter types, types.
func (s *Session) parse(c *compose.Composer, p []byte, i, end int, srv *serverstate.Server) (int, bool) {
	body := pgwire.HeaderSize + i
	if end-body > s.Limits.TextBytes {
		return s.parseOpaque(c, p, i, end, srv)
	}
	if len(p) < end {
		return 0, false
	}
	name, rest, ok := pgwire.CString(p[body:end])
	text, types, ok2 := pgwire.CString(rest)
	name = statement.Cut(name)
	if len(name) > 0 && s.unsettled(name) {
		return 0, false
	}
	if !ok || !ok2 || len(types) < 2 || len(types) != 2+4*(int(types[0])<<8|int(types[1])) {
		s.queue.Push(expect.Answer{Kind: expect.Parse})
		return s.passes(p, i, end), true
	}
	q, v := s.decide(text, len(name) > 0)
	if v.Action == query.Reject {
		return s.refuseWhole(c, i, end, v.Err)
	}
	effects, sent, rewritten, v := s.understood(c, i, q, false)
	if s.Ear.Waits {
		s.judged = true
		return 0, false
	}
	if v.Action == query.Reject {
		return s.refuseWhole(c, i, end, v.Err)
	}
	if effects != nil && effects.Suspect {
		s.Changes.Search(text)
	}
	if effects != nil && len(effects.Uses) > 0 {
		if s.blindFor(c, i, nil, effects, srv) {
			return 0, false
		}
		c.UpTo(i)
		s.uses(c, effects, srv)
	}
	if rewritten {
		rest = append(append(append([]byte(nil), sent...), 0), types...)
	}
	_, taken := s.Names.All[string(name)]
	if s.Keeps || s.owns() && len(name) > 0 && !taken {
		return s.parseKept(c, p, string(name), rest, effects, rewritten, i, end)
	}
	if len(name) == 0 {
		asks := s.parseUnnamed(rest, effects, q.Shape, s.unsure(srv) && q.SQL().IsAnalyzed(), srv)
		if rewritten {
			c.Replace(i, end)
			c.Dst = pgwire.AppendParse(c.Dst, "", rest)
		}
		if asks {
			c.UpTo(end)
			s.askUnder(c, srv, false)
		}
		return s.passes(p, i, end), true
	}
	if taken {
		c.Replace(i, end)
		s.strays.Parse(c, &s.queue, string(name), rest)
		return end - i, true
	}
	if len(s.Names.All) >= s.Limits.Statements {
		return s.refuseWhole(c, i, end, pgerr.New(pgerr.StatementLimit, len(s.Names.All)))
	}
	if s.Names.Bytes+len(sent) > s.Limits.StatementBytes {
		return s.refuseWhole(c, i, end, pgerr.New(pgerr.StatementBytes, s.Limits.StatementBytes))
	}
	key := s.keyOf(rest, q.SQL().IsAnalyzed())
	if custom := s.Want.Custom(); custom != (settings.Set{}) && q.Shape.Written(s.Catalog) {
		key.Custom = custom
	}
	shared, asks := (*statement.Statement)(nil), false
	moment, meaning := q.IsMoment(), statement.NewMeaning(effects, q.SQL(), q.Shape == nil || q.Shape.Changes())
	if doubtful := s.unsure(srv) && q.SQL().IsAnalyzed(); doubtful || moment {
		c.Replace(i, end)
		shared = s.shared.Registry.Own(key, meaning)
		switch {
		case doubtful:
			asks = s.stay(stock.Unsure{Statement: shared, Moment: moment}, shared.Name)
		case s.Policy.Pinning == pin.Keep:
			s.Reasons.Add(shared.Name, pin.Moment)
		default:
			s.residue.Maybe |= pin.Moment
		}
	} else {
		shared = s.shared.Registry.Shared(key, meaning)
		if s.queue.Owed() > 0 && s.risky(shared) {
			s.judged = true // and not again
			return 0, false
		}
		c.Replace(i, end)
	}
	s.Names.Add(string(name), shared)
	s.Account.Parses++
	if s.Status != pgwire.InFailed && len(p) > end && p[end] != pgwire.Sync && srv.Held.Forget(shared) {
		// It is used in this unit: as PostgreSQL parses it now, it does not meet a plan that has changed since.
	} else if srv.Held.Has(shared) {
		if s.Status != pgwire.InFailed && !s.doubt.Open && !s.queue.Doubts() {
			s.Names.Borrow(string(name))
			s.queue.Push(expect.Answer{Kind: expect.Virtual, Statement: shared, Name: string(name)})
			return end - i, true
		}
		again := s.shared.Registry.Prefix() + "again" // in a failed transaction, or behind a failed COPY, the server decides whether it is parsed
		c.Dst = pgwire.AppendParse(c.Dst, again, rest)
		s.queue.Push(expect.Answer{Kind: expect.Parse, Again: true, Statement: shared, Name: string(name)})
		c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Close, 'S', again)
		s.queue.Push(expect.Answer{Kind: expect.Close, Hidden: true})
		return end - i, true
	}
	stock.Hold(c, &s.queue, srv.Held, shared)
	s.Account.ServerParses++
	c.Dst = pgwire.AppendParse(c.Dst, shared.Name, rest)
	s.queue.Push(expect.Answer{Kind: expect.Parse, Statement: shared, Name: string(name)})
	if shared.Told.Load() != 0 { // others were told what it returned to them
		c.Dst = pgwire.AppendNamed(c.Dst, pgwire.Describe, 'S', shared.Name)
		c.Dst = pgwire.Append(c.Dst, pgwire.Flush, nil)
		s.queue.Push(expect.Answer{Kind: expect.Describe, Hidden: true, Statement: shared, Name: string(name)})
	}
	if asks {
		s.askUnder(c, srv, false)
	}
	return end - i, true
}

// parseKept lets a Parse pass: the statement is the server connection's own under the client's name, as all are in pool mode
// session, and else those that are parsed while the session keeps a connection that has statements of SQL.
func (s *Session) parseKept(c *compose.Composer, p []byte, name string, rest []byte, fx *statement.Effects, rewritten bool, i, end int) (int, bool) {
	s.queue.Push(expect.Answer{Kind: expect.Parse, Again: true, Name: name, Effects: s.Kept[name]})
	s.Kept.Set(name, fx)
	if !rewritten {
		return s.passes(p, i, end), true
	}
	c.Replace(i, end)
	c.Dst = pgwire.AppendParse(c.Dst, name, rest)
	return end - i, true
}

// keyOf is the key of a statement that is parsed now; body is what follows the name. analyzed says that what is set is read when it is parsed.
func (s *Session) keyOf(body []byte, analyzed bool) statement.Key {
	k := statement.Key{Pool: s.Pool, Body: string(body), Change: s.shared.Registry.Changes()}
	if analyzed {
		k.Planner = s.Want.Planner()
	}
	if s.Catalog != nil {
		k.Epoch = s.Catalog.Epoch()
	}
	return k
}

// prepareHere answers a Parse with nothing but its Sync behind it, at the beginning of p, for a session without a server connection. A
// statement that a server has parsed for another session need not be parsed again before it is used; and a client that waits for this
// answer while its other connections hold all server connections in transactions would wait for ever.
func (s *Session) prepareHere(p []byte, n int) (took int, ok bool) {
	end := pgwire.HeaderSize + n
	took = end + pgwire.HeaderSize
	if s.Keeps || s.Want.Custom() != (settings.Set{}) || len(p) < took || p[end] != pgwire.Sync || pgwire.Body(p[end:]) != 0 || n > s.Limits.TextBytes {
		return 0, false
	}
	name, rest, ok := pgwire.CString(p[pgwire.HeaderSize:end])
	name = statement.Cut(name)
	if !ok || len(name) == 0 || s.Names.All[string(name)] != nil || len(s.Names.All) >= s.Limits.Statements || s.Names.Bytes+len(rest) > s.Limits.StatementBytes {
		return 0, false
	}
	text, _, ok := pgwire.CString(rest)
	if !ok {
		return 0, false
	}
	st := s.shared.Registry.Find(s.keyOf(rest, true))
	if st == nil || !st.Accepted.Load() {
		return 0, false
	}
	if _, v := s.decide(text, true); v.Action != query.Continue {
		return 0, false
	}
	s.Names.Add(string(name), st)
	s.Names.Borrow(string(name))
	return took, true
}

// decide asks the pipeline about the statement with the given text, unless that was done already, when
// the session had no server connection yet.
func (s *Session) decide(text []byte, named bool) (*query.Query, query.Verdict) {
	if s.judged {
		s.judged = false
		s.first.Text = text
		return &s.first, query.Verdict{}
	}
	s.first = query.Query{Text: text, StdStrings: s.Want.StdStrings(), InTransaction: s.Status != pgwire.Idle, Named: named, Known: s.shared.Known}
	return &s.first, s.judge.Judge(&s.first)
}

// parseOpaque lets a Parse pass that is too large to be looked at: what executing it leaves is not known. A named one would be lost with
// the server connection, so the session keeps that, or loses it when the transaction is over.
func (s *Session) parseOpaque(c *compose.Composer, p []byte, i, end int, srv *serverstate.Server) (int, bool) {
	if len(p) == i+pgwire.HeaderSize {
		return 0, false
	}
	named := p[i+pgwire.HeaderSize] != 0
	err := s.Policy.Unseen(named)
	switch {
	case s.Keeps:
	case err != nil:
		return s.refuseWhole(c, i, end, err)
	case !named: // it can be used where it is, and nowhere else
		s.parseUnnamed(nil, &statement.Effects{Suspect: !planted.Is(planted.Unseen)}, &facts.Shape{}, false, srv)
		s.Unnamed.Unknown = true
		s.Reasons.Add("", pin.Unknown)
		return s.passes(p, i, end), true
	case s.Policy.Pinning == pin.Keep:
		s.Reasons.Have |= pin.Unknown
	default:
		s.suspect(srv)
		srv.Tainted = true
	}
	s.queue.Push(expect.Answer{Kind: expect.Parse})
	return s.passes(p, i, end), true
}
