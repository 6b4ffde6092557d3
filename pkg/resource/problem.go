package resource

import (
	"fmt"
	"strings"
)

// Problem is one reason why a [Set] is not valid. It never holds a secret.
type Problem struct {
	Kind   Kind
	Name   string // the resource's name; may be empty
	Field  string // the proto field at fault; empty if it is the resource as a whole
	Reason string // what is wrong, a clause without capital and full stop
}

// String is `node "a": port: 0 is not a port`.
func (p Problem) String() string {
	if p.Field == "" {
		return fmt.Sprintf("%s %q: %s", p.Kind, p.Name, p.Reason)
	}
	return fmt.Sprintf("%s %q: %s: %s", p.Kind, p.Name, p.Field, p.Reason)
}

// InvalidError holds everything that is wrong with a [Set], by kind, then by name.
type InvalidError struct{ Problems []Problem }

// Error lists the problems on one line.
func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.String()
	}
	return strings.Join(parts, "; ")
}
