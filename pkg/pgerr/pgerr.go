// Package pgerr is the table of every error that the proxy itself reports to a PostgreSQL client. It never holds errors that servers report: those are relayed as they are.
package pgerr

import "fmt"

// Severity is the severity field of an ErrorResponse. After a Fatal error the connection is closed.
type Severity string

// The severities that the proxy uses. A Warning and a Notice are told in a NoticeResponse.
const (
	Fatal   Severity = "FATAL"
	Failure Severity = "ERROR"
	Warning Severity = "WARNING" // of a NoticeResponse
	Notice  Severity = "NOTICE"  // of a NoticeResponse too
)

// Error is an error that a client is told: severity, SQLSTATE and one sentence.
type Error struct {
	ID       ID
	Severity Severity
	SQLState string
	Message  string
	Detail   string
	Hint     string
	Routine  string // field R, for drivers that go by it; mostly empty
	cause    error
}

// Error returns the sentence with its SQLSTATE.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s (SQLSTATE %s)", e.Severity, e.Message, e.SQLState)
}

// Unwrap returns what led to the error, for the log; a client is never told.
func (e *Error) Unwrap() error { return e.cause }

// Because returns e with the cause that the log shows.
func (e *Error) Because(err error) *Error {
	e.cause = err
	return e
}

// WithDetail returns e with a detail.
func (e *Error) WithDetail(text string) *Error {
	e.Detail = text
	return e
}

// WithHint returns e with another hint than its row has.
func (e *Error) WithHint(text string) *Error {
	e.Hint = text
	return e
}

// AsFatal returns e as an error that ends the connection.
func (e *Error) AsFatal() *Error {
	e.Severity = Fatal
	return e
}

// New makes the error id of the table; args fill its sentence.
func New(id ID, args ...any) *Error {
	t := table[id]
	msg := t.Sentence
	if len(args) > 0 {
		msg = fmt.Sprintf(t.Sentence, args...)
	}
	return &Error{ID: id, Severity: t.Severity, SQLState: t.SQLState, Message: msg, Hint: t.Hint, Routine: t.Routine}
}

// Entry is a row of the table.
type Entry struct {
	ID       ID
	Severity Severity
	SQLState string
	Sentence string // with fmt verbs
	Hint     string
	Routine  string // of the same error in PostgreSQL, where drivers go by it
	Tested   string // the test that shows it, package.TestName
}

// Table returns all rows in order.
func Table() []Entry {
	rows := make([]Entry, 0, len(table))
	for id, t := range table {
		t.ID = ID(id)
		rows = append(rows, t)
	}
	return rows
}
