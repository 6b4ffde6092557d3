package desk

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/console"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
)

// statsPeriod is how often averages are made (PgBouncer's stats_period).
const statsPeriod = time.Minute

// stats remembers what was counted a period ago, and one before that, for the averages between the two.
type stats struct {
	mu            sync.Mutex
	then, now     map[string]console.Counts
	thenAt, nowAt time.Time
}

func newStats(start time.Time) *stats {
	return &stats{now: map[string]console.Counts{}, nowAt: start, thenAt: start}
}

// tick begins a period.
func (s *stats) tick(at time.Time, counted map[string]*meter.Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.then, s.thenAt = s.now, s.nowAt
	s.now, s.nowAt = map[string]console.Counts{}, at
	for name, a := range counted {
		s.now[name] = countsOf(a)
	}
}

// show is what is counted by now, and how it grew in the period that has ended last.
func (s *stats) show(counted map[string]*meter.Account) []console.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []console.Stats
	for _, name := range slices.Sorted(maps.Keys(counted)) {
		all = append(all, console.Stats{
			Database: name, Total: countsOf(counted[name]), Last: minus(s.now[name], s.then[name]), Period: s.nowAt.Sub(s.thenAt),
		})
	}
	return all
}

func countsOf(a *meter.Account) console.Counts {
	h := &a.Phases
	wait := h[meter.Queue].Sum + h[meter.Connect].Sum
	return console.Counts{
		Assignments: a.Assignments, Transactions: a.Transactions, Queries: a.Queries, Received: a.FromClient, Sent: a.ToClient,
		TransactionTime: time.Duration(a.TransactionTime), QueryTime: time.Duration(h[meter.Server].Sum + h[meter.Client].Sum),
		WaitTime: time.Duration(wait), ClientParses: a.Parses, ServerParses: a.ServerParses, ClientBind: a.Binds,
	}
}

// minus is how a has grown since b.
func minus(a, b console.Counts) console.Counts {
	return console.Counts{
		Assignments: grown(a.Assignments, b.Assignments), Transactions: grown(a.Transactions, b.Transactions), Queries: grown(a.Queries, b.Queries),
		Received: grown(a.Received, b.Received), Sent: grown(a.Sent, b.Sent),
		TransactionTime: grown(a.TransactionTime, b.TransactionTime), QueryTime: grown(a.QueryTime, b.QueryTime), WaitTime: grown(a.WaitTime, b.WaitTime),
		ClientParses: grown(a.ClientParses, b.ClientParses), ServerParses: grown(a.ServerParses, b.ServerParses), ClientBind: grown(a.ClientBind, b.ClientBind),
	}
}

// grown is how a number has grown from b to a; where it was forgotten in between it began at 0 again.
func grown[N uint64 | time.Duration](a, b N) N {
	if a < b {
		return a
	}
	return a - b
}

// KeepStats begins a period each minute, until done is closed.
func (d *Desk) KeepStats(done <-chan struct{}) {
	tick := time.NewTicker(statsPeriod)
	defer tick.Stop()
	for {
		select {
		case at := <-tick.C:
			d.stats.tick(at, d.Counts())
		case <-done:
			return
		}
	}
}
