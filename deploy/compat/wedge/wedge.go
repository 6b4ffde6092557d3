// Package wedge puts drivers that pipeline against full buffers on both sides, and watches that everything goes on and that the proxy
// does not take in what nobody reads. It never looks at how the proxy does it.
package wedge

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// What every load keeps in flight: so many statements, each with a value of so many bytes, answered by the same bytes. It is far
// more than the sockets' buffers hold, so that for a good part of the time nobody can write before somebody else reads.
const (
	InFlight = 100
	Bytes    = 1 << 20
)

// Stuck is how long nothing may move, while the driver does not compute either, before it is a wedge.
const Stuck = 10 * time.Second

// A Target is where loads connect.
type Target struct {
	DSN string   // for Go
	Env []string // for other programs
}

// A Load is a driver at work.
type Load interface {
	Name() string
	// Run keeps InFlight statements on their way until the time is up, at least one batch of them, and returns when the last answer is
	// in. It calls moved with 1 for each answer that is as it must be, and with 0 when anything else has moved, if it can see that; an
	// answer that is not as it must be ends it with an error. It returns soon after ctx ends.
	Run(ctx context.Context, t Target, length time.Duration, moved func(answers int)) error
}

// A Report is how one load fared.
type Report struct {
	Load    string
	Answers int
	Longest time.Duration // in which nothing has moved
	Err     error         // nil if all is well
}

// Watch runs all loads at once for length. One in which nothing moves for stuck is stopped and its error is a wedge.
func Watch(ctx context.Context, loads []Load, t Target, length, stuck time.Duration) []Report {
	reports := make([]Report, len(loads))
	var wg sync.WaitGroup
	for i, load := range loads {
		wg.Go(func() { reports[i] = watchOne(ctx, load, t, length, stuck) })
	}
	wg.Wait()
	return reports
}

func watchOne(ctx context.Context, load Load, t Target, length, stuck time.Duration) Report {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	var last, longest, answers atomic.Int64 // nanoseconds since began
	moved := func(n int) {
		answers.Add(int64(n))
		now := time.Since(began).Nanoseconds()
		if gap := now - last.Swap(now); gap > longest.Load() {
			longest.Store(gap)
		}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- load.Run(ctx, t, length, moved)
	}()
	tick := time.NewTicker(stuck / 20)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			moved(0)
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			} else if err == nil && answers.Load() < InFlight {
				err = fmt.Errorf("only %d answers: not one batch", answers.Load())
			}
			return Report{Load: load.Name(), Answers: int(answers.Load()), Longest: time.Duration(longest.Load()), Err: err}
		case <-tick.C:
			if silent := time.Since(began) - time.Duration(last.Load()); silent > stuck {
				cancel(fmt.Errorf("wedge: nothing has moved for %.1f s, after %d answers", silent.Seconds(), answers.Load()))
			}
		}
	}
}
