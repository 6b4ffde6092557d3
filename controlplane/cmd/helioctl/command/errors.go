package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/exit"
	"github.com/heliosproxy/heliosproxy/controlplane/cmd/helioctl/show"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// failure is how the program ends.
type failure struct {
	code int
	said string
}

// explain turns an error into an exit code and into words that say what to do.
func (s *session) explain(err error) failure {
	var u exit.UsageError
	var q exit.Silent
	var invalid *manifest.InvalidError
	var r exit.RefusedError
	var away exit.UnreachableError
	switch {
	case errors.As(err, &q):
		return failure{code: q.Code}
	case errors.As(err, &u):
		return failure{exit.CodeUsage, fmt.Sprintf("%s\nRun '%s --help' for usage.", u.Error(), u.Command)}
	case errors.As(err, &invalid):
		return failure{exit.CodeRefused, "nothing was changed:\n" + show.Indent(invalid.Error())}
	case errors.As(err, &r):
		return failure{exit.CodeRefused, r.Error()}
	case errors.As(err, &away):
		return failure{exit.CodeUnreachable, away.Error()}
	}
	st, ok := status.FromError(err)
	if !ok {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return s.lost(err.Error())
		}
		if strings.HasPrefix(err.Error(), "unknown command") {
			return failure{exit.CodeUsage, err.Error() + "\nRun 'helioctl --help' for usage."}
		}
		return failure{exit.CodeRefused, err.Error()}
	}
	return s.answered(st)
}

// answered explains what a control plane, or the way to it, has answered.
func (s *session) answered(st *status.Status) failure {
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *heliosv1.Faults:
			return failure{exit.CodeRefused, "refused, nothing was changed:\n" + show.Indent(strings.Join(s.places.faults(d.GetFaults()), "\n"))}
		case *heliosv1.Conflict:
			return failure{exit.CodeConflict, "conflict, nothing was changed: " + st.Message() + current(d)}
		case *heliosv1.Outcome:
			if d.GetSurelyNot() {
				return failure{exit.CodeUnreachable, "nothing was changed: " + st.Message()}
			}
			return s.lost(st.Message())
		}
	}
	switch st.Code() {
	case codes.Unauthenticated:
		return failure{exit.CodeRefused, st.Message()}
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return s.lost(st.Message())
	case codes.Unimplemented:
		return failure{exit.CodeRefused, "the control plane does not know this: it is older than helioctl, or something else answers at " + s.flags.server}
	case codes.Unknown, codes.Internal:
		if s.sent {
			return s.lost(st.Message())
		}
	}
	return failure{exit.CodeRefused, st.Message()}
}

// lost explains that there was no answer: after a commit was sent nobody knows what became of it.
func (s *session) lost(why string) failure {
	if s.sent {
		return failure{exit.CodeUnknown, fmt.Sprintf("there was no answer (%s): the write may have been carried out, or will be, as a whole, or not at all.\n"+
			"To find out: helioctl audit --request %s", why, s.request)}
	}
	return failure{exit.CodeUnreachable, fmt.Sprintf("the control plane at %s is not reached, nothing was changed: %s\n"+
		"Does it run? --server, HELIOCTL_SERVER or a context say where; --timeout how long to wait.", s.flags.server, plainly(why))}
}

// plainly is an error of a dial without what gRPC says around it.
func plainly(why string) string {
	if _, dial, ok := strings.Cut(why, "Error while dialing: "); ok {
		return strings.TrimSuffix(dial, `"`)
	}
	return why
}

// places are where resources stand in files, by kind and name.
type places map[[2]string]string

func (p places) add(docs []manifest.Document) {
	for _, d := range docs {
		p[[2]string{string(d.Kind), d.Message.GetName()}] = fmt.Sprintf("%s:%d: ", d.File, d.Line)
	}
}

// faults are lines that name file, kind, object, field and reason.
func (p places) faults(all []*heliosv1.Fault) []string {
	lines := show.Faults(all)
	for i, f := range all {
		lines[i] = p[[2]string{f.GetKind(), f.GetName()}] + lines[i]
	}
	return lines
}

// current shows what is there instead of what was expected.
func current(c *heliosv1.Conflict) string {
	if c.GetCurrent() == nil {
		return ""
	}
	text, err := show.YAML(c.GetCurrent())
	if err != nil {
		return ""
	}
	return "\nIt is now:\n" + show.Indent(strings.TrimRight(text, "\n")) + "\nRead it again (helioctl get -o yaml), make the change to that, and apply."
}
