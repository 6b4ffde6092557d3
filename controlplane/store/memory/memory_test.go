package memory_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/store"
	"github.com/heliosproxy/heliosproxy/controlplane/store/memory"
	"github.com/heliosproxy/heliosproxy/controlplane/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		s := memory.New()
		s.Progress = 20 * time.Millisecond
		return s
	})
}

// TestBounded: old history is forgotten by itself, and a watch on which nothing happens does not fall behind
// for that.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		defer s.Close()
		batches, why := s.Watch(t.Context(), "/quiet/", 1)
		var last int64
		for i := range 25_000 {
			r, err := s.Commit(t.Context(), store.Txn{Then: []store.Op{{Key: "/busy", Value: []byte("x")}}})
			if err != nil {
				t.Fatal(err)
			}
			if last = r.Revision; i%1000 == 0 {
				synctest.Wait()
			}
		}
		var compacted *store.CompactedError
		if _, err := s.List(t.Context(), store.Range{Prefix: "/", Revision: 2}); !errors.As(err, &compacted) {
			t.Errorf("all history is kept: %v", err)
		}
		if b, ok := <-batches; !ok || b.Revision != last || len(b.Events) > 0 {
			t.Errorf("the quiet watch: %+v", b)
			if !ok {
				t.Error(why())
			}
		}
	})
}
