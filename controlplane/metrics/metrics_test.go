package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/heliosproxy/heliosproxy/controlplane/metrics"
)

// source is a control plane as it is.
type source struct {
	metrics.Snapshot
	reason string
}

func (s source) Metrics() metrics.Snapshot { return s.Snapshot }
func (s source) Ready() (bool, string)     { return s.reason == "", s.reason }

func get(t *testing.T, s source, path string) (int, string) {
	t.Helper()
	h, err := metrics.Handler(s)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestMetrics(t *testing.T) {
	code, text := get(t, source{Snapshot: metrics.Snapshot{
		Epoch: 1, Revision: 3, Generation: 17, Sessions: 2, Nodes: map[string]int{"synced": 2}, StoreUp: true, StoreStale: time.Second,
		Lists: 4, Repairs: 1, Sent: 5, SentBytes: 600, Acked: 4, Nacked: map[string]uint64{"warm": 1}, TurnedAway: 7,
		Converged: map[float64]uint64{0.05: 1, 1: 3}, ConvergedCount: 4, ConvergedSum: 5 * time.Second,
	}}, "/metrics")
	if code != http.StatusOK {
		t.Errorf("status %d", code)
	}
	for _, want := range []string{
		`helios_cp_revision 3`, `helios_cp_generation{epoch="1"} 17`, `helios_cp_sessions 2`, `helios_cp_nodes{state="synced"} 2`, `helios_cp_store_up 1`,
		`helios_cp_store_stale_seconds 1`, `helios_cp_store_lists_total 4`, `helios_cp_store_repairs_total 1`, `helios_cp_pushes_total 5`, `helios_cp_push_bytes_total 600`,
		`helios_cp_acks_total 4`, `helios_cp_nacks_total{stage="warm"} 1`, `helios_cp_unauthenticated_total 7`, `helios_cp_convergence_seconds_bucket{le="1"} 3`,
		`helios_cp_convergence_seconds_count 4`, `helios_cp_convergence_seconds_sum 5`,
	} {
		if !strings.Contains("\n"+text, "\n"+want+"\n") {
			t.Errorf("lacks %s", want)
		}
	}
}

func TestProbes(t *testing.T) {
	for _, tt := range []struct {
		path, reason string
		code         int
		want         string
	}{
		{"/livez", "not yet", 200, `{"alive":true}`},
		{"/readyz", "", 200, `{"message":"","ready":true}`},
		{"/readyz", "the store was not read yet", 503, `{"message":"the store was not read yet","ready":false}`},
		{"/frob", "", 404, "404 page not found"},
	} {
		if code, body := get(t, source{reason: tt.reason}, tt.path); code != tt.code || strings.TrimSpace(body) != tt.want {
			t.Errorf("%s: %d %s", tt.path, code, body)
		}
	}
}
