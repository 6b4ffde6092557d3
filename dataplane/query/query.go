// Package query is the traveller: what is known of one statement on its way from client to server. It holds types only.
package query

import (
	"github.com/heliosproxy/heliosproxy/dataplane/state/facts"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/sqlparse"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// Query is one Query or Parse message, or the beginning of a unit that has no text of its own.
type Query struct {
	// Text is the SQL. It aliases the session's input and is valid until the next park.
	Text []byte
	// Opaque says that it has a text that is too large to be looked at: a write, for the primary.
	Opaque bool
	// StdStrings is the session's standard_conforming_strings.
	StdStrings bool
	// InTransaction says that the session is within a transaction, and so keeps its server.
	InTransaction bool

	// Named says that it is the Parse of a named statement.
	Named bool

	// Known is where the loop looks up what is known of texts.
	Known *facts.Cache

	Facts  sqltext.Summary // filled by classify
	Shape  *facts.Shape    // filled by classify, nil for an opaque text; the loop's own
	Target Target          // filled by route
}

// SQL is what the grammar says of the text, nil where it does not know it.
func (q *Query) SQL() *sqlparse.Facts {
	if q.Shape == nil {
		return nil
	}
	return q.Shape.SQL
}

// Leaves is what the text says that it leaves on its server connection for the session alone.
func (q *Query) Leaves() pin.Set { return pin.Leaves(q.Text, q.StdStrings, q.Facts.Flags, q.SQL()) }

// Allowed says whether the policy lets the statement through; shares says that another connection listens for it.
func (q *Query) Allowed(p *pin.Policy, shares bool) Verdict {
	var why pin.Set
	if p.Pinning == pin.Refuse {
		if why = q.Leaves() | q.Keeps(); shares {
			why &^= pin.Listen
		}
	}
	err := p.Refuses(q.Facts.Flags, why)
	if q.Opaque {
		err = p.Unseen(q.Named)
	}
	if err != nil {
		return Verdict{Action: Reject, Err: err}
	}
	return Verdict{}
}

// Keeps is what the statement leaves there by being prepared.
func (q *Query) Keeps() pin.Set {
	if q.Named && q.IsMoment() {
		return pin.Moment
	}
	return 0
}

// IsMoment says whether a literal of the text is a moment, which PostgreSQL makes a constant when it parses the statement: 'now'.
func (q *Query) IsMoment() bool { return q.Facts.Flags&sqltext.FlagTimeWords != 0 }

// Target is the role of the server that a statement goes to.
type Target uint8

// Targets.
const (
	Primary Target = iota
)

// Action is what is to be done with a statement.
type Action uint8

// Actions. Those of stages that are not built are not here.
const (
	Continue Action = iota
	Reject
)

// Verdict is what a stage has decided.
type Verdict struct {
	Action Action
	Err    *pgerr.Error // of a rejection
}
