// Package configsync is the proxy's side of the config stream: what the control plane sends is checked, put in force whole or refused whole, and kept on disk for a start without it. It never touches what is in force before everything about the new one is known to be good.
package configsync

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// ProtocolVersion is the version of the config stream that this client speaks.
const ProtocolVersion = 1

// Applier puts a configuration in force.
type Applier interface {
	// Apply compiles a set that is complete and valid, makes the machine ready for it, calls persist and
	// swaps it in. persist may be nil. After an error, which is a [*Refusal] where it is known what is at
	// fault, what was in force before still is. What goes wrong and does not matter is in the warnings; that
	// includes persist.
	Apply(set *resource.Set, persist func() error) (warnings []string, err error)
}

// Refusal is why a configuration is not put in force.
type Refusal struct {
	Stage  heliosv1.Stage
	Faults []*heliosv1.Fault
}

// Error lists the faults on one line.
func (r *Refusal) Error() string {
	parts := make([]string, len(r.Faults))
	for i, f := range r.Faults {
		switch {
		case f.GetKind() == "":
			parts[i] = f.GetReason()
		case f.GetField() == "":
			parts[i] = fmt.Sprintf("%s %q: %s", f.GetKind(), f.GetName(), f.GetReason())
		default:
			parts[i] = fmt.Sprintf("%s %q: %s: %s", f.GetKind(), f.GetName(), f.GetField(), f.GetReason())
		}
	}
	return strings.ToLower(strings.TrimPrefix(r.Stage.String(), "STAGE_")) + ": " + strings.Join(parts, "; ")
}

// refuse makes a Refusal that no resource is at fault for.
func refuse(stage heliosv1.Stage, format string, args ...any) *Refusal {
	return &Refusal{Stage: stage, Faults: []*heliosv1.Fault{{Reason: fmt.Sprintf(format, args...)}}}
}

// Times of the stream. The zero value is that of production.
type Times struct {
	Answer      time.Duration // how long a control plane may take to answer Hello; 10 s
	First, Most time.Duration // pauses before another try; 100 ms to 10 s
	Remind      time.Duration // how often it is logged that the control plane is gone; 5 min
	Stable      time.Duration // after how long a start has gone well; lkg.Proved
}

func (t *Times) complete() {
	for at, unset := range map[*time.Duration]time.Duration{
		&t.Answer: 10 * time.Second, &t.First: 100 * time.Millisecond, &t.Most: 10 * time.Second, &t.Remind: 5 * time.Minute, &t.Stable: lkg.Proved,
	} {
		if *at == 0 {
			*at = unset
		}
	}
}

// Options are what a Client is made with.
type Options struct {
	Log           *zap.Logger
	NodeID, Group string
	Build         string
	// Source is what a configuration that came over the stream counts as: SOURCE_CONTROL_PLANE, or
	// SOURCE_FILE where both planes are one process.
	Source heliosv1.Source
	// Servers are the control planes; one is used at a time.
	Servers []Server
	// Files is where what is good is kept; nil keeps nothing.
	Files *lkg.Dir
	// Salt takes what the proxies of the store make the salts of unknown users from. nil: nobody wants to know.
	Salt     func(secret string)
	Applier  Applier
	MaxBytes int
	Times    Times
}

// Server is a control plane.
type Server struct {
	Name string // for logs
	Conn grpc.ClientConnInterface
}
