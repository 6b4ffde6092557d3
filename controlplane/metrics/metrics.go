// Package metrics shows to Prometheus, and to whoever probes, how a control plane is. It never counts itself: it asks a [Source] at each scrape.
package metrics

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/heliosproxy/heliosproxy/pkg/version"
)

const namespace = "helios"

// Source is asked what there is to show, by several goroutines at once.
type Source interface {
	Metrics() Snapshot
	// Ready says whether proxies and people can be served, and if not why.
	Ready() (ok bool, reason string)
}

// Snapshot is how a control plane is at one moment.
type Snapshot struct {
	Epoch, Revision uint64 // of the store; of the desired state
	Generation      int64  // 0 if there is no release
	Sessions        int
	Nodes           map[string]int // by state
	StoreUp         bool
	StoreStale      time.Duration // how long nothing was heard of the store
	Lists, Repairs  uint64
	Sent, SentBytes uint64
	Acked           uint64
	Nacked          map[string]uint64 // by stage
	Converged       map[float64]uint64
	ConvergedCount  uint64
	ConvergedSum    time.Duration
	TurnedAway      uint64
}

// Handler answers /livez, /readyz and /metrics.
func Handler(s Source) (http.Handler, error) {
	r := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		newCollector(s),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{Namespace: namespace}),
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"alive": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ok, reason := s.Ready()
		code := http.StatusOK
		if !ok {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, map[string]any{"ready": ok, "message": reason})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 10 * time.Second}))
	return mux, nil
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client is gone
}

// collector asks a source at each scrape.
type collector struct {
	source Source

	build, revision, generation, sessions, nodes, storeUp, storeStale, lists, repairs *prometheus.Desc
	sent, sentBytes, acked, nacked, convergence, turnedAway                           *prometheus.Desc
}

func newCollector(s Source) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	return &collector{
		source:      s,
		build:       desc("build_info", "1, with the version.", "version"),
		revision:    desc("cp_revision", "The revision of the desired state."),
		generation:  desc("cp_generation", "The revision of the generation that proxies should run.", "epoch"),
		sessions:    desc("cp_sessions", "Proxies whose config stream is open."),
		nodes:       desc("cp_nodes", "Proxies that are known, by state.", "state"),
		storeUp:     desc("cp_store_up", "1 while the store is followed."),
		storeStale:  desc("cp_store_stale_seconds", "How long nothing was heard of the store."),
		lists:       desc("cp_store_lists_total", "How often the store was listed as a whole."),
		repairs:     desc("cp_store_repairs_total", "Keys of which the store had lost an event."),
		sent:        desc("cp_pushes_total", "Generations that were sent to proxies."),
		sentBytes:   desc("cp_push_bytes_total", "Bytes of resources that were sent to proxies."),
		acked:       desc("cp_acks_total", "Generations that proxies have put in force."),
		nacked:      desc("cp_nacks_total", "Generations that proxies have refused.", "stage"),
		convergence: desc("cp_convergence_seconds", "Time from a release to its being in force on a proxy."),
		turnedAway:  desc("cp_unauthenticated_total", "Calls without the token."),
	}
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.build, c.revision, c.generation, c.sessions, c.nodes, c.storeUp, c.storeStale, c.lists, c.repairs,
		c.sent, c.sentBytes, c.acked, c.nacked, c.convergence, c.turnedAway,
	} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	s := c.source.Metrics()
	gauge(c.build, 1, version.String())
	gauge(c.revision, float64(s.Revision))
	if s.Generation != 0 {
		gauge(c.generation, float64(s.Generation), strconv.FormatUint(s.Epoch, 10))
	}
	gauge(c.sessions, float64(s.Sessions))
	for state, n := range s.Nodes {
		gauge(c.nodes, float64(n), state)
	}
	up := 0.0
	if s.StoreUp {
		up = 1
	}
	gauge(c.storeUp, up)
	gauge(c.storeStale, s.StoreStale.Seconds())
	counter(c.lists, s.Lists)
	counter(c.repairs, s.Repairs)
	counter(c.sent, s.Sent)
	counter(c.sentBytes, s.SentBytes)
	counter(c.acked, s.Acked)
	for stage, n := range s.Nacked {
		counter(c.nacked, n, stage)
	}
	counter(c.turnedAway, s.TurnedAway)
	to <- prometheus.MustNewConstHistogram(c.convergence, s.ConvergedCount, s.ConvergedSum.Seconds(), s.Converged)
}

var _ prometheus.Collector = (*collector)(nil)
