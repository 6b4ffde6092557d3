// Package compile turns the desired state into releases as it changes. It never decides what proxies are sent: it publishes, and the head says what is current.
package compile

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/pkg/release"
)

// The debounce: a change is released when nothing more came for quiet, and at the latest after most.
const (
	quiet = 50 * time.Millisecond
	most  = 500 * time.Millisecond
	// sweepEvery is how often what nobody needs is removed from the store.
	sweepEvery = time.Minute
)

// Options are what a Compiler works with.
type Options struct {
	// Changed is sent to after each change of the desired state or of the releases; it never blocks the sender.
	Changed <-chan struct{}
	// Desired returns the newest desired state.
	Desired func() (c *release.Content, revision uint64, err error)
	// Publish makes content the current release if it is not. held is false if somebody else was faster.
	Publish func(ctx context.Context, c *release.Content, revision uint64) (number uint64, held bool, err error)
	// Settle and Sweep tidy the store up.
	Settle func(ctx context.Context) error
	Sweep  func(ctx context.Context) error
	Log    *zap.Logger
}

// Run releases what changes until ctx ends.
func Run(ctx context.Context, o Options) {
	c := compiler{Options: o}
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	var retry <-chan time.Time
	pause := backoff{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			c.report("remove what nobody needs", o.Sweep(ctx))
			continue
		case <-retry:
		case <-o.Changed:
			if !c.debounce(ctx) {
				return
			}
		}
		retry = nil
		if err := c.once(ctx); err != nil {
			c.report("release the configuration", err)
			retry = time.After(pause.next())
			continue
		}
		pause.reset()
		c.report("settle a large write", o.Settle(ctx))
	}
}

type compiler struct{ Options }

// debounce waits until nothing more changes. It returns false if ctx ends first.
func (c *compiler) debounce(ctx context.Context) bool {
	end := time.NewTimer(most)
	defer end.Stop()
	for {
		calm := time.NewTimer(quiet)
		select {
		case <-ctx.Done():
			calm.Stop()
			return false
		case <-c.Changed:
			calm.Stop()
		case <-calm.C:
			return true
		case <-end.C:
			calm.Stop()
			return true
		}
	}
}

// errFaster is that somebody else has published meanwhile.
var errFaster = errors.New("another release was faster")

// once releases the desired state as it is.
func (c *compiler) once(ctx context.Context) error {
	content, revision, err := c.Desired()
	if err != nil {
		return err
	}
	if content.Len() == 0 {
		return nil // nothing was ever configured
	}
	number, held, err := c.Publish(ctx, content, revision)
	if err == nil && !held {
		err = errFaster
	}
	if err == nil {
		c.Log.Debug("the release is current", zap.Uint64("release", number), zap.Uint64("revision", revision))
	}
	return err
}

// report logs what will be tried again.
func (c *compiler) report(what string, err error) {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, errFaster):
		c.Log.Info("will try again: "+what, zap.Error(err))
	default:
		c.Log.Error("will try again: "+what, zap.Error(err))
	}
}

// backoff is a pause that grows, with jitter.
type backoff struct{ ceiling time.Duration }

const firstPause, longestPause = 50 * time.Millisecond, 5 * time.Second

func (b *backoff) next() time.Duration {
	b.ceiling = min(max(2*b.ceiling, firstPause), longestPause)
	return b.ceiling/2 + rand.N(b.ceiling/2)
}

func (b *backoff) reset() { b.ceiling = 0 }
