// Package mirror keeps a part of the store in memory and up to date: listed once at one revision, then watched from the next one on. It never answers for the store while it is not sure to have missed nothing: then it lists again.
//
// What can go wrong with a watch is known: it is cancelled because its revision was compacted, it hangs
// without a word, it loses an event. So a mirror whose watch breaks goes on at the last revision it was told;
// one that is too old for that lists again, and what is gone by then is gone from the view; a watch on which
// nothing comes is held against the store's revision; and from time to time all is listed and compared.
//
// A view is of one revision of the store, never of a part of one, and no view is older than the one before,
// unless the store itself went back.
package mirror

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

// Times of a mirror. The zero value is that of production.
type Times struct {
	Silence     time.Duration // a watch that is silent for so long is looked after; 20 s
	AntiEntropy time.Duration // between two comparisons with the store, plus or minus a tenth; 5 min
	Pause       time.Duration // the longest pause before another try; 5 s
	Call        time.Duration // how long the store may take to answer; 5 s
}

func (t *Times) complete() {
	for at, unset := range map[*time.Duration]time.Duration{
		&t.Silence: 20 * time.Second, &t.AntiEntropy: 5 * time.Minute, &t.Pause: 5 * time.Second, &t.Call: 5 * time.Second,
	} {
		if *at == 0 {
			*at = unset
		}
	}
}

// Options are what a mirror is made with.
type Options struct {
	Store  store.Store
	Prefix string
	Log    *zap.Logger
	Times  Times
}

// Mirror follows a part of the store. Several goroutines may use it at once.
type Mirror struct {
	o    Options
	view atomic.Pointer[View]
	seen func(*View) // if set, by a test, it is called with every view

	mu     sync.Mutex // of what follows; nothing is called or waited for while it is held
	subs   map[chan struct{}]struct{}
	moved  chan struct{} // closed when there is a new view
	health Health
}

// Health is how well a mirror can follow.
type Health struct {
	Synced   bool          // there is a view
	Revision int64         // of the view
	Err      error         // why the mirror cannot follow at the moment; nil if it can
	Heard    time.Time     // when the store was heard of last
	Stale    time.Duration // how old the view may be: since Heard, where that is longer ago than it should be; else 0
	Lists    uint64        // how often everything was listed to begin, or to begin again
	Repairs  uint64        // keys of which only a comparison has found that they differ: the store has lost events
}

// New makes a mirror that has nothing yet.
func New(o Options) *Mirror {
	o.Times.complete()
	return &Mirror{o: o, subs: map[chan struct{}]struct{}{}, moved: make(chan struct{})}
}

// Current is the newest view; nil before there is one.
func (m *Mirror) Current() *View { return m.view.Load() }

// Health says how the mirror is.
func (m *Mirror) Health() Health {
	v := m.view.Load()
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.health
	if v != nil {
		h.Synced, h.Revision = true, v.Revision
	}
	if since := time.Since(h.Heard); !h.Heard.IsZero() && (h.Err != nil || since > m.o.Times.Silence) {
		h.Stale = since
	}
	return h
}

// Subscribe returns a channel that is sent to after keys have changed, and at once if there is a view. Changes
// that come while it was not read are one. The function ends the subscription.
func (m *Mirror) Subscribe() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subs[c] = struct{}{}
	if m.view.Load() != nil {
		c <- struct{}{}
	}
	return c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.subs, c)
	}
}

// WaitFor returns when the mirror has come to a revision of the store, or with ctx's error.
func (m *Mirror) WaitFor(ctx context.Context, revision int64) error {
	for {
		m.mu.Lock()
		moved := m.moved
		m.mu.Unlock()
		if v := m.view.Load(); v != nil && v.Revision >= revision {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for revision %d of the store: %w", revision, ctx.Err())
		}
	}
}

// swap puts a view in force and wakes who waits for it. Keys have changed, or it only is of a later revision.
func (m *Mirror) swap(v *View, changed bool) {
	m.view.Store(v)
	if m.seen != nil {
		m.seen(v)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.moved)
	m.moved = make(chan struct{})
	if !changed {
		return
	}
	for c := range m.subs {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// heard notes that the store has told something.
func (m *Mirror) heard() {
	m.mu.Lock()
	before := m.health
	m.health.Err, m.health.Heard = nil, time.Now()
	m.mu.Unlock()
	if before.Err != nil {
		m.o.Log.Info("the mirror follows the store again", zap.String("prefix", m.o.Prefix), zap.Time("last_heard", before.Heard))
	}
}

// failed notes why the mirror cannot follow, and says so once for as long as it is the same.
func (m *Mirror) failed(err error) {
	m.mu.Lock()
	before := m.health.Err
	m.health.Err = err
	m.mu.Unlock()
	if before == nil || before.Error() != err.Error() {
		m.o.Log.Warn("the mirror cannot follow the store", zap.String("prefix", m.o.Prefix), zap.Error(err))
	}
}

func (m *Mirror) count(f func(*Health)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.health)
}
