package session

import (
	"github.com/heliosproxy/heliosproxy/dataplane/query"
	"github.com/heliosproxy/heliosproxy/dataplane/state/serverstate"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// concerns are the flags of texts that may change the session.
const concerns = sqltext.FlagSet | sqltext.FlagSetCharacteristics | sqltext.FlagReset | sqltext.FlagDiscardAll | sqltext.FlagDiscardOther | sqltext.FlagDeallocateAll |
	sqltext.FlagDeallocate | sqltext.FlagPrepare | sqltext.FlagListen | sqltext.FlagCreateTemp | sqltext.FlagHoldCursor |
	sqltext.FlagSetConfig | sqltext.FlagUnfollowable

// query deals with a Query message.
func (s *Session) query(c *composer, p []byte, i, end int, srv *serverstate.Server) (int, bool, error) {
	body := i + pgwire.HeaderSize
	opaque := end-body > s.Limits.TextBytes
	if !opaque && len(p) < end {
		return 0, false, nil
	}
	s.shared.Meter.Queries++
	s.unsynced = false
	s.pass = end - i
	s.endUnnamed(srv) // as a Query does
	s.portal = nil
	if opaque {
		s.judged = false
		if !s.Keeps {
			srv.Tainted = true // what it may have set is not known
			s.touchAll()
		}
		s.queue.push(expect{kind: simple})
		return 0, true, nil
	}
	text, _, ok := pgwire.CString(p[body:end])
	if !ok {
		s.queue.push(expect{kind: simple})
		return 0, true, nil
	}
	q, v := s.decide(text)
	if v.Action == query.Reject {
		s.pass = 0
		c.replace(i, end)
		c.dst = pgwire.AppendQuery(c.dst, ".") // an error in any state of the transaction
		s.queue.push(expect{kind: simple, refusal: v.Err})
		return end - i, true, nil
	}
	fx, text2 := s.understand(q)
	s.begin(fx, srv)
	s.queue.push(expect{kind: simple, effects: fx})
	if fx != nil && len(fx.Steps) > 0 {
		s.pass = 0
		c.replace(i, end)
		c.dst = pgwire.AppendQuery(c.dst, string(text2))
		return end - i, true, nil
	}
	return 0, true, nil
}

// understand finds out what the text does to the session, nil for most, and what is sent in its place
// where that must be something else.
func (s *Session) understand(q *query.Query) (*statement.Effects, []byte) {
	f := q.Facts.Flags
	if !s.followable() {
		f |= sqltext.FlagUnfollowable
	}
	if f&concerns == 0 || s.Keeps && s.Startup == (settings.Set{}) {
		return nil, q.Text
	}
	fx := &statement.Effects{
		Taints: f&(sqltext.FlagSetConfig|sqltext.FlagUnfollowable) != 0,
		Pins:   f&(sqltext.FlagPrepare|sqltext.FlagListen|sqltext.FlagCreateTemp|sqltext.FlagHoldCursor) != 0,
	}
	e := editor{s: s, fx: fx, src: q.Text, single: q.Facts.Statements == 1}
	var sc sqltext.Scanner
	sc.Reset(q.Text, q.StdStrings)
	for n := 0; ; n++ {
		st, ok := sc.Next()
		if !ok {
			break
		}
		e.statement(n, st, q.StdStrings)
	}
	fx.SetsAll = fx.SetsAll || fx.Taints
	return fx, e.text()
}

// followable says whether texts in the session's encoding can be read byte by byte.
func (s *Session) followable() bool {
	if s.readFor != s.Want || !s.read {
		v, set := s.Want.Get("client_encoding")
		s.readable, s.readFor, s.read = !set || sqltext.Followable(v), s.Want, true
	}
	return s.readable
}

// editor puts other statements in place of those that mean, on a server connection that is shared,
// something else than on one's own.
type editor struct {
	s      *Session
	fx     *statement.Effects
	src    []byte
	dst    []byte
	from   int
	single bool
}

func (e *editor) text() []byte {
	if e.dst == nil {
		return e.src
	}
	return append(e.dst, e.src[e.from:]...)
}

// put puts other SQL in place of a statement, and notes what that does.
func (e *editor) put(st sqltext.Statement, with []byte, step statement.Step) {
	e.dst = append(e.dst, e.src[e.from:st.Start]...)
	e.dst = append(e.dst, with...)
	e.from = st.End
	e.fx.Steps = append(e.fx.Steps, step)
}

// nothing is a statement that does nothing, but fails in a failed transaction as others do.
const nothing = "DO LANGUAGE plpgsql 'BEGIN END'"

// statement deals with the n-th statement of the text.
func (e *editor) statement(n int, st sqltext.Statement, std bool) {
	var name [128]byte
	d, ok := sqltext.ParseSession(e.src[st.Start:st.End], std, name[:0])
	if !ok {
		if st.Verb == sqltext.VerbSet || st.Verb == sqltext.VerbReset {
			e.fx.Taints = true
		}
		return
	}
	s := e.s
	param := string(d.Name)
	switch d.Kind {
	case sqltext.SetParam, sqltext.ResetParam:
		e.fx.Sets = append(e.fx.Sets, param)
		v, own := s.Startup.Get(param)
		if !own || d.Kind == sqltext.SetParam && !d.ToDefault {
			return
		}
		tag := "SET"
		if d.Kind == sqltext.ResetParam {
			tag = "RESET"
		}
		e.put(st, settings.AppendRestore(nil, "", settings.Of(settings.Pair{Name: param, Value: v}), d.Local),
			statement.Step{Ordinal: n, Tag: tag})
	case sqltext.SetCharacteristics:
		e.fx.Sets = append(e.fx.Sets, "default_transaction_isolation", "default_transaction_read_only", "default_transaction_deferrable")
	case sqltext.ResetAll:
		e.fx.SetsAll = true
		if own := s.Startup.Only(settings.NotWho); own != (settings.Set{}) {
			e.put(st, settings.AppendRestore(nil, "RESET ALL;", own, false), statement.Step{Ordinal: n, Tag: "RESET"})
		}
	case sqltext.DiscardAll:
		e.fx.SetsAll = true
		if e.single && s.Status == pgwire.Idle && s.queue.n == 0 && !s.unsynced {
			words := discard
			if s.Keeps {
				words += "EXECUTE 'DEALLOCATE ALL';"
			}
			e.put(st, settings.AppendRestore(nil, words, s.Startup, false),
				statement.Step{Ordinal: n, Tag: "DISCARD ALL", Do: statement.DiscardAll})
		} // else it is refused: it may not run within a transaction block
	case sqltext.DeallocateAll:
		if s.Keeps {
			return
		}
		step := statement.Step{Ordinal: n, Tag: "DEALLOCATE ALL", Do: statement.DeallocateAll}
		if s.pins > 0 { // the statements are on the session's own connection
			e.fx.Steps = append(e.fx.Steps, step)
			return
		}
		e.put(st, []byte(nothing), step)
	case sqltext.DeallocateName:
		if _, ours := s.statements[param]; ours {
			e.put(st, []byte(nothing), statement.Step{Ordinal: n, Tag: "DEALLOCATE", Do: statement.Deallocate, Name: param})
		}
	}
}

// discard is DISCARD ALL but for the statements that the server connection has for everybody.
const discard = "EXECUTE 'CLOSE ALL';SET SESSION AUTHORIZATION DEFAULT;RESET ALL;EXECUTE 'UNLISTEN *';" +
	"PERFORM pg_catalog.pg_advisory_unlock_all();EXECUTE 'DISCARD PLANS';EXECUTE 'DISCARD TEMP';EXECUTE 'DISCARD SEQUENCES';"

// begin notes what a text that goes to the server may do.
func (s *Session) begin(fx *statement.Effects, srv *serverstate.Server) {
	if fx == nil || s.Keeps {
		return
	}
	for _, n := range fx.Sets {
		s.touch(n)
	}
	if fx.SetsAll {
		s.touchAll()
		s.touch("role")
		s.touch("session_authorization")
	}
	if fx.Taints {
		srv.Tainted = true
	}
	if fx.Pins {
		s.pin("text")
	}
}

// done does what a statement of the session does when it has succeeded.
func (s *Session) done(step *statement.Step, srv *serverstate.Server) {
	switch step.Do {
	case statement.Deallocate:
		s.forget(step.Name)
	case statement.DeallocateAll, statement.DiscardAll:
		s.forgetStatements()
		if s.Keeps {
			srv.Held.Clear()
			clear(s.kept)
		}
	}
}
