package assembly

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/desired"
	"github.com/heliosproxy/heliosproxy/controlplane/distribute"
	"github.com/heliosproxy/heliosproxy/controlplane/mirror"
	"github.com/heliosproxy/heliosproxy/controlplane/rollout"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// configMirror is the mirror of the configuration as package desired sees it.
type configMirror struct{ *mirror.Mirror }

// Config returns the newest view.
func (m configMirror) Config() (desired.View, bool) {
	v := m.Current()
	return v, v != nil
}

// releaseView returns the newest view of the releases.
func (c *ControlPlane) releaseView() (rollout.View, bool) {
	v := c.released.Current()
	return v, v != nil
}

// relayChanges wakes everybody who has to do with what a mirror has seen.
func (c *ControlPlane) relayChanges(ctx context.Context) {
	config, stopConfig := c.config.Subscribe()
	defer stopConfig()
	released, stopReleased := c.released.Subscribe()
	defer stopReleased()
	for {
		select {
		case <-ctx.Done():
			return
		case <-config:
		case <-released:
		}
		select {
		case c.compile <- struct{}{}:
		default:
		}
		c.changed.tell()
	}
}

// followPause is the pause before a release that could not be loaded is tried again.
const followPause = time.Second

// follow hands the current release to those who distribute it.
func (c *ControlPlane) follow(ctx context.Context) {
	var at rollout.Head
	var again int64
	first := true
	for {
		changed := c.changed.wait()
		var retry <-chan time.Time
		head, err := c.releases.Head()
		if now := c.releases.Again(); err == nil && (first || head != at || now != again) {
			if err = c.assign(ctx, head, now); err == nil {
				at, again, first = head, now, false
			}
		}
		if err != nil && c.released.Current() != nil {
			c.o.Log.Warn("cannot load the current release", zap.Error(err))
			retry = time.After(followPause)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-retry:
		}
	}
}

// assign makes a release what proxies are to run.
func (c *ControlPlane) assign(ctx context.Context, head rollout.Head, again int64) error {
	if head.Revision == 0 {
		c.server.Set(nil)
		return nil
	}
	m, err := c.releases.Manifest(head.Number)
	if err != nil {
		return err
	}
	content, err := c.releases.Load(ctx, m)
	if err != nil {
		return err
	}
	g := &heliosv1.Generation{Epoch: c.identity.GetEpoch(), Revision: head.Revision}
	c.mu.Lock()
	news := c.generation.GetRevision() != g.GetRevision()
	c.generation = g
	c.mu.Unlock()
	c.fleet.Assign(g, content.Hash())
	c.server.Set(&distribute.Assignment{Generation: g, Content: content, Again: again})
	if news {
		c.events.Add(&heliosv1.Event{Type: "released", Generation: g, Message: fmt.Sprintf("release %d, %d resources, %d bytes", head.Number, content.Len(), content.Bytes())})
		c.o.Log.Info("release is current", zap.Uint64("release", head.Number), zap.Int64("revision", head.Revision), zap.String("hash", content.Hash()), zap.Int("resources", content.Len()))
	}
	return nil
}

// storeLook is how often it is looked whether the store is there.
const storeLook = time.Second

// watchStore tells when the store goes and comes back.
func (c *ControlPlane) watchStore(ctx context.Context) {
	tick := time.NewTicker(storeLook)
	defer tick.Stop()
	lost := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		h := c.config.Health()
		switch {
		case h.Err != nil && !lost:
			lost = true
			c.events.Add(&heliosv1.Event{Type: "store-lost", Message: h.Err.Error()})
			c.o.Log.Error("the store is lost: proxies and reads go on with what was read, writes are refused", zap.Error(h.Err))
		case h.Err == nil && lost:
			lost = false
			c.events.Add(&heliosv1.Event{Type: "store-back", Message: "the store is read again"})
			c.o.Log.Info("the store is back")
		}
	}
}

// broadcast wakes everybody who waits.
type broadcast struct {
	mu *sync.Mutex
	ch *chan struct{}
}

func newBroadcast() broadcast {
	ch := make(chan struct{})
	return broadcast{&sync.Mutex{}, &ch}
}

// wait returns a channel that is closed at the next change.
func (b broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *b.ch
}

func (b broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(*b.ch)
	*b.ch = make(chan struct{})
}
