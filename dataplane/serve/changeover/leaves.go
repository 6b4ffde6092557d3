package changeover

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// leaves returns what is set when the unit that p begins with is over, if all that it does is to reset what is set: want is what is set before,
// startup what a reset goes back to. ok is false for every other unit, and for one of which not all is there. A SET is none: one that fails
// would leave the parameter at its default.
func leaves(want, startup settings.Set, p []byte) (rest settings.Set, ok bool) {
	text, ok := carriesOut(p)
	if !ok {
		return want, false
	}
	std := want.StdStrings()
	var sc sqltext.Scanner
	sc.Reset(text, std)
	st, ok := sc.Next()
	if _, more := sc.Next(); !ok || more {
		return want, false
	}
	var buf [64]byte
	does, ok := sqltext.ParseSession(text[st.Start:st.End], std, buf[:0])
	if !ok || does.Local {
		return want, false
	}
	switch name := string(does.Name); {
	case does.Kind == sqltext.ResetParam, does.Kind == sqltext.SetParam && does.ToDefault:
		back := func(n string) bool { return n == name || name == "session_authorization" && n == "role" }
		rest = startup.Only(back).Over(want.Only(func(n string) bool { return !back(n) }))
	case does.Kind == sqltext.ResetAll:
		rest = startup.Only(settings.NotWho).Over(want.Only(settings.IsWho))
	case does.Kind == sqltext.DiscardAll:
		rest = startup
	default:
		return want, false
	}
	return rest, rest != want
}

// carriesOut returns the text that the unit at the beginning of p carries out: that of a Query, or of a Parse which is bound and executed, and
// nothing else, up to a Sync.
func carriesOut(p []byte) (text []byte, ok bool) {
	var statement, portal string
	bound, executed := false, false
	for first := true; ; first = false {
		if len(p) < pgwire.HeaderSize {
			return nil, false
		}
		t, n := p[0], pgwire.Body(p)
		if n < 0 || len(p) < pgwire.HeaderSize+n {
			return nil, false
		}
		body := p[pgwire.HeaderSize : pgwire.HeaderSize+n]
		p = p[pgwire.HeaderSize+n:]
		name, rest, _ := pgwire.CString(body)
		switch {
		case t == pgwire.Query && first:
			return name, len(rest) == 0 && len(body) > 0
		case t == pgwire.Parse && first:
			statement = string(name)
			if text, _, ok = pgwire.CString(rest); !ok {
				return nil, false
			}
		case t == pgwire.Bind && !first && !bound:
			of, _, _ := pgwire.CString(rest)
			if bound, portal = true, string(name); string(of) != statement {
				return nil, false
			}
		case t == pgwire.Describe && !first:
		case t == pgwire.Execute && bound && !executed && string(name) == portal:
			executed = true
		case t == pgwire.Sync && executed:
			return text, true
		default:
			return nil, false
		}
	}
}
