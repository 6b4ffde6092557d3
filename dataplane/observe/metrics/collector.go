package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
)

// collector asks a source at each scrape.
type collector struct {
	source  Source
	version string

	build, clients, servers, queries, errors *prometheus.Desc
	logins, cancels, panics, bytes           *prometheus.Desc
	unadmitted, looks, pinned, dropped       *prometheus.Desc
	readings, failures, known, kept          *prometheus.Desc
	config                                   configDescs
	listen                                   listenDescs
	accounts                                 accountDescs
	programs                                 programDescs
	runtime                                  runtimeDescs
}

func newCollector(s Source, version string) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	return &collector{
		source: s, version: version,
		build:      desc("build_info", "1, with the version of the proxy.", "version"),
		clients:    desc("client_connections", "Client connections.", "database", "user", "state"),
		servers:    desc("server_connections", "Server connections, from the dial until the server has closed them.", "database", "user", "node", "state"),
		queries:    desc("queries_total", "Statements executed: Query, Execute and FunctionCall messages."),
		errors:     desc("errors_total", "Errors that clients were told, by who made them: a server or the proxy.", "source"),
		logins:     desc("logins_total", "Clients that logged in."),
		unadmitted: desc("login_failures_total", "Log-ins that were refused, by the SQLSTATE that the client was told, be it the proxy's or a server's; other: more than 16 of servers'.", "sqlstate"),
		cancels:    desc("cancels_total", "Cancel requests, by what became of them: served here, forwarded to the proxy that served it, unknown key, limited, peer_failed.", "outcome"),
		panics:     desc("panics_total", "Sessions that ended by a fault of the proxy."),
		looks:      desc("server_looks_total", "Server connections that were looked through after a transaction that may have left something."),
		pinned:     desc("session_pins_total", "Sessions that came to keep their server connection, by what they have there.", "reason"),
		dropped:    desc("session_drops_total", "Sessions that lost something at the end of a transaction because they may not keep their server connection, by what it was.", "reason"),
		readings:   desc("catalog_readings_total", "Readings of a database's catalogue.", "database", "node"),
		failures:   desc("catalog_failures_total", "Attempts to read a database's catalogue that failed.", "database", "node"),
		known:      desc("catalog_known", "1 if the catalogue of a database is known; 0 while everything is suspect.", "database", "node"),
		kept:       desc("catalog_bytes", "Memory for what is known of a database's catalogue.", "database", "node"),
		bytes:      desc("client_bytes_total", "Bytes of clients, received from them (in) and sent to them (out).", "direction"),
		config:     newConfigDescs(desc),
		listen:     newListenDescs(desc),
		accounts:   newAccountDescs(desc),
		programs:   newProgramDescs(desc),
		runtime:    newRuntimeDescs(desc),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.build, c.clients, c.servers, c.queries, c.errors, c.logins, c.unadmitted, c.cancels, c.panics, c.bytes,
		c.looks, c.pinned, c.dropped, c.readings, c.failures, c.known, c.kept,
	} {
		to <- d
	}
	c.config.describe(to)
	c.listen.describe(to)
	c.accounts.describe(to)
	c.programs.describe(to)
	c.runtime.describe(to)
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(c.build, 1, c.version)

	s := c.source.Metrics()
	for l, n := range sumClients(s.Clients) {
		gauge(c.clients, n, l.Database, l.User, l.State)
	}
	for l, n := range sumServers(s.Servers) {
		gauge(c.servers, n, l.Database, l.User, l.Node, l.State)
	}
	m := &s.Counted
	var sum meter.Account
	for i := range s.Accounts {
		sum.Sum(&s.Accounts[i].Account)
	}
	counter(c.queries, sum.Queries)
	counter(c.errors, sum.Failures(), "server")
	counter(c.errors, m.Refused, "proxy")
	counter(c.logins, m.Logins)
	for state, n := range byState(m) {
		counter(c.unadmitted, n, state)
	}
	for outcome, n := range m.Cancels.All {
		counter(c.cancels, n, outcome)
	}
	counter(c.panics, m.Panics)
	counter(c.looks, m.Looks)
	for i, reason := range pin.Every.All() {
		counter(c.pinned, m.Pinned[i], reason)
		counter(c.dropped, m.Dropped[i], reason)
	}
	counter(c.bytes, m.FromClient+sum.FromClient, "in")
	counter(c.bytes, m.ToClient+sum.ToClient, "out")
	for _, x := range sumCatalogs(s.Catalogs) {
		counter(c.readings, x.Readings, x.Database, x.Node)
		counter(c.failures, x.Failures, x.Database, x.Node)
		gauge(c.kept, int(x.Bytes), x.Database, x.Node)
		known := 0
		if x.Known {
			known = 1
		}
		gauge(c.known, known, x.Database, x.Node)
	}
	c.listen.collect(s.Listeners, m, to)
	c.accounts.collect(s.Accounts, to)
	c.programs.collect(&s.PasswordCommands, &s.LoginPrograms, to)
	c.runtime.collect(&s, to)
	if s.Config != nil {
		c.config.collect(s.Config, to)
	}
}

// byState adds up log-ins that were refused with the same SQLSTATE, whoever has said it.
func byState(m *meter.Loop) map[string]uint64 {
	sums := map[string]uint64{}
	for i, n := range m.Denied.Counts {
		if n > 0 {
			sums[m.Denied.States[i]] += n
		}
	}
	if n := m.Denied.Others; n > 0 {
		sums["other"] = n
	}
	for _, row := range pgerr.Table() {
		if n := m.Unadmitted[row.ID]; n > 0 || row.ID == pgerr.AuthenticationFailed {
			sums[row.SQLState] += n
		}
	}
	return sums
}

// sumClients adds up what has the same labels, which Prometheus would refuse. Labels are UTF-8 in the result.
func sumClients(all []Clients) map[Clients]int {
	sums := make(map[Clients]int, len(all))
	for _, c := range all {
		sums[Clients{Database: valid(c.Database), User: valid(c.User), State: c.State}] += c.N
	}
	return sums
}

// sumServers is [sumClients] for servers.
func sumServers(all []Servers) map[Servers]int {
	sums := make(map[Servers]int, len(all))
	for _, s := range all {
		sums[Servers{Database: valid(s.Database), User: valid(s.User), Node: s.Node, State: s.State}] += s.N
	}
	return sums
}

// sumCatalogs is [sumClients] for catalogues: one is known if all with its labels are.
func sumCatalogs(all []Catalog) map[[2]string]Catalog {
	sums := make(map[[2]string]Catalog, len(all))
	for _, c := range all {
		c.Database = valid(c.Database)
		k := [2]string{c.Database, c.Node}
		if have, twice := sums[k]; twice {
			c.Readings += have.Readings
			c.Failures += have.Failures
			c.Bytes += have.Bytes
			c.Known = c.Known && have.Known
		}
		sums[k] = c
	}
	return sums
}

// valid replaces what is not UTF-8 in a name that a client chose.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Interface guards.
var _ prometheus.Collector = (*collector)(nil)
