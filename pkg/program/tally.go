package program

import (
	"sync"
	"time"
)

// Bounds are the upper bounds of the histogram of how long programs run, in seconds.
var Bounds = [...]float64{0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30}

// Outcome is what a program that was run came to, for who has run it.
type Outcome uint8

// The outcomes.
const (
	Succeeded Outcome = iota
	Refused           // it has said no, which was its business
	Failed            // it has not said what it was asked
	Left              // nobody waited for it any more
)

// Counts are what programs came to.
type Counts struct {
	Runs, Refusals, Failures uint64
	Within                   [len(Bounds) + 1]uint64 // runs, by bound; the last is beyond all
	Seconds                  float64                 // of all runs
}

// Tally counts programs that were run. The zero Tally is ready, and any goroutine may use it.
type Tally struct {
	mu     sync.Mutex
	counts Counts
}

// Ran counts a program that has ended.
func (t *Tally) Ran(took time.Duration, o Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &t.counts
	c.Runs++
	switch o {
	case Refused:
		c.Refusals++
	case Failed:
		c.Failures++
	}
	sec := took.Seconds()
	c.Seconds += sec
	i := 0
	for i < len(Bounds) && sec > Bounds[i] {
		i++
	}
	c.Within[i]++
}

// Counts returns what was counted.
func (t *Tally) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}
