// Package mirror keeps a part of the store in memory and up to date: listed once at one revision, then watched from the next one on. It never answers for the store while it is not sure to have missed nothing: then it lists again.
//
// What can go wrong with a watch is known: it is cancelled because its revision was compacted, it hangs
// without a word, it loses an event. So a mirror whose watch breaks goes on at the last revision it was told;
// one that is too old for that lists again, and what is gone by then is gone from the view; a watch on which
// nothing comes is held against the store's revision; and from time to time all is listed and compared.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

	mu     sync.Mutex // of what follows
	subs   map[chan struct{}]struct{}
	health Health
}

// Health is how well a mirror can follow.
type Health struct {
	Err     error     // why it cannot at the moment; nil if it can
	Heard   time.Time // when the store was heard of last
	Lists   uint64    // how often everything was listed
	Repairs uint64    // differences that only a comparison has found: events that the store has lost
}

// New makes a mirror that has nothing yet.
func New(o Options) *Mirror {
	o.Times.complete()
	return &Mirror{o: o, subs: map[chan struct{}]struct{}{}}
}

// Current is the newest view; nil before there is one.
func (m *Mirror) Current() *View { return m.view.Load() }

// Health says how the mirror is.
func (m *Mirror) Health() Health {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.health
}

// Subscribe returns a channel that is sent to after changes. Changes that come while it was not read are
// one. The function ends the subscription.
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
	c, stop := m.Subscribe()
	defer stop()
	for {
		if v := m.view.Load(); v != nil && v.Revision >= revision {
			return nil
		}
		select {
		case <-c:
		case <-ctx.Done():
			return fmt.Errorf("wait for revision %d of the store: %w", revision, ctx.Err())
		}
	}
}

// swap puts a view in force and wakes who waits.
func (m *Mirror) swap(v *View) {
	m.view.Store(v)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health.Err, m.health.Heard = nil, time.Now()
	for c := range m.subs {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (m *Mirror) count(f func(*Health)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.health)
}

// Run follows the store until ctx ends.
func (m *Mirror) Run(ctx context.Context) {
	pause := m.o.Times.Pause / 64
	for ctx.Err() == nil {
		before := m.view.Load()
		err := m.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if m.view.Load() != before {
			pause = m.o.Times.Pause / 64 // it went well for a while
		}
		if err != nil {
			m.count(func(h *Health) { h.Err = err })
			m.o.Log.Warn("the mirror of the store is interrupted", zap.String("prefix", m.o.Prefix), zap.Error(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(pause) + 1):
		}
		pause = min(2*pause, m.o.Times.Pause)
	}
}

// errBehind is that the watch was silent while the store moved on.
var errBehind = errors.New("the watch has told nothing of what the store has")

// follow lists if it has to and then watches, until something is wrong.
func (m *Mirror) follow(ctx context.Context) error {
	if m.view.Load() == nil {
		v, err := m.list(ctx)
		if err != nil {
			return err
		}
		m.swap(v)
	}
	err := m.watch(ctx)
	var compacted *store.CompactedError
	if errors.As(err, &compacted) || errors.Is(err, errBehind) {
		// What was missed cannot be told any more; what is there can.
		m.o.Log.Info("listing the store again", zap.String("prefix", m.o.Prefix), zap.Error(err))
		v, err := m.list(ctx)
		if err != nil {
			return err
		}
		m.swap(v)
		return nil
	}
	return err
}

// pageKeys is how many keys are listed at once.
const pageKeys = 500

// list reads everything at one revision.
func (m *Mirror) list(ctx context.Context) (*View, error) {
	v := &View{}
	r := store.Range{Prefix: m.o.Prefix, Limit: pageKeys}
	for {
		p, err := m.page(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", m.o.Prefix, err)
		}
		v.kvs = append(v.kvs, p.KVs...)
		v.Revision, r.Revision = p.Revision, p.Revision
		if !p.More {
			m.count(func(h *Health) { h.Lists++ })
			return v, nil
		}
		r.After = p.KVs[len(p.KVs)-1].Key
	}
}

func (m *Mirror) page(ctx context.Context, r store.Range) (store.Page, error) {
	ctx, stop := context.WithTimeout(ctx, m.o.Times.Call)
	defer stop()
	return m.o.Store.List(ctx, r)
}

// watch applies what the store tells until the watch ends or is found to be of no use.
func (m *Mirror) watch(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	batches, why := m.o.Store.Watch(ctx, m.o.Prefix, m.view.Load().Revision+1)
	silence := time.NewTimer(m.o.Times.Silence)
	defer silence.Stop()
	compare := time.NewTimer(m.o.Times.AntiEntropy*9/10 + rand.N(m.o.Times.AntiEntropy/5))
	defer compare.Stop()
	for {
		select {
		case b, ok := <-batches:
			if !ok {
				return why()
			}
			m.take(b)
			silence.Reset(m.o.Times.Silence)
		case <-silence.C:
			if err := m.behind(ctx); err != nil {
				return err
			}
			silence.Reset(m.o.Times.Silence)
		case <-compare.C:
			if err := m.compare(ctx, batches, why); err != nil {
				return err
			}
			compare.Reset(m.o.Times.AntiEntropy*9/10 + rand.N(m.o.Times.AntiEntropy/5))
		}
	}
}

// take applies a batch. What the view has already is left out: a watch may begin a little early.
func (m *Mirror) take(b store.Batch) {
	v := m.view.Load()
	events := b.Events[:0:0]
	for _, e := range b.Events {
		if e.Changed > v.Revision {
			events = append(events, e)
		}
	}
	switch {
	case len(events) > 0:
		m.swap(v.with(events, max(v.Revision, b.Revision)))
	case b.Revision > v.Revision:
		m.swap(&View{Revision: b.Revision, kvs: v.kvs})
	default:
		m.count(func(h *Health) { h.Err, h.Heard = nil, time.Now() })
	}
}

// behind looks whether a silent watch has missed something.
func (m *Mirror) behind(ctx context.Context) error {
	p, err := m.page(ctx, store.Range{Prefix: m.o.Prefix, Limit: 1, KeysOnly: true})
	if err != nil {
		return fmt.Errorf("look after a silent watch: %w", err)
	}
	if p.Revision > m.view.Load().Revision {
		return errBehind
	}
	return nil
}

// compare lists everything and holds it against the view, once the watch has come to the same revision.
func (m *Mirror) compare(ctx context.Context, batches <-chan store.Batch, why func() error) error {
	fresh, err := m.list(ctx)
	if err != nil {
		return err
	}
	late := time.NewTimer(m.o.Times.Silence)
	defer late.Stop()
	for m.view.Load().Revision < fresh.Revision {
		select {
		case b, ok := <-batches:
			if !ok {
				return why()
			}
			m.take(b)
		case <-late.C:
			return errBehind
		}
	}
	v := m.view.Load()
	if v.Revision != fresh.Revision {
		return nil // it has moved on meanwhile: next time
	}
	if n := differs(v, fresh); n > 0 {
		m.count(func(h *Health) { h.Repairs += uint64(n) })
		m.o.Log.Error("the store has lost events, the mirror is repaired", zap.String("prefix", m.o.Prefix), zap.Int("keys", n))
		m.swap(fresh)
	}
	return nil
}
