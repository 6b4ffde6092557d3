package desired

import (
	"fmt"
	"strings"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// InvalidError is that the resources would not be valid, with every reason.
type InvalidError struct{ Faults []*heliosv1.Fault }

// Error lists the faults on one line.
func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		at := fmt.Sprintf("%s %q", f.GetKind(), f.GetName())
		if f.GetKind() == "" {
			at = "configuration"
		}
		if f.GetField() != "" {
			at += ": " + f.GetField()
		}
		parts[i] = at + ": " + f.GetReason()
	}
	return strings.Join(parts, "; ")
}

// ConflictError is that a resource is not at the revision that the write expected.
type ConflictError struct {
	Key
	Expected uint64
	Current  *heliosv1.StoredResource // nil if there is none; with its secrets
}

// Error says what is there.
func (e *ConflictError) Error() string {
	switch {
	case e.Current == nil:
		return fmt.Sprintf("%s %q was deleted meanwhile; the change was made to its revision %d", e.Kind, e.Name, e.Expected)
	case e.Expected == 0:
		return fmt.Sprintf("%s %q is there already, at revision %d", e.Kind, e.Name, e.Current.GetRevision())
	}
	return fmt.Sprintf("%s %q is at revision %d meanwhile; the change was made to revision %d", e.Kind, e.Name, e.Current.GetRevision(), e.Expected)
}

// DestructiveError is that a write would remove much and does not say that it may.
type DestructiveError struct{ Removals []*heliosv1.Removal }

// Error says how much of what.
func (e *DestructiveError) Error() string {
	parts := make([]string, len(e.Removals))
	for i, r := range e.Removals {
		parts[i] = fmt.Sprintf("%d of %d of kind %s", r.GetRemoved(), r.GetOf(), r.GetKind())
	}
	return "this would remove " + strings.Join(parts, ", ") + "; if that is meant, it has to be allowed (--allow-destructive)"
}

// TooLargeError is that a resource or the whole would be larger than allowed.
type TooLargeError struct {
	What         string // `User "x"`, or "the configuration"
	Bytes, Limit int
	Setting      string // what raises the limit; empty if nothing does
}

// Error names the limit.
func (e *TooLargeError) Error() string {
	s := fmt.Sprintf("%s would have %d bytes, more than the %d that are allowed", e.What, e.Bytes, e.Limit)
	if e.Setting != "" {
		s += " (" + e.Setting + ")"
	}
	return s
}

// NotFoundError is that something is not there.
type NotFoundError struct{ What string }

// Error says what.
func (e *NotFoundError) Error() string { return "there is no " + e.What }
