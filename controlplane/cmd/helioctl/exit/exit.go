// Package exit is how helioctl ends: its exit codes, and errors that know theirs. It never prints anything.
package exit

import "github.com/spf13/cobra"

// The exit codes.
const (
	CodeRefused     = 1
	CodeUsage       = 2
	CodeConflict    = 3
	CodeUnreachable = 4
	CodeUnknown     = 5
)

// UsageError is an error of the command line.
type UsageError struct {
	error
	Command string // whose --help says more
}

// Unwrap returns what was wrong.
func (e UsageError) Unwrap() error { return e.error }

// Usage makes an error of the command line.
func Usage(err error, command string) error { return UsageError{err, command} }

// RefusedError is an error of what was asked for, found here.
type RefusedError struct{ error }

// Unwrap returns what was wrong.
func (e RefusedError) Unwrap() error { return e.error }

// Refused makes an error of what was asked for.
func Refused(err error) error { return RefusedError{err} }

// UnreachableError is that something else than the control plane was not reached.
type UnreachableError struct{ error }

// Unwrap returns what was wrong.
func (e UnreachableError) Unwrap() error { return e.error }

// Unreachable makes an error of something that was not reached.
func Unreachable(err error) error { return UnreachableError{err} }

// Silent is an exit code of which everything was said.
type Silent struct{ Code int }

// Error is empty.
func (Silent) Error() string { return "" }

// Silently makes an exit code of which everything was said.
func Silently(code int) error { return Silent{code} }

// Args makes wrong arguments a usage error.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return Usage(err, c.CommandPath())
		}
		return nil
	}
}
