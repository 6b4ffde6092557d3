//go:build planted

package exact

import (
	"iter"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// TestPlanted plants faults in the proxy, one at a time: each is found by what TestExact plays.
func TestPlanted(t *testing.T) {
	st := newStage(t, *parallel, *secured)
	st.find(t, 2*time.Second, func(yield func(Sequence) bool) {
		for _, s := range scripts(t) {
			if !yield(s) {
				return
			}
		}
		generated(0, *count)(yield)
	}, planted.Skipping, planted.Swallowed, planted.Unnamed, planted.CopySync, planted.Late, planted.Notice, planted.Unsynced,
		planted.Short, planted.Unfinished, planted.Unasked, planted.Held, planted.Told, planted.Inferred)
}

// TestPlantedTLS plants faults in what speaks TLS: each is found by what TestTLS plays.
func TestPlantedTLS(t *testing.T) {
	newStage(t, *parallel, true).find(t, 3*time.Second, generated(0, tlsCount), planted.Record, planted.Behind)
}

// find plants faults and wants each to be found, where nothing is waited for longer than wait.
func (st *stage) find(t *testing.T, wait time.Duration, sequences iter.Seq[Sequence], faults ...planted.Fault) {
	st.findWith(t, func(t *testing.T) (func(), error) { return func() {}, st.begin(t, wait) }, sequences, faults...)
}

// findWith is find with proxies that begin starts, until they are stopped.
func (st *stage) findWith(t *testing.T, begin func(*testing.T) (stop func(), err error), sequences iter.Seq[Sequence], faults ...planted.Fault) {
	for _, h := range st.harnesses {
		h.First = true
	}
	for _, fault := range faults {
		t.Run(string(fault), func(t *testing.T) {
			planted.Plant(fault)
			defer planted.Plant("")
			begun, n := time.Now(), 0
			stop, err := begin(t)
			if err != nil {
				t.Logf("found in %v: nothing begins: %v", time.Since(begun).Round(time.Millisecond), err)
				return
			}
			defer stop()
			found, err := st.play(1, func(yield func(Sequence) bool) {
				for s := range sequences {
					if n++; !yield(s) {
						return
					}
				}
			})
			took := time.Since(begun).Round(time.Millisecond)
			switch {
			case len(found) > 0:
				t.Logf("found in %v, after %d sequences, by %q", took, n, found[0].Sequence.Name)
			case err != nil:
				t.Logf("found in %v, after %d sequences: nothing goes on: %v", took, n, err)
			default:
				t.Errorf("not found by %d sequences", n)
			}
		})
	}
}
