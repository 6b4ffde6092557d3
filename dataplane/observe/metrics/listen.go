package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
)

// Listener is the connection that listens for all sessions of a database. The same labels may come more than once.
type Listener struct {
	Database, Node          string
	Channels, Subscriptions int
	Notifications, Losses   uint64
	Connected               bool
}

// listenDescs are the metrics of LISTEN.
type listenDescs struct {
	channels, subscriptions, connected, received, losses, delivered, dropped *prometheus.Desc
}

func newListenDescs(desc func(name, help string, labels ...string) *prometheus.Desc) listenDescs {
	return listenDescs{
		channels:      desc("listener_channels", "Channels that the shared listener of a database listens to.", "database", "node"),
		subscriptions: desc("listener_subscriptions", "Subscriptions of sessions to channels of the shared listener of a database.", "database", "node"),
		connected:     desc("listener_connected", "1 while the shared listener of a database is connected, which it is only while somebody listens.", "database", "node"),
		received:      desc("listener_notifications_total", "Notifications that the shared listener of a database has received.", "database", "node"),
		losses:        desc("listener_losses_total", "Connections that the shared listener of a database has lost, after each of which sessions are warned.", "database", "node"),
		delivered:     desc("notifications_delivered_total", "Notifications of shared listeners that clients were sent."),
		dropped:       desc("notifications_dropped_total", "Notifications of shared listeners that were dropped, as a client did not read; it is warned."),
	}
}

func (d listenDescs) describe(to chan<- *prometheus.Desc) {
	for _, x := range []*prometheus.Desc{d.channels, d.subscriptions, d.connected, d.received, d.losses, d.delivered, d.dropped} {
		to <- x
	}
}

func (d listenDescs) collect(all []Listener, m *meter.Loop, to chan<- prometheus.Metric) {
	show := func(x *prometheus.Desc, kind prometheus.ValueType, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(x, kind, float64(v), labels...)
	}
	for k, l := range sumListeners(all) {
		connected := uint64(0)
		if l.Connected {
			connected = 1
		}
		show(d.channels, prometheus.GaugeValue, uint64(l.Channels), k[0], k[1])
		show(d.subscriptions, prometheus.GaugeValue, uint64(l.Subscriptions), k[0], k[1])
		show(d.connected, prometheus.GaugeValue, connected, k[0], k[1])
		show(d.received, prometheus.CounterValue, l.Notifications, k[0], k[1])
		show(d.losses, prometheus.CounterValue, l.Losses, k[0], k[1])
	}
	show(d.delivered, prometheus.CounterValue, m.Notified)
	show(d.dropped, prometheus.CounterValue, m.Unnotified)
}

// sumListeners is [sumClients] for listeners: they are connected if all with their labels are.
func sumListeners(all []Listener) map[[2]string]Listener {
	sums := make(map[[2]string]Listener, len(all))
	for _, l := range all {
		k := [2]string{valid(l.Database), l.Node}
		if have, twice := sums[k]; twice {
			l.Channels += have.Channels
			l.Subscriptions += have.Subscriptions
			l.Notifications += have.Notifications
			l.Losses += have.Losses
			l.Connected = l.Connected && have.Connected
		}
		sums[k] = l
	}
	return sums
}
