package mirror

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/memory"
	"github.com/heliosproxy/heliosproxy/controlplane/store/storetest"
)

const prefix = "/m/"

// world is a mirror of a store behind a liar, in a bubble of time.
type world struct {
	*testing.T
	memory *memory.Store
	truth  *truth
	liar   *storetest.Liar
	mirror *Mirror

	mu    sync.Mutex
	views []*View
}

// inWorld prepares a store, starts a mirror of it and runs a scenario. After it the store is honest and there, and the mirror has to be what a fresh list
// is, after a while; and all that it has shown in between has to stand.
func inWorld(t *testing.T, prepare, scenario func(*world)) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, prepare)
		scenario(w)
		w.liar.Heal()
		w.wait(12 * time.Minute) // by then whatever there is has been looked at
		w.equal()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, v := range validators() {
			if err := v.check(w.truth, w.views); err != nil {
				t.Errorf("%s: %v", v.name, err)
			}
		}
	})
}

// honestly prepares nothing.
func honestly(*world) {}

// begin starts a mirror, which ends with the test. What prepare does is done before.
func begin(t *testing.T, prepare func(*world)) *world {
	w := &world{T: t, memory: memory.New()}
	w.truth = newTruth(w.memory, prefix)
	w.liar = &storetest.Liar{Store: w.truth}
	w.mirror = New(Options{Store: w.liar, Prefix: prefix, Log: zaptest.NewLogger(t)})
	w.mirror.seen = func(v *View) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.views = append(w.views, v)
	}
	prepare(w)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.mirror.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	synctest.Wait()
	return w
}

// wait lets time pass, and then all that it has brought about.
func (w *world) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// put writes a key and lets the mirror hear of it, if it can.
func (w *world) put(key, value string) int64 {
	w.Helper()
	r := w.truth.commit(w, store.Op{Key: key, Value: []byte(value)})
	synctest.Wait()
	return r
}

func (w *world) del(key string) {
	w.Helper()
	w.truth.commit(w, store.Op{Key: key, Delete: true})
	synctest.Wait()
}

func (w *world) compact() {
	w.Helper()
	p, err := w.memory.List(w.Context(), store.Range{Limit: 1})
	if err == nil {
		err = w.memory.Compact(w.Context(), p.Revision)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// equal fails unless the mirror is what a fresh list is.
func (w *world) equal() {
	w.Helper()
	p, err := w.liar.Store.List(w.Context(), store.Range{Prefix: prefix})
	if err != nil {
		w.Fatal(err)
	}
	fresh := &View{Revision: p.Revision, kvs: p.KVs}
	if diff := fresh.Since(w.mirror.Current()); len(diff) > 0 {
		w.Errorf("what the mirror lacks: %+v", diff)
	}
	if diff := w.mirror.Current().Since(fresh); len(diff) > 0 {
		w.Errorf("what the mirror has too much: %+v", diff)
	}
}

// lists fails unless the mirror has begun so often.
func (w *world) lists(want uint64) {
	w.Helper()
	if got := w.mirror.Health().Lists; got != want {
		w.Errorf("listed %d times, want %d", got, want)
	}
}
