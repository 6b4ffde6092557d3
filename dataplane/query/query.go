// Package query is the traveller: what is known of one statement on its way from client to server. It holds types only.
package query

import (
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/sqltext"
)

// Query is one Query or Parse message, or the beginning of a unit that has no text of its own.
type Query struct {
	// Text is the SQL. It aliases the session's input and is valid until the next park.
	Text []byte
	// Opaque says that the text is too large to be looked at: a write, for the primary.
	Opaque bool
	// StdStrings is the session's standard_conforming_strings.
	StdStrings bool
	// InTransaction says that the session is within a transaction, and so keeps its server.
	InTransaction bool

	Facts  sqltext.Summary // filled by classify
	Target Target          // filled by route
}

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
