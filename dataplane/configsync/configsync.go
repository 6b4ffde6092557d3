// Package configsync is the proxy's side of the config stream: what the control plane sends is checked, put in force whole or refused whole, and kept on disk for a start without it. It never touches what is in force before everything about the new one is known to be good.
package configsync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// ProtocolVersion is the version of the config stream that this client speaks.
const ProtocolVersion = 1

// Applier puts a configuration in force.
type Applier interface {
	// Apply compiles a set that is complete and valid, makes the machine ready for it, calls persist and
	// swaps it in. persist may be nil. After an error, which is a [*Refusal] where it is known what is at fault, what was in
	// force before still is. What goes wrong and does not matter is in the warnings.
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
	Stable      time.Duration // after how long a start has gone well; 60 s
}

func (t *Times) complete() {
	for at, unset := range map[*time.Duration]time.Duration{
		&t.Answer: 10 * time.Second, &t.First: 100 * time.Millisecond, &t.Most: 10 * time.Second, &t.Remind: 5 * time.Minute, &t.Stable: time.Minute,
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
	Files    *lkg.Dir
	Applier  Applier
	MaxBytes int
	Times    Times
}

// Server is a control plane.
type Server struct {
	Name string // for logs
	Conn grpc.ClientConnInterface
}

// State is what the proxy runs.
type State struct {
	StoreID    string
	Generation *heliosv1.Generation
	Content    *release.Content // nil if it runs nothing
	Source     heliosv1.Source
	Since      time.Time // when the content came in force
	Rejection  *heliosv1.Rejection
	Warnings   []string
	Connected  bool
	Contact    time.Time // when a control plane was heard of last; zero if never
	Refusals   uint64
}

// Hash is that of the content; empty if there is none.
func (s State) Hash() string {
	if s.Content == nil {
		return ""
	}
	return s.Content.Hash()
}

// Client follows a control plane. Its methods may be called by several goroutines at once, Boot and Run by one.
type Client struct {
	o Options

	mu      sync.Mutex
	state   State
	changed chan struct{} // closed at the next change
}

// New makes a client that runs nothing.
func New(o Options) *Client {
	o.Times.complete()
	return &Client{o: o, changed: make(chan struct{}), state: State{Source: heliosv1.Source_SOURCE_NONE}}
}

// State returns what the proxy runs, and a channel that is closed when that has changed.
func (c *Client) State() (State, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.changed
}

func (c *Client) update(f func(*State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.state)
	close(c.changed)
	c.changed = make(chan struct{})
}

// RejectedError is that a content was refused.
type RejectedError struct{ Rejection *heliosv1.Rejection }

// Error says why.
func (e *RejectedError) Error() string {
	return (&Refusal{Stage: e.Rejection.GetStage(), Faults: e.Rejection.GetFaults()}).Error()
}

// Wait returns when the content with a hash is in force. refusals is what State's Refusals was before it was
// sent: if it is refused after that the error is a [*RejectedError].
func (c *Client) Wait(ctx context.Context, hash string, refusals uint64) error {
	for {
		s, changed := c.State()
		switch {
		case s.Hash() == hash:
			return nil
		case s.Rejection.GetHash() == hash && s.Refusals > refusals:
			return &RejectedError{s.Rejection}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Boot puts the newest configuration in force that was good before and still is. The error is
// [lkg.ErrNone] if there is none.
func (c *Client) Boot() error {
	if c.o.Files == nil {
		return lkg.ErrNone
	}
	var warnings []string
	e, err := c.o.Files.Load(func(e lkg.Loaded) error {
		set, refusal := check(e.Content, c.o.MaxBytes)
		if refusal != nil {
			return refusal
		}
		var bad *lkg.BadError
		if err := c.o.Files.Booting(e.Content.Hash()); errors.As(err, &bad) {
			return bad
		} else if err != nil {
			c.o.Log.Warn("a crash at this start will not be noticed at the next", zap.Error(err))
		}
		var err error
		warnings, err = c.apply(set, nil)
		return err
	})
	if err != nil {
		return err
	}
	c.update(func(s *State) {
		*s = State{
			StoreID: e.StoreID, Generation: e.Generation, Content: e.Content, Source: heliosv1.Source_SOURCE_LAST_KNOWN_GOOD,
			Since: time.Now(), Warnings: warnings,
		}
	})
	c.o.Log.Warn("serving the last known good configuration until the control plane confirms it",
		zap.Stringer("generation", e.Generation), zap.String("hash", e.Content.Hash()), zap.Time("saved", e.Saved))
	return nil
}

// apply is the applier's Apply, of which a panic is an error: what is in force is untouched.
func (c *Client) apply(set *resource.Set, persist func() error) (warnings []string, err error) {
	defer func() {
		if v := recover(); v != nil {
			c.o.Log.Error("a configuration made the proxy panic and is refused", zap.Any("panic", v), zap.Stack("stack"))
			err = refuse(heliosv1.Stage_STAGE_COMPILE, "the proxy panicked: %v", v)
		}
	}()
	return c.o.Applier.Apply(set, persist)
}

// check decodes and validates a content.
func check(content *release.Content, maxBytes int) (*resource.Set, *Refusal) {
	if content.Len() == 0 {
		return nil, refuse(heliosv1.Stage_STAGE_VERIFY, "it is empty")
	}
	if content.Bytes() > maxBytes {
		return nil, refuse(heliosv1.Stage_STAGE_VERIFY, "it has %d bytes, and this proxy takes %d (--max-config-bytes)", content.Bytes(), maxBytes)
	}
	set, faults := content.Set()
	if len(faults) > 0 {
		return nil, &Refusal{Stage: heliosv1.Stage_STAGE_DECODE, Faults: faults}
	}
	set.Complete()
	var invalid *resource.InvalidError
	if err := set.Validate(); errors.As(err, &invalid) {
		return nil, &Refusal{Stage: heliosv1.Stage_STAGE_VALIDATE, Faults: release.Faults(invalid)}
	}
	return set, nil
}
