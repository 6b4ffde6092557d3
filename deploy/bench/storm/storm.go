// Package storm logs in to a PostgreSQL server or proxy again and again, or holds sessions, and says what came of it. It never measures its own part: the keys of a password are made once.
package storm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Options are what is done, and how.
type Options struct {
	Target
	Rate     float64       // log-ins offered a second; 0: as many as the clients do
	Length   time.Duration // of the storm
	Clients  int           // log-ins at a time, at most
	Deadline time.Duration // of one log-in
}

// Report is what came of it.
type Report struct {
	Offered int            `json:"offered"`
	Done    int            `json:"done"`
	Refused map[string]int `json:"refused"` // by SQLSTATE, or what else went wrong
	Skipped int            `json:"skipped"` // not begun: all clients were at it
	Seconds float64        `json:"seconds"`
	P50     float64        `json:"p50_ms"`
	P99     float64        `json:"p99_ms"`
	Words   string         `json:"words,omitempty"` // of a refusal
}

// Run logs in until the time is over, and writes the report as JSON.
func Run(ctx context.Context, o *Options, to io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, o.Length)
	defer cancel()
	return json.NewEncoder(to).Encode(offer(ctx, o))
}

// tally collects what log-ins came to.
type tally struct {
	mu    sync.Mutex
	r     Report
	times []time.Duration
}

func (t *tally) note(err error, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.r.Done++
		t.times = append(t.times, took)
		return
	}
	t.r.Refused[kind(err)]++
	t.r.Words = err.Error()
}

// offer logs in until ctx ends.
func offer(ctx context.Context, o *Options) Report {
	t := &tally{r: Report{Refused: map[string]int{}}}
	work := make(chan struct{})
	var all sync.WaitGroup
	for range o.Clients {
		all.Go(func() {
			for range work {
				begin := time.Now()
				t.note(o.once(begin.Add(o.Deadline)), time.Since(begin))
			}
		})
	}
	begin := time.Now()
	for ctx.Err() == nil {
		t.r.Offered++
		if o.Rate <= 0 {
			select {
			case work <- struct{}{}:
			case <-ctx.Done():
			}
			continue
		}
		select {
		case work <- struct{}{}:
		default:
			t.r.Skipped++
		}
		next := begin.Add(time.Duration(float64(t.r.Offered) / o.Rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
		}
	}
	close(work)
	all.Wait()
	t.r.Seconds = time.Since(begin).Seconds()
	slices.Sort(t.times)
	t.r.P50, t.r.P99 = at(t.times, 0.5), at(t.times, 0.99)
	return t.r
}

// at returns the quantile q of sorted times in milliseconds.
func at(times []time.Duration, q float64) float64 {
	if len(times) == 0 {
		return 0
	}
	return float64(times[min(len(times)-1, int(q*float64(len(times))))]) / float64(time.Millisecond)
}

// Hold logs in n sessions, says so on to, and keeps them until from ends.
func Hold(o *Options, n int, from io.Reader, to io.Writer) error {
	for i := range n {
		s, err := o.login(time.Now().Add(o.Deadline))
		if err != nil {
			return fmt.Errorf("session %d: %w", i+1, err)
		}
		defer s.Close()
	}
	fmt.Fprintln(to, "held")
	_, err := io.Copy(io.Discard, from)
	return err
}
