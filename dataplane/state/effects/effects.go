// Package effects finds out what a text does to the session that sends it, and what is sent in its place where it would mean something else on a server connection that is shared.
package effects

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// concerns are the flags of texts that may change the session.
const concerns = sqltext.FlagSet | sqltext.FlagSetCharacteristics | sqltext.FlagReset | sqltext.FlagDiscardAll | sqltext.FlagDiscardOther | sqltext.FlagDeallocateAll |
	sqltext.FlagDeallocate | sqltext.FlagPrepare | sqltext.FlagListen | sqltext.FlagUnlisten | sqltext.FlagCreateTemp | sqltext.FlagHoldCursor |
	sqltext.FlagSetConfig | sqltext.FlagAdvisory | sqltext.FlagUnfollowable

// Text is a text and what is known of it.
type Text struct {
	SQL        []byte
	StdStrings bool // the session's standard_conforming_strings
	Flags      sqltext.Flags
	Single     bool            // it is one statement
	Facts      *sqlparse.Facts // what the grammar says; nil where it does not know the text
	Leaves     pin.Set         // on the server connection, for the session alone
}

// Session is what the meaning of a text depends on.
type Session struct {
	Startup settings.Set // what RESET goes back to
	Keeps   bool         // the server connection is the session's for good
	Pinned  bool         // it is for some reason, or may be
	Owns    bool         // the server connection has prepared statements that are the session's own
	Alone   bool         // no transaction is open and nothing is under way
	Shares  bool         // a connection that listens for all says LISTEN
	// Statements are those that the session has and the server connection under another name.
	Statements map[string]*statement.Statement
}

// None says of most texts, without a closer look, that they do nothing to a session: queries and writes that call no function.
func None(flags sqltext.Flags, f *sqlparse.Facts) bool {
	return flags&concerns == 0 && f != nil && f.Does&^(sqlparse.Writes|sqlparse.Controls|sqlparse.Moment) == 0 && len(f.Functions) == 0
}

// Of returns what the text does to the session, nil for most, and what is sent in its place: the text itself, if that will do.
func Of(t Text, s Session) (fx *statement.Effects, sent []byte, rewritten bool) {
	names := len(s.Statements) > 0 && (t.Facts == nil || t.Facts.Does&(sqlparse.Executes|sqlparse.Prepares) != 0)
	if t.Flags&concerns == 0 && t.Leaves == 0 && !names || s.Keeps && s.Startup == (settings.Set{}) {
		return nil, t.SQL, false
	}
	return read(t, s, names)
}

// read reads the text statement by statement. names says that it may name prepared statements.
func read(t Text, s Session, names bool) (fx *statement.Effects, sent []byte, rewritten bool) {
	fx = &statement.Effects{
		Suspect: t.Flags&(sqltext.FlagSetConfig|sqltext.FlagUnfollowable) != 0,
		Leaves:  t.Leaves,
	}
	e := editor{s: &s, t: &t, fx: fx}
	var sc sqltext.Scanner
	sc.Reset(t.SQL, t.StdStrings)
	for n := 0; ; n++ {
		st, ok := sc.Next()
		if !ok {
			break
		}
		if !names || !e.named(st) {
			e.statement(n, st)
		}
	}
	if e.dst == nil {
		return fx, t.SQL, false
	}
	return fx, append(e.dst, t.SQL[e.from:]...), true
}

// editor puts other words in place of those that mean, on a server connection that is shared, something else than on one's
// own.
type editor struct {
	s    *Session
	t    *Text
	fx   *statement.Effects
	dst  []byte
	from int
}

// put puts other SQL in place of what is between two places of the text.
func (e *editor) put(start, end int, with []byte) {
	e.dst = append(append(e.dst, e.t.SQL[e.from:start]...), with...)
	e.from = end
}

// named deals with a statement that names a prepared one which the server connection has under another name.
func (e *editor) named(st sqltext.Statement) bool {
	var buf [128]byte
	name, start, end, ok := sqltext.Prepared(e.t.SQL[st.Start:st.End], e.t.StdStrings, buf[:0])
	if !ok {
		return false
	}
	ours := e.s.Statements[string(name)]
	if ours == nil {
		return false
	}
	e.put(st.Start+start, st.Start+end, []byte(ours.Name))
	e.fx.Uses = append(e.fx.Uses, ours)
	return true
}

// instead puts another statement in place of one, and notes what that does.
func (e *editor) instead(st sqltext.Statement, with []byte, step statement.Step) {
	e.put(st.Start, st.End, with)
	e.fx.Steps = append(e.fx.Steps, step)
}

// nothing is a statement that does nothing, but fails in a failed transaction as others do.
const nothing = "DO LANGUAGE plpgsql 'BEGIN END'"

// discard is DISCARD ALL but for the statements that the server connection has for everybody.
const discard = "EXECUTE 'CLOSE ALL';SET SESSION AUTHORIZATION DEFAULT;RESET ALL;EXECUTE 'UNLISTEN *';" +
	"PERFORM pg_catalog.pg_advisory_unlock_all();EXECUTE 'DISCARD PLANS';EXECUTE 'DISCARD TEMP';EXECUTE 'DISCARD SEQUENCES';"

// statement deals with the n-th statement of the text.
func (e *editor) statement(n int, st sqltext.Statement) {
	if st.Verb == sqltext.VerbListen || st.Verb == sqltext.VerbUnlisten {
		e.channel(n, st)
		return
	}
	var buf [128]byte
	d, ok := sqltext.ParseSession(e.t.SQL[st.Start:st.End], e.t.StdStrings, buf[:0])
	if !ok {
		if st.Verb == sqltext.VerbSet || st.Verb == sqltext.VerbReset {
			e.fx.Suspect = true
		}
		return
	}
	s, name := e.s, string(d.Name)
	switch d.Kind {
	case sqltext.SetParam, sqltext.ResetParam:
		e.parameter(n, st, d, name)
	case sqltext.SetCharacteristics:
		e.fx.Sets = append(e.fx.Sets, "default_transaction_isolation", "default_transaction_read_only", "default_transaction_deferrable")
	case sqltext.ResetAll:
		e.fx.SetsAll = true
		if own := s.Startup.Only(settings.NotWho); own != (settings.Set{}) {
			e.instead(st, settings.AppendRestore(nil, "RESET ALL;", own, false), statement.Step{Ordinal: n, Tag: "RESET"})
		}
	case sqltext.DiscardSequences:
		e.fx.Steps = append(e.fx.Steps, statement.Step{Ordinal: n, Do: statement.DiscardSequences})
	case sqltext.DiscardAll:
		e.fx.SetsAll = true
		e.discardAll(n, st)
	case sqltext.DeallocateAll:
		if s.Keeps {
			return
		}
		step := statement.Step{Ordinal: n, Tag: "DEALLOCATE ALL", Do: statement.DeallocateAll}
		if s.Pinned { // the statements are on the session's own connection
			e.fx.Steps = append(e.fx.Steps, step)
			return
		}
		e.instead(st, []byte(nothing), step)
	case sqltext.DeallocateName:
		if s.Statements[name] != nil {
			e.instead(st, []byte(nothing), statement.Step{Ordinal: n, Tag: "DEALLOCATE", Do: statement.Deallocate, Name: name})
		}
	}
}

// parameter deals with SET and RESET of one parameter. What goes back to the default goes back to what the client asked for.
func (e *editor) parameter(n int, st sqltext.Statement, d sqltext.Session, name string) {
	e.fx.Sets = append(e.fx.Sets, name)
	v, own := e.s.Startup.Get(name)
	if !own || d.Kind == sqltext.SetParam && !d.ToDefault {
		return
	}
	tag := "SET"
	if d.Kind == sqltext.ResetParam {
		tag = "RESET"
	}
	e.instead(st, settings.AppendRestore(nil, "", settings.Of(settings.Pair{Name: name, Value: v}), d.Local), statement.Step{Ordinal: n, Tag: tag})
}

// discardAll deals with DISCARD ALL. It is refused within a transaction block, and within a text of several statements: by
// the server.
func (e *editor) discardAll(n int, st sqltext.Statement) {
	if !e.t.Single || !e.s.Alone {
		e.fx.Steps = append(e.fx.Steps, statement.Step{Ordinal: n, Do: statement.DiscardAll})
		return
	}
	words := discard
	if e.s.Owns {
		words += "EXECUTE 'DEALLOCATE ALL';"
	}
	e.instead(st, settings.AppendRestore(nil, words, e.s.Startup, false), statement.Step{Ordinal: n, Tag: "DISCARD ALL", Do: statement.DiscardAll})
}
