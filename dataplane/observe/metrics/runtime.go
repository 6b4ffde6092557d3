package metrics

import (
	"runtime"
	rt "runtime/metrics"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
)

// Loop is how an event loop is.
type Loop struct {
	ID               int
	Turns, Calls     uint64 // turns, and system calls that it has made in them
	Coroutines, Free int    // that it has, and those of them that wait for work
	Lag              meter.Histogram
}

// runtimeDescs are the metrics of the process from within.
type runtimeDescs struct {
	turns, calls, coroutines, lag                        *prometheus.Desc
	goroutines, allocations, allocated, heap, collection *prometheus.Desc
	keeping                                              *prometheus.Desc
}

func newRuntimeDescs(desc func(name, help string, labels ...string) *prometheus.Desc) runtimeDescs {
	return runtimeDescs{
		turns:       desc("loop_turns_total", "Turns of an event loop: times that it has looked what there is to do.", "loop"),
		calls:       desc("loop_system_calls_total", "System calls that an event loop has made for clients and servers.", "loop"),
		coroutines:  desc("loop_coroutines", "Coroutines of an event loop: at work or parked in a walk (busy), and waiting for one (free).", "loop", "state"),
		lag:         desc("loop_lag_seconds", "How late an event loop comes to what is new, asked once a second.", "loop"),
		goroutines:  desc("goroutines", "Goroutines of the proxy."),
		allocations: desc("allocations_total", "Objects that the proxy has allocated."),
		allocated:   desc("allocated_bytes_total", "Bytes that the proxy has allocated."),
		heap:        desc("heap_bytes", "Bytes of objects that are in use or not collected yet."),
		collection:  desc("collections_total", "Runs of the garbage collector."),
		keeping:     desc("pinned_sessions", "Sessions that keep their server connection now, by what they have there; one may have several.", "reason"),
	}
}

func (d *runtimeDescs) describe(to chan<- *prometheus.Desc) {
	for _, x := range []*prometheus.Desc{
		d.turns, d.calls, d.coroutines, d.lag, d.goroutines, d.allocations, d.allocated, d.heap, d.collection, d.keeping,
	} {
		to <- x
	}
}

func (d *runtimeDescs) collect(s *Snapshot, to chan<- prometheus.Metric) {
	put := func(x *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(x, kind, v, labels...)
	}
	for i := range s.Loops {
		l := &s.Loops[i]
		id := strconv.Itoa(l.ID)
		put(d.turns, prometheus.CounterValue, float64(l.Turns), id)
		put(d.calls, prometheus.CounterValue, float64(l.Calls), id)
		put(d.coroutines, prometheus.GaugeValue, float64(l.Coroutines-l.Free), id, "busy")
		put(d.coroutines, prometheus.GaugeValue, float64(l.Free), id, "free")
		to <- times(d.lag, &l.Lag, id)
	}
	for i, reason := range pin.Every.All() {
		put(d.keeping, prometheus.GaugeValue, float64(s.Pinned[i]), reason)
	}
	read := []rt.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	rt.Read(read)
	put(d.goroutines, prometheus.GaugeValue, float64(runtime.NumGoroutine()))
	put(d.allocations, prometheus.CounterValue, float64(read[0].Value.Uint64()))
	put(d.allocated, prometheus.CounterValue, float64(read[1].Value.Uint64()))
	put(d.heap, prometheus.GaugeValue, float64(read[2].Value.Uint64()))
	put(d.collection, prometheus.CounterValue, float64(read[3].Value.Uint64()))
}
