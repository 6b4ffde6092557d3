package fleet

import (
	"time"

	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// buckets is how many bounds there are.
const buckets = 10

// Bounds are those of the buckets of Counted.Converged, in seconds.
func Bounds() [buckets]float64 { return [...]float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60} }

// Counted is what has happened to all proxies together since the start.
type Counted struct {
	Sent, SentBytes uint64
	Acked           uint64
	Nacked          map[heliosv1.Stage]uint64
	// Converged counts, by how long it took from a release to its being in force on a proxy; the last is
	// beyond all bounds.
	Converged    [buckets + 1]uint64
	ConvergedSum time.Duration
}

// Counted returns a copy.
func (f *Fleet) Counted() Counted {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.counted
	c.Nacked = map[heliosv1.Stage]uint64{}
	for stage, n := range f.counted.Nacked {
		c.Nacked[stage] = n
	}
	return c
}

// States counts the proxies by state.
func (f *Fleet) States() map[heliosv1.NodeState]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[heliosv1.NodeState]int{}
	for _, n := range f.nodes {
		all[f.state(n)]++
	}
	return all
}

// acked counts an acknowledgement of what was assigned last. f.mu is held.
func (f *Fleet) acked(hash string) {
	f.counted.Acked++
	if hash != f.hash {
		return
	}
	took := f.o.Now().Sub(f.assigned)
	f.counted.ConvergedSum += took
	for i, bound := range Bounds() {
		if took.Seconds() <= bound {
			f.counted.Converged[i]++
			return
		}
	}
	f.counted.Converged[buckets]++
}
