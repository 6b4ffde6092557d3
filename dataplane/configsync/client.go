package configsync

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/pkg/lkg"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	"github.com/heliosproxy/heliosproxy/pkg/resource"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// State is what the proxy runs.
type State struct {
	StoreID    string
	Generation *heliosv1.Generation
	Content    *release.Content // nil if it runs nothing
	Source     heliosv1.Source
	Since      time.Time // when the content came in force
	Rejection  *heliosv1.Rejection
	Saved      time.Time // when the content was written to the disk that it was read from; zero if it was not
	Warnings   []string
	Connected  bool
	Contact    time.Time // when a control plane was heard of last; zero if never
	Refusals   uint64    // how many contents were refused since the start
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
	o    Options
	away bool // of Run: it was said that no control plane is reached

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
		return c.guarded(func() (err error) {
			warnings, err = c.start(e.Content)
			return err
		})
	})
	if err != nil {
		return err
	}
	c.salt(e.MockSecret)
	c.update(func(s *State) {
		*s = State{
			StoreID: e.StoreID, Generation: e.Generation, Content: e.Content, Source: heliosv1.Source_SOURCE_LAST_KNOWN_GOOD,
			Since: time.Now(), Saved: e.Saved, Warnings: warnings,
		}
	})
	c.o.Log.Warn("serving the last known good configuration until the control plane confirms it", zap.String("generation", show(e.Generation)),
		zap.String("hash", e.Content.Hash()), zap.Time("saved", e.Saved), zap.Duration("age", time.Since(e.Saved)))
	return nil
}

// salt hands on what salts are made from; a control plane or a file that has none changes nothing.
func (c *Client) salt(secret string) {
	if secret != "" && c.o.Salt != nil {
		c.o.Salt(secret)
	}
}

// start puts a content from the disk in force.
func (c *Client) start(content *release.Content) (warnings []string, err error) {
	set, err := check(content, c.o.MaxBytes)
	if err != nil {
		return nil, err
	}
	var bad *lkg.BadError
	if err := c.o.Files.Booting(content.Hash()); errors.As(err, &bad) {
		return nil, err
	} else if err != nil {
		c.o.Log.Warn("a crash at this start will not be noticed at the next", zap.Error(err))
	}
	return c.o.Applier.Apply(set, nil)
}

// guarded makes an error of a panic: what is in force is untouched by it.
func (c *Client) guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.o.Log.Error("a configuration made the proxy panic and is refused", zap.Any("panic", v), zap.Stack("stack"))
			err = refuse(heliosv1.Stage_STAGE_COMPILE, "the proxy panicked: %v", v)
		}
	}()
	return f()
}

// check decodes, completes and validates a content. Its error is a [*Refusal].
func check(content *release.Content, maxBytes int) (*resource.Set, error) {
	if content.Len() == 0 {
		return nil, refuse(heliosv1.Stage_STAGE_VERIFY, "it is empty")
	}
	if content.Bytes() > maxBytes {
		return nil, tooLarge(uint64(content.Bytes()), maxBytes)
	}
	set, faults := content.Set()
	if len(faults) > 0 {
		return nil, &Refusal{Stage: heliosv1.Stage_STAGE_DECODE, Faults: faults}
	}
	set.Complete()
	var invalid *resource.InvalidError
	if err := set.Validate(); errors.As(err, &invalid) {
		return nil, &Refusal{Stage: heliosv1.Stage_STAGE_VALIDATE, Faults: release.Faults(invalid)}
	} else if err != nil {
		return nil, refuse(heliosv1.Stage_STAGE_VALIDATE, "%s", err)
	}
	return set, nil
}

func tooLarge(bytes uint64, maxBytes int) *Refusal {
	return refuse(heliosv1.Stage_STAGE_VERIFY, "it has %d bytes, and this proxy takes %d (--max-config-bytes)", bytes, maxBytes)
}
