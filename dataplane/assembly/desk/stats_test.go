package desk

import (
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
)

// TestStats has a database grow in a period, and then be forgotten and count from 0 again: it has never grown by more than it has counted.
func TestStats(t *testing.T) {
	at := time.Unix(1, 0)
	s := newStats(at)
	for _, c := range []struct{ queries, want uint64 }{{100, 100}, {130, 30}, {5, 5}, {5, 0}} {
		at = at.Add(statsPeriod)
		now := map[string]*meter.Account{"d": {Queries: c.queries, TransactionTime: int64(c.queries)}}
		s.tick(at, now)
		got := s.show(now)
		if len(got) != 1 || got[0].Last.Queries != c.want || got[0].Last.TransactionTime != time.Duration(c.want) || got[0].Period != statsPeriod {
			t.Errorf("of %d there are %+v, want %d", c.queries, got, c.want)
		}
	}
}
