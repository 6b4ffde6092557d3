// Package told notes what a client is told of its prepared statements: of which types their parameters are, and what they return. Where that is another thing than others were told, another statement takes the place of theirs. It never sends anything.
package told

import (
	"bytes"

	"github.com/heliosproxy/heliosproxy/dataplane/session/expect"
	"github.com/heliosproxy/heliosproxy/dataplane/session/names"
	"github.com/heliosproxy/heliosproxy/dataplane/state/statement"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
)

// Types takes a ParameterDescription of the statement that e is about, from the server connection that holds h.
func Types(e *expect.Answer, types []byte, u *expect.Unnamed, n *names.Names, r *statement.Registry, h *statement.Held) {
	st := e.Statement
	switch {
	case st == nil:
		if u.ID == e.Made && !e.Hidden {
			u.Types = bytes.Clone(types)
		}
	case st.Learn(types):
		h.SetTyped(st)
	case e.Name != "" && n.All[e.Name] == st && !st.Private: // it has parsed it now, and others before
		r.Retire(st)
		if e.Statement = r.Shared(st.Key, st.Meaning); !e.Statement.Learn(types) {
			e.Statement = r.Own(st.Key, st.Meaning)
			e.Statement.Learn(types)
		}
		n.Replace(e.Name, e.Statement)
	}
}

// Shape takes what the statement returns that e is about, from a message of type t, RowDescription or NoData.
func Shape(e *expect.Answer, t byte, body []byte, u *expect.Unnamed, n *names.Names, r *statement.Registry, h *statement.Held) {
	shape := uint64(statement.NoRows)
	if t == pgwire.RowDescription {
		shape = statement.ShapeOf(body)
	}
	st := e.Statement
	if st == nil {
		unnamed(e, u, shape)
		return
	}
	if !e.Hidden && n.All[e.Name] == st { // the client is told
		n.Tell(e.Name)
	}
	if !st.SQL.HasShape() {
		return
	}
	h.SetShape(st, shape)
	if st.Told.CompareAndSwap(0, shape) || st.Told.Load() == shape {
		return
	}
	r.Retire(st)
	if e.Name != "" && n.All[e.Name] == st && !st.Private { // it has parsed it now, or was never told anything else
		now := r.Shared(st.Key, st.Meaning)
		now.Told.CompareAndSwap(0, shape)
		if types := st.Types(); types != nil {
			now.Learn(types)
		}
		n.Replace(e.Name, now)
	}
}

// unnamed takes what the unnamed statement returns.
func unnamed(e *expect.Answer, u *expect.Unnamed, shape uint64) {
	switch {
	case u.ID != e.Made, !u.HasShape():
	case e.Hidden:
		u.Seen = shape
	case u.Told == 0:
		u.Told = shape
	}
}

// Anew puts another statement in the place of a stale one that the client calls name. If it was told the types of its parameters, they stay
// what they were, as in PostgreSQL.
func Anew(name string, st *statement.Statement, n *names.Names, r *statement.Registry) *statement.Statement {
	k := st.Key
	if n.Told(name) {
		k.Body = string(st.Typed())
	}
	n.Untell(name)
	now := r.Shared(k, st.Meaning)
	n.Replace(name, now)
	return now
}
