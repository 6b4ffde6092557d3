package effects

import (
	"encoding/hex"

	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// nobody is a statement that does nothing, but is refused where LISTEN is: in a failed transaction. A server that
// listens to nothing makes nothing of it. Which channel it stands for is said in it, so that two of them are two statements.
const nobody = `UNLISTEN "helios: nobody" /* LISTEN `

// Channel returns the channel of a text that is one LISTEN, and whether that can be left to a connection that listens for all.
func Channel(t Text) (name string, ok bool) {
	if !t.Single || t.Facts == nil || t.Facts.Does != sqlparse.Listens || t.Flags&sqltext.FlagUnfollowable != 0 {
		return "", false
	}
	var sc sqltext.Scanner
	sc.Reset(t.SQL, t.StdStrings)
	st, ok := sc.Next()
	if !ok {
		return "", false
	}
	var buf [64]byte
	a, channel, ok := sqltext.ParseChannel(t.SQL[st.Start:st.End], t.StdStrings, buf[:0])
	return string(channel), ok && a == sqltext.Listen
}

// channel deals with LISTEN and UNLISTEN. The server connection is told of UNLISTEN all the same: it may listen too.
func (e *editor) channel(n int, st sqltext.Statement) {
	if st.Verb == sqltext.VerbListen {
		if !e.s.Shares {
			return
		}
		if name, ok := Channel(*e.t); ok {
			words := hex.AppendEncode([]byte(nobody), []byte(name))
			e.instead(st, append(words, " */"...), statement.Step{Ordinal: n, Tag: "LISTEN", Do: statement.Listen, Name: name})
			e.fx.Leaves &^= pin.Listen
		}
		return
	}
	var buf [64]byte
	switch a, name, ok := sqltext.ParseChannel(e.t.SQL[st.Start:st.End], e.t.StdStrings, buf[:0]); {
	case !ok:
	case a == sqltext.Unlisten:
		e.fx.Steps = append(e.fx.Steps, statement.Step{Ordinal: n, Do: statement.Unlisten, Name: string(name)})
	case a == sqltext.UnlistenAll:
		e.fx.Steps = append(e.fx.Steps, statement.Step{Ordinal: n, Do: statement.UnlistenAll})
	}
}

// MakesSavepoint says whether a statement of the text is SAVEPOINT.
func MakesSavepoint(text []byte, stdStrings bool) bool {
	var sc sqltext.Scanner
	sc.Reset(text, stdStrings)
	for {
		st, ok := sc.Next()
		if !ok || st.Verb == sqltext.VerbSavepoint {
			return ok
		}
	}
}

// Savepoints returns the effects with what the text does to savepoints besides; fx itself stays as it is.
func Savepoints(fx *statement.Effects, text []byte, stdStrings bool) *statement.Effects {
	var steps []statement.Step
	var sc sqltext.Scanner
	sc.Reset(text, stdStrings)
	for n := 0; ; n++ {
		st, ok := sc.Next()
		if !ok {
			break
		}
		var buf [64]byte
		c, name, _ := sqltext.ParseSavepoint(text[st.Start:st.End], stdStrings, buf[:0])
		if c == 0 {
			continue
		}
		steps = append(steps, statement.Step{Ordinal: n, Do: controls[c], Name: string(name)})
	}
	if steps == nil {
		return fx
	}
	with := &statement.Effects{}
	if fx != nil {
		*with = *fx
	}
	with.Steps = append(append([]statement.Step(nil), with.Steps...), steps...)
	return with
}

var controls = [...]statement.Action{
	sqltext.Savepoint: statement.Savepoint, sqltext.Release: statement.Release, sqltext.RollbackTo: statement.RollbackTo,
}
