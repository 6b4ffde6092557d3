package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// configDescs are the metrics of what the proxy runs.
type configDescs struct {
	generation, source, successful, applied, refused, connected, contact, notKept *prometheus.Desc
}

func newConfigDescs(desc func(name, help string, labels ...string) *prometheus.Desc) configDescs {
	return configDescs{
		generation: desc("config_generation", "The revision of the generation in force.", "epoch"),
		source:     desc("config_source", "1 for where the configuration in force came from.", "source"),
		successful: desc("config_last_apply_successful", "1 if the newest configuration that came is in force, 0 if it was refused."),
		applied:    desc("config_last_apply_timestamp_seconds", "When the configuration in force came in force."),
		refused:    desc("config_refused_total", "Configurations that were refused."),
		connected:  desc("config_connected", "1 while a control plane is connected."),
		contact:    desc("config_contact_age_seconds", "How long ago a control plane was heard of."),
		notKept:    desc("config_not_kept", "1 if the configuration in force could not be written for the next start."),
	}
}

func (d configDescs) describe(to chan<- *prometheus.Desc) {
	for _, x := range []*prometheus.Desc{d.generation, d.source, d.successful, d.applied, d.refused, d.connected, d.contact, d.notKept} {
		to <- x
	}
}

func (d configDescs) collect(c *Config, to chan<- prometheus.Metric) {
	gauge := func(x *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(x, prometheus.GaugeValue, v, labels...)
	}
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	gauge(d.source, 1, c.Source)
	gauge(d.successful, truth(c.Successful))
	gauge(d.connected, truth(c.Connected))
	gauge(d.notKept, truth(c.NotKept))
	to <- prometheus.MustNewConstMetric(d.refused, prometheus.CounterValue, float64(c.Refused))
	if !c.Applied.IsZero() {
		gauge(d.generation, float64(c.Revision), strconv.FormatUint(c.Epoch, 10))
		gauge(d.applied, float64(c.Applied.UnixNano())/1e9)
	}
	if !c.Contact.IsZero() {
		gauge(d.contact, time.Since(c.Contact).Seconds())
	}
}
