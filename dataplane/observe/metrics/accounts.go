package metrics

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
)

// Account is what was counted of the clients of a database who use a pool. The same labels may come more than once. Without a node it is
// that of all for whom there was no room, in a database if it has one.
type Account struct {
	Database, User, Node string
	meter.Account
}

// accountDescs are the metrics of pools and of what statements take.
type accountDescs struct {
	queries, transactions, assignments, bytes, errors, parses, phases *prometheus.Desc
}

func newAccountDescs(desc func(name, help string, labels ...string) *prometheus.Desc) accountDescs {
	return accountDescs{
		queries:      desc("pool_queries_total", "Statements executed, by database, user at the server and node.", "database", "user", "node"),
		transactions: desc("pool_transactions_total", "Transactions that have ended.", "database", "user", "node"),
		assignments:  desc("pool_assignments_total", "Times that a server connection was lent.", "database", "user", "node"),
		bytes:        desc("pool_bytes_total", "Bytes of clients, received from them (in) and sent to them (out).", "database", "user", "node", "direction"),
		errors:       desc("pool_server_errors_total", "Errors of servers that clients were told, by the class of the SQLSTATE.", "database", "user", "node", "class"),
		parses:       desc("pool_parses_total", "Prepared statements: made by clients (client), and by the proxy on server connections (server).", "database", "user", "node", "by"),
		phases:       desc("statement_seconds", "What the time of statements goes to: waiting for a server connection that others have (queue) or that is opened (connect), for the server, and for the client to read or send.", "database", "phase"),
	}
}

func (d accountDescs) describe(to chan<- *prometheus.Desc) {
	for _, x := range []*prometheus.Desc{d.queries, d.transactions, d.assignments, d.bytes, d.errors, d.parses, d.phases} {
		to <- x
	}
}

func (d accountDescs) collect(all []Account, to chan<- prometheus.Metric) {
	pools, databases := sumAccounts(all)
	for k, a := range pools {
		count := func(x *prometheus.Desc, n uint64, more ...string) {
			to <- prometheus.MustNewConstMetric(x, prometheus.CounterValue, float64(n), append(k[:], more...)...)
		}
		count(d.queries, a.Queries)
		count(d.transactions, a.Transactions)
		count(d.assignments, a.Assignments)
		count(d.bytes, a.FromClient, "in")
		count(d.bytes, a.ToClient, "out")
		count(d.parses, a.Parses, "client")
		count(d.parses, a.ServerParses, "server")
		for class, n := range a.Errors {
			count(d.errors, n, valid(string(class[:])))
		}
	}
	for name, a := range databases {
		for p := range meter.PhaseCount {
			to <- times(d.phases, &a.Phases[p], name, p.String())
		}
	}
}

// sumAccounts adds up what has the same labels, by pool and by database.
func sumAccounts(all []Account) (pools map[[3]string]*meter.Account, databases map[string]*meter.Account) {
	pools, databases = map[[3]string]*meter.Account{}, map[string]*meter.Account{}
	for i := range all {
		x := &all[i]
		k := [3]string{valid(x.Database), valid(x.User), x.Node}
		if x.Node == "" {
			k = [3]string{cmp.Or(k[0], "(others)"), "(others)", "(others)"}
		}
		if pools[k] == nil {
			pools[k] = &meter.Account{}
		}
		if databases[k[0]] == nil {
			databases[k[0]] = &meter.Account{}
		}
		pools[k].Sum(&x.Account)
		databases[k[0]].Sum(&x.Account)
	}
	return pools, databases
}

// times shows a histogram of times.
func times(d *prometheus.Desc, h *meter.Histogram, labels ...string) prometheus.Metric {
	bounds := make([]float64, len(meter.Bounds))
	for i, ns := range meter.Bounds {
		bounds[i] = float64(ns) / 1e9
	}
	return histogram(d, bounds, h.Buckets[:], float64(h.Sum)/1e9, labels...)
}

// histogram turns counts a bucket, of which there is one more than bounds, into counts up to a bound.
func histogram(d *prometheus.Desc, bounds []float64, counts []uint64, sum float64, labels ...string) prometheus.Metric {
	upTo := make(map[float64]uint64, len(bounds))
	var n uint64
	for i, bound := range bounds {
		n += counts[i]
		upTo[bound] = n
	}
	return prometheus.MustNewConstHistogram(d, n+counts[len(bounds)], sum, upTo, labels...)
}
