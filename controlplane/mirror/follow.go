package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
)

// pageKeys is how many keys are listed at once.
const pageKeys = 500

// stale is an error after which the watch cannot go on where it was: what was missed cannot be told any more,
// but what is there can.
type stale struct{ why string }

// Error says why.
func (e *stale) Error() string { return e.why }

// errSilentEnd is for a store that does not say why a watch is over.
var errSilentEnd = errors.New("it ended without a reason")

// Run follows the store until ctx ends.
func (m *Mirror) Run(ctx context.Context) {
	shortest := m.o.Times.Pause / 64
	pause, anew := shortest, true
	for {
		began := time.Now()
		err := m.follow(ctx, &anew)
		if ctx.Err() != nil {
			return
		}
		m.failed(err)
		if time.Since(began) > m.o.Times.Pause {
			pause = shortest // it went well for a while
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rand.N(pause) + 1):
		}
		pause = min(2*pause, m.o.Times.Pause)
	}
}

// follow lists if it has to begin anew, and then watches until something is wrong, which may be that it has to
// begin anew.
func (m *Mirror) follow(ctx context.Context, anew *bool) error {
	if *anew {
		fresh, err := m.list(ctx, 0)
		if err != nil {
			return err
		}
		m.begin(fresh)
		*anew = false
	}
	err := m.watch(ctx)
	var compacted *store.CompactedError
	var old *stale
	*anew = errors.As(err, &compacted) || errors.As(err, &old)
	return err
}

// begin puts what was listed in force.
func (m *Mirror) begin(fresh *View) {
	old := m.view.Load()
	missed := fresh.Since(old)
	m.count(func(h *Health) { h.Lists++ })
	if old != nil {
		m.o.Log.Info("the store was listed again", zap.String("prefix", m.o.Prefix),
			zap.Int64("from", old.Revision), zap.Int64("to", fresh.Revision), zap.Int("missed", len(missed)))
	}
	m.swap(fresh, old == nil || len(missed) > 0)
	m.heard()
}

// list reads everything at one revision; 0 is now.
func (m *Mirror) list(ctx context.Context, revision int64) (*View, error) {
	v := &View{}
	r := store.Range{Prefix: m.o.Prefix, Limit: pageKeys, Revision: revision}
	for {
		p, err := m.page(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", m.o.Prefix, err)
		}
		v.kvs = append(v.kvs, p.KVs...)
		v.Revision, r.Revision = p.Revision, p.Revision
		if !p.More || len(p.KVs) == 0 {
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
	compare := time.NewTimer(m.untilCompare())
	defer compare.Stop()
	for {
		var err error
		select {
		case b, ok := <-batches:
			if !ok {
				return fmt.Errorf("watch %s: %w", m.o.Prefix, cmp.Or(why(), errSilentEnd))
			}
			if err = m.take(ctx, b); err == nil {
				m.heard()
			}
			silence.Reset(m.o.Times.Silence)
		case <-silence.C:
			err = m.look(ctx, false)
			silence.Reset(m.o.Times.Silence)
		case <-compare.C:
			err = m.compare(ctx)
			compare.Reset(m.untilCompare())
		}
		if err != nil {
			return err
		}
	}
}

func (m *Mirror) untilCompare() time.Duration {
	return m.o.Times.AntiEntropy*9/10 + rand.N(m.o.Times.AntiEntropy/5)
}

// take applies a batch, unless it cannot come next.
func (m *Mirror) take(ctx context.Context, b store.Batch) error {
	v := m.view.Load()
	at := v.Revision + 1
	for _, e := range b.Events {
		if e.Changed < at || e.Changed > b.Revision {
			return &stale{fmt.Sprintf("the watch tells of revision %d of %s after %d and up to %d", e.Changed, e.Key, at-1, b.Revision)}
		}
		at = e.Changed
	}
	switch {
	case len(b.Events) > 0:
		m.swap(v.with(b.Events, b.Revision), true)
	case b.Revision > v.Revision:
		m.swap(&View{Revision: b.Revision, kvs: v.kvs}, false)
	case b.Revision < v.Revision:
		return m.look(ctx, true)
	}
	return nil
}

// look asks the store where it is, because the watch is silent, or speaks of a revision that the mirror is
// beyond. A member of a cluster may lag and still speak; the store as a whole may not.
func (m *Mirror) look(ctx context.Context, speaks bool) error {
	p, err := m.page(ctx, store.Range{Prefix: m.o.Prefix, Limit: 1, KeysOnly: true})
	if err != nil {
		return fmt.Errorf("ask the store for its revision: %w", err)
	}
	v := m.view.Load()
	switch {
	case p.Revision < v.Revision:
		return &stale{fmt.Sprintf("the store went back from revision %d to %d", v.Revision, p.Revision)}
	case p.Revision > v.Revision && !speaks:
		return &stale{fmt.Sprintf("the watch has told nothing for %v, and the store went from revision %d to %d", m.o.Times.Silence, v.Revision, p.Revision)}
	}
	m.heard()
	return nil
}

// compare lists everything as it was at the view's revision and holds it against the view.
func (m *Mirror) compare(ctx context.Context) error {
	v := m.view.Load()
	fresh, err := m.list(ctx, v.Revision)
	if err != nil {
		m.o.Log.Info("the mirror could not be compared with the store", zap.String("prefix", m.o.Prefix), zap.Error(err))
		return nil // whether the store can be followed is for the watch to find
	}
	lost := fresh.Since(v)
	if len(lost) == 0 {
		return nil
	}
	m.count(func(h *Health) { h.Repairs += uint64(len(lost)) })
	m.o.Log.Error("the store has lost events, the mirror is repaired", zap.String("prefix", m.o.Prefix),
		zap.Int("keys", len(lost)), zap.String("first", lost[0].Key), zap.Int64("revision", v.Revision))
	m.swap(fresh, true)
	return fmt.Errorf("the watch has lost events of %d keys", len(lost)) // this one is not trusted any more
}
