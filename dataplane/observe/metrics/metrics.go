// Package metrics shows to Prometheus what the proxy counted. It never counts itself: it asks a [Source] at each scrape, and nobody in between.
package metrics

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/program"
	"github.com/heliosproxy/heliosproxy/pkg/version"
)

const (
	namespace     = "helios"
	scrapeTimeout = 10 * time.Second
	scrapesAtOnce = 2
)

// Source is asked what there is to show.
type Source interface {
	// Metrics sums up the loops. It is called by several goroutines at once, and takes milliseconds.
	Metrics() Snapshot
}

// Snapshot is what the proxy has and did at one moment.
type Snapshot struct {
	Clients   []Clients
	Servers   []Servers
	Catalogs  []Catalog
	Listeners []Listener
	Counted   meter.Loop // by all loops together, since the start
	Accounts  []Account  // likewise
	Loops     []Loop
	Pinned    [pin.Count]int // sessions that keep their server connection now, by reason
	Config    *Config        // nil without a control plane

	PasswordCommands program.Counts // that were run for the passwords of servers
	LoginPrograms    program.Counts // that were run to judge log-ins
}

// Config is what the proxy runs.
type Config struct {
	Epoch      uint64
	Revision   int64
	Source     string    // "control-plane", "last-known-good", "file", "none"
	Applied    time.Time // when it came in force
	Successful bool      // nothing newer was refused
	Refused    uint64    // since the start
	Connected  bool
	Contact    time.Time // when a control plane was heard of last; zero if never
	NotKept    bool      // it could not be written for the next start
}

// Clients is a number of client connections that are alike. The same labels may come more than once.
type Clients struct {
	Database, User, State string // as clients gave them, any bytes
	N                     int
}

// Servers is a number of server connections that are alike. The same labels may come more than once.
type Servers struct {
	Database, User, Node, State string
	N                           int
}

// Catalog is how the catalogue of a database is read. The same labels may come more than once.
type Catalog struct {
	Database, Node            string
	Readings, Failures, Bytes uint64
	Known                     bool // it is not the case that everything is suspect
}

// Handler answers scrapes in Prometheus' text format, at most two at a time.
func Handler(s Source, log *zap.Logger) (http.Handler, error) {
	r := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		newCollector(s, version.String()),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{Namespace: namespace}),
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog:            logger{log},
		MaxRequestsInFlight: scrapesAtOnce,
		Timeout:             scrapeTimeout,
	}), nil
}

// logger is what promhttp reports to.
type logger struct{ *zap.Logger }

func (l logger) Println(v ...any) { l.Error("scrape failed", zap.String("reason", fmt.Sprint(v...))) }
