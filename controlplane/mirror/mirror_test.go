package mirror

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/memory"
)

func TestFollow(t *testing.T) {
	inWorld(t, honestly, func(w *world) {
		w.put("/m/a", "1")
		w.put("/elsewhere", "1")
		w.truth.commit(w, store.Op{Key: "/m/b", Value: []byte("2")}, store.Op{Key: "/m/a", Delete: true}, store.Op{Key: "/n", Value: []byte("3")})
		synctest.Wait()
		w.equal()
		if v := w.mirror.Current(); v.Len() != 1 {
			t.Errorf("%d keys", v.Len())
		}
		w.lists(1)
	})
}

// TestPages: a mirror that begins while much is written has one revision, whole.
func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) {
			for i := range 13 * 100 {
				w.truth.commit(w, store.Op{Key: fmt.Sprintf("/m/%04d", i), Value: []byte("x")})
			}
			w.liar.Page = func(_ store.Range, p store.Page, err error) (store.Page, error) {
				if p.More { // between two pages everything moves
					w.truth.commit(w, store.Op{Key: "/m/0000", Delete: true}, store.Op{Key: "/m/1299", Value: []byte("y")}, store.Op{Key: p.KVs[0].Key + "x", Value: []byte("new")})
				}
				return p, err
			}
		})
		w.equal()
		w.lists(1)
		for _, v := range validators() {
			if err := v.check(w.truth, w.views); err != nil {
				t.Errorf("%s: %v", v.name, err)
			}
		}
	})
}

// TestCutOff: while the store is away the mirror goes on to show what it has, and says so; what happened
// meanwhile is told afterwards, without a list.
func TestCutOff(t *testing.T) {
	for name, breaks := range map[string]bool{"silent": false, "broken": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, honestly, func(w *world) {
				w.put("/m/a", "1")
				w.liar.Cut()
				if breaks {
					w.liar.Break()
				}
				w.put("/m/a", "2")
				w.put("/m/b", "2")
				w.wait(30 * time.Second)
				h := w.mirror.Health()
				if !errors.Is(h.Err, store.ErrUnavailable) || h.Stale < 30*time.Second || !h.Synced {
					t.Errorf("cut off: %+v", h)
				}
				if kv, _ := w.mirror.Current().Get("/m/a"); string(kv.Value) != "1" {
					t.Errorf("cut off: %+v", kv)
				}
				w.del("/m/b")
				w.liar.Heal()
				w.wait(6 * time.Second)
				w.equal()
				if h = w.mirror.Health(); h.Err != nil || h.Stale != 0 {
					t.Errorf("healed: %+v", h)
				}
				w.lists(1)
			})
		})
	}
}

// TestBeginsWithoutStore: there is no view before the store was there, and then there is one soon.
func TestBeginsWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) {
			w.truth.commit(w, store.Op{Key: "/m/a", Value: []byte("1")})
			w.liar.Cut()
		})
		w.wait(time.Minute)
		if h := w.mirror.Health(); w.mirror.Current() != nil || h.Synced || !errors.Is(h.Err, store.ErrUnavailable) {
			t.Errorf("without a store: %+v", h)
		}
		w.liar.Heal()
		w.wait(6 * time.Second)
		w.equal()
	})
}

// TestCompacted: the history that was missed is gone. What was deleted meanwhile is gone from the view too.
func TestCompacted(t *testing.T) {
	inWorld(t, honestly, func(w *world) {
		w.put("/m/gone", "1")
		w.put("/m/stays", "1")
		w.put("/m/changes", "1")
		before := w.mirror.Current()
		w.liar.Cut()
		w.liar.Break()
		w.del("/m/gone")
		w.put("/m/changes", "2")
		w.put("/m/new", "2")
		w.put("/elsewhere", "x")
		w.compact()
		w.liar.Heal()
		w.wait(11 * time.Second)
		w.equal()
		w.lists(2)
		var told []string
		for _, e := range w.mirror.Current().Since(before) {
			told = append(told, fmt.Sprintf("%s %v", e.Key, e.Deleted))
		}
		if want := []string{"/m/changes false", "/m/gone true", "/m/new false"}; !slices.Equal(told, want) {
			t.Errorf("since before: %v, want %v", told, want)
		}
	})
}

// hears tells what there is to tell, or nothing.
func hears(deaf *atomic.Bool) func(store.Batch) []store.Batch {
	return func(b store.Batch) []store.Batch {
		if deaf.Load() {
			return nil
		}
		return []store.Batch{b}
	}
}

// TestHangs: a watch that hangs without an error is found out by the store's revision, and only then.
func TestHangs(t *testing.T) {
	var deaf atomic.Bool
	inWorld(t, func(w *world) { w.liar.Batch = hears(&deaf) }, func(w *world) {
		w.put("/m/a", "1")
		deaf.Store(true)
		w.wait(time.Minute) // nothing happens: nothing is missed
		w.lists(1)
		w.put("/m/a", "2")
		w.wait(21 * time.Second)
		w.equal()
		w.lists(2)
		deaf.Store(false)
	})
}

// TestLosesEvent: an event that the store has lost is found by the comparison, which repairs and says so.
func TestLosesEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) {
			w.liar.Batch = func(b store.Batch) []store.Batch {
				b.Events = slices.DeleteFunc(slices.Clone(b.Events), func(e store.Event) bool { return strings.HasSuffix(e.Key, "lost") })
				return []store.Batch{b}
			}
		})
		w.put("/m/a", "1")
		w.put("/m/lost", "1")
		if _, ok := w.mirror.Current().Get("/m/lost"); ok {
			t.Fatal("the store has not lost it")
		}
		w.wait(6 * time.Minute)
		w.equal()
		if h := w.mirror.Health(); h.Repairs != 1 || h.Err != nil {
			t.Errorf("repaired: %+v", h)
		}
		w.put("/m/b", "after it") // and the next watch is of use
		w.equal()
		w.wait(time.Hour)
		if h := w.mirror.Health(); h.Repairs != 1 {
			t.Errorf("later: %+v", h)
		}
	})
}

// TestUnsound: a watch that tells what cannot come next is not believed.
func TestUnsound(t *testing.T) {
	for name, lie := range map[string]func(store.Batch) []store.Batch{
		"twice": func(b store.Batch) []store.Batch { return []store.Batch{b, b} },
		"in the wrong order": func(b store.Batch) []store.Batch {
			return []store.Batch{{Events: []store.Event{{KV: store.KV{Key: "/m/z", Changed: b.Revision}}, {KV: store.KV{Key: "/m/y", Changed: b.Revision - 1}}}, Revision: b.Revision}}
		},
		"from the future": func(b store.Batch) []store.Batch {
			return []store.Batch{{Events: []store.Event{{KV: store.KV{Key: "/m/z", Changed: b.Revision + 7}}}, Revision: b.Revision}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var lies atomic.Bool
			inWorld(t, func(w *world) {
				w.liar.Batch = func(b store.Batch) []store.Batch {
					if len(b.Events) > 0 && lies.CompareAndSwap(true, false) {
						return lie(b)
					}
					return []store.Batch{b}
				}
			}, func(w *world) {
				w.put("/m/a", "1")
				lies.Store(true)
				w.put("/m/a", "2")
				w.wait(time.Second)
				w.equal()
				w.lists(2)
			})
		})
	}
}

// TestTorn: that the validators see a store that splits a revision, which a mirror cannot.
func TestTorn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(w *world) {
			w.liar.Batch = func(b store.Batch) []store.Batch {
				if len(b.Events) < 2 {
					return []store.Batch{b}
				}
				return []store.Batch{{Events: b.Events[:1], Revision: b.Revision}, {Events: b.Events[1:], Revision: b.Revision}}
			}
		})
		w.truth.commit(w, store.Op{Key: "/m/a", Value: []byte("1")}, store.Op{Key: "/m/b", Value: []byte("1")})
		w.wait(time.Second)
		w.equal()
		w.mu.Lock()
		defer w.mu.Unlock()
		if whole(w.truth, w.views) == nil || reliable(w.truth, w.views) == nil {
			t.Error("half a revision was not found")
		}
	})
}

// TestGoesBack: a store that was restored from a copy is listed again, though its revisions are behind.
func TestGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, honestly)
		for i := range 10 {
			w.put("/m/a", fmt.Sprint(i))
		}
		w.put("/m/new", "1")
		old := memory.New()
		w.liar.Cut()
		w.liar.Break()
		synctest.Wait()
		w.liar.Store = newTruth(old, prefix)
		if _, err := old.Commit(t.Context(), store.Txn{Then: []store.Op{{Key: "/m/a", Value: []byte("old")}}}); err != nil {
			t.Fatal(err)
		}
		w.liar.Heal()
		w.wait(10 * time.Second)
		w.equal()
		w.lists(2)
	})
}

// TestLagging: a member that is behind the others and says so is no store that went back.
func TestLagging(t *testing.T) {
	var lag atomic.Bool
	lag.Store(true)
	inWorld(t, func(w *world) {
		w.liar.Batch = func(b store.Batch) []store.Batch {
			if lag.Load() && len(b.Events) == 0 {
				b.Revision -= 3
			}
			return []store.Batch{b}
		}
	}, func(w *world) {
		w.put("/m/a", "1")
		w.put("/elsewhere", "1") // the store is ahead of the mirror, too
		w.wait(time.Minute)
		w.lists(1)
		if h := w.mirror.Health(); h.Err != nil {
			t.Errorf("lagging: %+v", h)
		}
		lag.Store(false)
	})
}

// TestSubscribe: a subscriber hears of changed keys and of nothing else, of many at once, and never holds the
// mirror up.
func TestSubscribe(t *testing.T) {
	inWorld(t, honestly, func(w *world) {
		c, stop := w.mirror.Subscribe()
		defer stop()
		unread, stopUnread := w.mirror.Subscribe()
		defer stopUnread()
		<-c // there is a view
		w.put("/elsewhere", "1")
		w.wait(time.Minute)
		select {
		case <-c:
			t.Error("told of nothing")
		default:
		}
		w.put("/m/a", "1")
		w.put("/m/a", "2")
		<-c
		select {
		case <-c:
			t.Error("two changes were not one")
		default:
		}
		stop()
		w.put("/m/a", "3")
		select {
		case <-c:
			t.Error("told after the end of the subscription")
		default:
		}
		<-unread
	})
}

func TestWaitFor(t *testing.T) {
	inWorld(t, honestly, func(w *world) {
		r := w.put("/m/a", "1")
		if err := w.mirror.WaitFor(w.Context(), r); err != nil {
			t.Error(err)
		}
		came := make(chan error, 2)
		long, stopLong := context.WithTimeout(w.Context(), time.Minute)
		defer stopLong()
		go func() { came <- w.mirror.WaitFor(long, r+1) }()
		ctx, stop := context.WithTimeout(w.Context(), time.Second)
		defer stop()
		go func() { came <- w.mirror.WaitFor(ctx, r+100) }()
		w.put("/elsewhere", "1") // the revision moves, no key of the mirror's does
		if err := <-came; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("what never comes: %v", err)
		}
		if err := <-came; err != nil {
			t.Error(err)
		}
	})
}

// TestTorture: whatever happens to the store, in whatever order, all that the mirror shows is true, and in the
// end it is what a fresh list is.
func TestTorture(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			var deaf atomic.Bool
			inWorld(t, func(w *world) { w.liar.Batch = hears(&deaf) }, func(w *world) {
				r := rand.New(rand.NewPCG(seed, 1))
				hear := func() {
					w.liar.Break() // a watch that has hung does not come to itself
					synctest.Wait()
					deaf.Store(false)
				}
				for range 150 {
					switch r.IntN(12) {
					case 0:
						w.liar.Cut()
					case 1, 2:
						w.liar.Heal()
					case 3:
						w.liar.Break()
					case 4:
						w.compact()
					case 5:
						hear()
						deaf.Store(r.IntN(2) == 0)
					case 6:
						w.wait(time.Duration(r.Int64N(int64(10 * time.Second))))
					default:
						var ops []store.Op
						for _, k := range r.Perm(8)[:1+r.IntN(3)] {
							ops = append(ops, store.Op{Key: fmt.Sprintf("/m/%d", k), Value: fmt.Append(nil, r.IntN(100)), Delete: r.IntN(3) == 0})
						}
						w.truth.commit(w, ops...)
					}
				}
				hear()
			})
		})
	}
}
