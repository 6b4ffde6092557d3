package assembly

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/controlplane/fleet"
	"github.com/heliosproxy/heliosproxy/controlplane/metrics"
	"github.com/heliosproxy/heliosproxy/pkg/manifest"
)

// The limits of the HTTP server of probes and metrics.
const (
	headerTimeout = 15 * time.Second
	maxHeader     = 64 << 10
)

// serveHealth answers probes and scrapes.
func (c *ControlPlane) serveHealth(l net.Listener) error {
	h, err := metrics.Handler(c)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	c.http = &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: 2 * headerTimeout, IdleTimeout: time.Minute,
		MaxHeaderBytes: maxHeader, ErrorLog: zap.NewStdLog(c.o.Log),
	}
	c.run(func() {
		if err := c.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.o.Log.Error("probes and metrics are not served any more", zap.Error(err))
		}
	})
	return nil
}

// Ready implements [metrics.Source].
func (c *ControlPlane) Ready() (ok bool, reason string) {
	if c.config.Current() == nil || c.released.Current() == nil {
		return false, "the store was not read yet"
	}
	if h := c.config.Health(); h.Err != nil {
		return true, "the store is lost, reads and streams go on: " + h.Err.Error()
	}
	return true, ""
}

// Metrics implements [metrics.Source].
func (c *ControlPlane) Metrics() metrics.Snapshot {
	f, h, r := c.fleet.Counted(), c.config.Health(), c.released.Health()
	s := metrics.Snapshot{
		Epoch: c.identity.GetEpoch(), Generation: c.Generation().GetRevision(), Sessions: c.server.Sessions(),
		Nodes: map[string]int{}, StoreUp: h.Err == nil && !h.Heard.IsZero(),
		Lists: h.Lists + r.Lists, Repairs: h.Repairs + r.Repairs,
		Sent: f.Sent, SentBytes: f.SentBytes, Acked: f.Acked, Nacked: map[string]uint64{}, Converged: map[float64]uint64{},
		ConvergedSum: f.ConvergedSum, TurnedAway: c.turnedAway.Load(),
	}
	if !h.Heard.IsZero() {
		s.StoreStale = time.Since(h.Heard)
	}
	if st, err := c.desired.State(); err == nil {
		s.Revision = st.Revision
	}
	for state, n := range c.fleet.States() {
		s.Nodes[manifest.Word(state)] = n
	}
	for stage, n := range f.Nacked {
		s.Nacked[manifest.Word(stage)] = n
	}
	for i, bound := range fleet.Bounds() {
		s.ConvergedCount += f.Converged[i]
		s.Converged[bound] = s.ConvergedCount
	}
	s.ConvergedCount += f.Converged[len(f.Converged)-1]
	return s
}

var _ metrics.Source = (*ControlPlane)(nil)
