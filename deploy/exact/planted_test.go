//go:build planted

package exact

import (
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/pkg/planted"
)

// TestPlanted plants faults in the proxy, one at a time: each is found by what TestExact plays.
func TestPlanted(t *testing.T) {
	st := newStage(t, *parallel)
	for _, h := range st.harnesses {
		h.First = true
	}
	for _, fault := range []planted.Fault{
		planted.Skipping, planted.Swallowed, planted.Unnamed, planted.CopySync, planted.Late, planted.Notice, planted.Unsynced,
		planted.Short, planted.Unfinished, planted.Unasked, planted.Held,
	} {
		t.Run(string(fault), func(t *testing.T) {
			planted.Plant(fault)
			defer planted.Plant("")
			st.open(t, 2*time.Second)
			begun, n := time.Now(), 0
			found, err := st.play(4, func(yield func(Sequence) bool) {
				for _, s := range scripts(t) {
					if n++; !yield(s) {
						return
					}
				}
				for s := range generated(0, *count) {
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
