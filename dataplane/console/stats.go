package console

import (
	"strings"
	"time"
)

// What is counted, as PgBouncer calls it in totals, in averages, and in the tables that have only one of them.
func totals() []string {
	return strings.Fields("server_assignment_count xact_count query_count received sent xact_time query_time wait_time client_parse_count server_parse_count bind_count")
}

func averages() []string {
	return strings.Fields("server_assignment_count xact_count query_count recv sent xact_time query_time wait_time client_parse_count server_parse_count bind_count")
}

func plain() []string {
	return strings.Fields("server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time wait_time client_parse_count server_parse_count bind_count")
}

func numeric(prefix string, names []string) string {
	for i := range names {
		names[i] = prefix + names[i] + ":n"
	}
	return strings.Join(names, " ")
}

func countsRow(c Counts) []any {
	us := func(d time.Duration) uint64 { return uint64(d / time.Microsecond) }
	return []any{
		c.Assignments, c.Transactions, c.Queries, c.Received, c.Sent, us(c.TransactionTime), us(c.QueryTime), us(c.WaitTime),
		c.ClientParses, c.ServerParses, c.ClientBind,
	}
}

// averagesRow is what there was a second in the last period, and how long a transaction, a statement and a wait took then.
func averagesRow(s Stats) []any {
	if s.Period <= 0 {
		return countsRow(Counts{})
	}
	sec := func(n uint64) uint64 { return uint64(float64(n)/s.Period.Seconds() + 0.5) }
	per := func(d time.Duration, n uint64) time.Duration {
		if n == 0 {
			return 0
		}
		return d / time.Duration(n)
	}
	l := &s.Last
	return countsRow(Counts{
		Assignments: sec(l.Assignments), Transactions: sec(l.Transactions), Queries: sec(l.Queries), Received: sec(l.Received), Sent: sec(l.Sent),
		TransactionTime: per(l.TransactionTime, l.Transactions), QueryTime: per(l.QueryTime, l.Queries), WaitTime: per(l.WaitTime, l.Assignments),
		ClientParses: sec(l.ClientParses), ServerParses: sec(l.ServerParses), ClientBind: sec(l.ClientBind),
	})
}

func (c *Counts) add(o *Counts) {
	c.Assignments += o.Assignments
	c.Transactions += o.Transactions
	c.Queries += o.Queries
	c.Received += o.Received
	c.Sent += o.Sent
	c.TransactionTime += o.TransactionTime
	c.QueryTime += o.QueryTime
	c.WaitTime += o.WaitTime
	c.ClientParses += o.ClientParses
	c.ServerParses += o.ServerParses
	c.ClientBind += o.ClientBind
}
