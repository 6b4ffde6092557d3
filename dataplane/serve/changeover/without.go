package changeover

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/settings"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// without returns the settings of want that the statement at the beginning of p does not set. ok is false where it sets none of them, or
// something else is done there too.
func without(want settings.Set, p []byte) (rest settings.Set, ok bool) {
	text, ok := first(p)
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
	if !ok {
		return want, false
	}
	name := string(does.Name)
	switch does.Kind {
	case sqltext.SetParam:
		if does.Local || settings.IsWho(name) { // who one is is not left open by a SET that fails
			return want, false
		}
		rest = want.Only(func(n string) bool { return n != name })
	case sqltext.ResetParam:
		rest = want.Only(func(n string) bool { return n != name && (name != "session_authorization" || n != "role") })
	case sqltext.ResetAll:
		rest = want.Only(settings.IsWho)
	case sqltext.DiscardAll:
	default:
		return want, false
	}
	return rest, rest != want
}

// first returns the text of the Query or Parse that p begins with, if all of it is there.
func first(p []byte) (text []byte, ok bool) {
	if len(p) < pgwire.HeaderSize || p[0] != pgwire.Query && p[0] != pgwire.Parse {
		return nil, false
	}
	n := pgwire.Body(p)
	if n < 0 || len(p) < pgwire.HeaderSize+n {
		return nil, false
	}
	body := p[pgwire.HeaderSize : pgwire.HeaderSize+n]
	if p[0] == pgwire.Parse {
		if _, body, ok = pgwire.CString(body); !ok {
			return nil, false
		}
	}
	text, _, ok = pgwire.CString(body)
	return text, ok
}
