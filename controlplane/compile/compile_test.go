package compile_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/compile"
	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/pkg/release"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// world is a desired state that changes and what was published of it.
type world struct {
	changed  chan struct{}
	revision atomic.Uint64

	mu        sync.Mutex
	published []string // revision@time since the start
	fail      []error  // what the next publications answer
	faster    bool     // somebody else is
	settled   int
}

func run(t *testing.T, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{changed: make(chan struct{}, 1)}
		began := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			compile.Run(ctx, compile.Options{
				Changed: w.changed, Log: zap.NewNop(),
				Desired: func() (*release.Content, uint64, error) {
					if w.revision.Load() == 0 {
						return release.Empty(), 0, nil
					}
					c, err := release.New([]*heliosv1.Item{{Kind: "User", Name: fmt.Sprint(w.revision.Load())}})
					return c, w.revision.Load(), err
				},
				Publish: func(_ context.Context, _ *release.Content, revision uint64) (uint64, bool, error) {
					w.mu.Lock()
					defer w.mu.Unlock()
					if len(w.fail) > 0 {
						err := w.fail[0]
						w.fail = w.fail[1:]
						return 0, false, err
					}
					w.published = append(w.published, fmt.Sprintf("%d@%v", revision, time.Since(began)))
					return revision, !w.faster, nil
				},
				Settle: func(context.Context) error {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.settled++
					return nil
				},
				Sweep: func(context.Context) error { return nil },
			})
		}()
		f(w)
		stop()
		<-done
	})
}

// pass lets time go by and everything that is due then happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *world) change() {
	w.revision.Add(1)
	select {
	case w.changed <- struct{}{}:
	default:
	}
	synctest.Wait()
}

func (w *world) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if published, _ := w.seen(); fmt.Sprint(published) != fmt.Sprint(want) {
		t.Errorf("published %v, want %v", published, want)
	}
}

// seen is what was published, and how often somebody has settled.
func (w *world) seen() (published []string, settled int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.published, w.settled
}

func TestOneChange(t *testing.T) {
	run(t, func(w *world) {
		w.change()
		w.want(t)
		pass(50 * time.Millisecond)
		w.want(t, "1@50ms")
		if _, settled := w.seen(); settled != 1 {
			t.Error("nobody has settled")
		}
	})
}

// TestBurst: changes that come fast are one release, and a stream of them is not put off for ever.
func TestBurst(t *testing.T) {
	run(t, func(w *world) {
		for range 3 {
			w.change()
			pass(20 * time.Millisecond)
		}
		pass(time.Second)
		w.want(t, "3@90ms")
	})
	run(t, func(w *world) {
		for range 60 {
			w.change()
			pass(20 * time.Millisecond)
		}
		if published, _ := w.seen(); len(published) != 2 {
			t.Errorf("published %v in 1.2 s of changes", published)
		}
		pass(time.Second)
		if published, _ := w.seen(); len(published) != 3 || published[2][:3] != "60@" {
			t.Errorf("published %v", published)
		}
	})
}

// TestRetry: what could not be published is tried again without another change.
func TestRetry(t *testing.T) {
	run(t, func(w *world) {
		w.mu.Lock()
		w.fail = []error{fmt.Errorf("gone: %w", store.ErrUnavailable), errors.New("odd")}
		w.mu.Unlock()
		w.change()
		pass(time.Second)
		if published, settled := w.seen(); len(published) != 1 || settled != 1 {
			t.Errorf("published %v, settled %d times", published, settled)
		}
	})
}

// TestNothing: a store in which nothing was ever written makes no release.
func TestNothing(t *testing.T) {
	run(t, func(w *world) {
		w.changed <- struct{}{}
		pass(time.Second)
		w.want(t)
	})
}
