package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/heliosproxy/heliosproxy/dataplane/observe/metrics"
	"github.com/heliosproxy/heliosproxy/dataplane/state/meter"
	"github.com/heliosproxy/heliosproxy/dataplane/state/pin"
	"github.com/heliosproxy/heliosproxy/pkg/pgerr"
	"github.com/heliosproxy/heliosproxy/pkg/pgwire"
	"github.com/heliosproxy/heliosproxy/pkg/program"
)

type source func() metrics.Snapshot

func (s source) Metrics() metrics.Snapshot { return s() }

func scrape(t *testing.T, s metrics.Snapshot) (string, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	h, err := metrics.Handler(source(func() metrics.Snapshot { return s }), zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
	return w.Body.String(), logs
}

// want checks that each line is in the text, as a whole line.
func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("lacks %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestHandler(t *testing.T) {
	m := meter.Loop{Refused: 1, Logins: 3, Cancels: meter.Cancels{4, 0, 0, 12, 0}, Panics: 5, FromClient: 100, ToClient: 200, Looks: 6, Notified: 8, Unnotified: 9}
	m.Pin(pin.Temporary | pin.Lock)
	m.Pin(pin.Lock)
	m.Drop(pin.Listen)
	m.Unadmit(pgerr.New(pgerr.UnknownDatabase, "x"), nil)
	for _, state := range []string{"3D000", "28000", "28000", "?"} {
		m.Unadmit(nil, &pgwire.ServerError{SQLState: state})
	}
	a := metrics.Account{Database: "shop", User: "ann", Node: "db:5432", Account: meter.Account{Queries: 5, Transactions: 4, Assignments: 3, Parses: 2, ServerParses: 1, FromClient: 10, ToClient: 20}}
	a.Failed([2]byte{'4', '2'})
	a.Failed([2]byte{'4', '2'})
	for _, ns := range []int64{200_000, 2_000_000, 40_000_000_000} { // up to 0.00025, 0.0025, beyond all
		a.Phases[meter.Queue].Add(ns)
	}
	b, c := a, metrics.Account{Account: meter.Account{Queries: 1}} // of nobody: there were too many
	b.User, b.Account = "bob", meter.Account{Queries: 1}
	b.Phases[meter.Queue].Add(1)
	text, logs := scrape(t, metrics.Snapshot{
		Clients:  []metrics.Clients{{"app", "ann", "idle", 2}, {"app", "ann", "active", 1}},
		Servers:  []metrics.Servers{{"app", "ann", "db:5432", "idle", 4}},
		Catalogs: []metrics.Catalog{{"app", "db:5432", 2, 1, 300, true}, {"app", "db:5432", 1, 0, 30, false}, {"b", "db:5432", 1, 0, 30, true}},
		Listeners: []metrics.Listener{
			{Database: "app", Node: "db:5432", Channels: 1, Subscriptions: 2, Notifications: 3, Losses: 4, Connected: true},
			{Database: "app", Node: "db:5432", Channels: 10, Subscriptions: 20, Notifications: 30, Losses: 40},
			{Database: "b", Node: "db:5432", Connected: true},
		},
		Counted: m, Accounts: []metrics.Account{a, b, c, {Database: "shop", Account: meter.Account{Queries: 6}}},
		PasswordCommands: program.Counts{Runs: 4, Failures: 1, Within: [len(program.Bounds) + 1]uint64{1, 0, 2, len(program.Bounds): 1}, Seconds: 40.5},
		Loops:            []metrics.Loop{{ID: 1, Turns: 30, Calls: 40, Coroutines: 5, Free: 3, Lag: meter.Histogram{Buckets: [len(meter.Bounds) + 1]uint64{2, 1}, Sum: 4e5}}},
		Pinned:           [pin.Count]int{0: 7},
		LoginPrograms:    program.Counts{Runs: 7, Refusals: 3, Failures: 2, Within: [len(program.Bounds) + 1]uint64{7}, Seconds: 0.007},
	})
	for _, reason := range pin.Set(1).All() {
		want(t, text, `helios_pinned_sessions{reason="`+reason+`"} 7`)
	}
	want(t, text,
		`helios_client_connections{database="app",state="idle",user="ann"} 2`,
		`helios_client_connections{database="app",state="active",user="ann"} 1`,
		`helios_server_connections{database="app",node="db:5432",state="idle",user="ann"} 4`,
		`helios_queries_total 13`,
		`helios_errors_total{source="server"} 2`,
		`helios_errors_total{source="proxy"} 1`,
		`helios_logins_total 3`,
		`helios_login_failures_total{sqlstate="3D000"} 2`, `helios_login_failures_total{sqlstate="28000"} 2`, `helios_login_failures_total{sqlstate="other"} 1`,
		`helios_cancels_total{outcome="served"} 4`, `helios_cancels_total{outcome="limited"} 12`, `helios_cancels_total{outcome="peer_failed"} 0`,
		`helios_panics_total 5`,
		`helios_server_looks_total 6`,
		`helios_session_pins_total{reason="lock"} 2`,
		`helios_session_pins_total{reason="temporary"} 1`,
		`helios_session_pins_total{reason="cursor"} 0`,
		`helios_session_drops_total{reason="listen"} 1`,
		`helios_loop_turns_total{loop="1"} 30`,
		`helios_loop_system_calls_total{loop="1"} 40`,
		`helios_loop_coroutines{loop="1",state="busy"} 2`,
		`helios_loop_coroutines{loop="1",state="free"} 3`,
		`helios_loop_lag_seconds_bucket{loop="1",le="0.0001"} 2`,
		`helios_loop_lag_seconds_bucket{loop="1",le="0.00025"} 3`,
		`helios_loop_lag_seconds_sum{loop="1"} 0.0004`,
		`helios_catalog_readings_total{database="app",node="db:5432"} 3`,
		`helios_catalog_failures_total{database="app",node="db:5432"} 1`,
		`helios_catalog_bytes{database="app",node="db:5432"} 330`,
		`helios_catalog_known{database="app",node="db:5432"} 0`,
		`helios_catalog_known{database="b",node="db:5432"} 1`,
		`helios_listener_channels{database="app",node="db:5432"} 11`,
		`helios_listener_subscriptions{database="app",node="db:5432"} 22`,
		`helios_listener_connected{database="app",node="db:5432"} 0`,
		`helios_listener_connected{database="b",node="db:5432"} 1`,
		`helios_listener_notifications_total{database="app",node="db:5432"} 33`,
		`helios_listener_losses_total{database="app",node="db:5432"} 44`,
		`helios_notifications_delivered_total 8`,
		`helios_notifications_dropped_total 9`,
		`helios_client_bytes_total{direction="in"} 110`,
		`helios_client_bytes_total{direction="out"} 220`,
		`helios_pool_queries_total{database="shop",node="db:5432",user="ann"} 5`,
		`helios_pool_queries_total{database="shop",node="db:5432",user="bob"} 1`,
		`helios_pool_queries_total{database="(others)",node="(others)",user="(others)"} 1`,
		`helios_pool_queries_total{database="shop",node="(others)",user="(others)"} 6`,
		`helios_pool_transactions_total{database="shop",node="db:5432",user="ann"} 4`,
		`helios_pool_assignments_total{database="shop",node="db:5432",user="ann"} 3`,
		`helios_pool_bytes_total{database="shop",direction="in",node="db:5432",user="ann"} 10`,
		`helios_pool_server_errors_total{class="42",database="shop",node="db:5432",user="ann"} 2`,
		`helios_pool_parses_total{by="client",database="shop",node="db:5432",user="ann"} 2`,
		`helios_pool_parses_total{by="server",database="shop",node="db:5432",user="ann"} 1`,
		`helios_statement_seconds_bucket{database="shop",phase="queue",le="0.0001"} 1`,
		`helios_statement_seconds_bucket{database="shop",phase="queue",le="0.00025"} 2`,
		`helios_statement_seconds_bucket{database="shop",phase="queue",le="0.001"} 2`,
		`helios_statement_seconds_bucket{database="shop",phase="queue",le="0.0025"} 3`,
		`helios_statement_seconds_bucket{database="shop",phase="queue",le="30"} 3`,
		`helios_statement_seconds_bucket{database="shop",phase="queue",le="+Inf"} 4`,
		`helios_statement_seconds_count{database="shop",phase="queue"} 4`,
		`helios_statement_seconds_sum{database="shop",phase="queue"} 40.002200001`,
		`helios_statement_seconds_count{database="shop",phase="server"} 0`,
		`# TYPE helios_statement_seconds histogram`,
		`helios_password_command_runs_total 4`,
		`helios_password_command_failures_total 1`,
		`helios_password_command_seconds_bucket{le="0.005"} 1`,
		`helios_password_command_seconds_bucket{le="0.05"} 3`,
		`helios_password_command_seconds_bucket{le="30"} 3`,
		`helios_password_command_seconds_bucket{le="+Inf"} 4`,
		`helios_password_command_seconds_count 4`,
		`helios_password_command_seconds_sum 40.5`,
		`helios_login_program_runs_total 7`,
		`helios_login_program_refusals_total 3`,
		`helios_login_program_failures_total 2`,
		`helios_login_program_seconds_bucket{le="0.005"} 7`,
		`helios_login_program_seconds_count 7`,
	)
	for _, name := range []string{`helios_goroutines`, `helios_build_info\{version="[^"]+"\}`, `helios_process_resident_memory_bytes`} {
		if !regexp.MustCompile(`(?m)^` + name + ` [1-9]`).MatchString(text) {
			t.Errorf("lacks %s", name)
		}
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), "helios_") {
			t.Errorf("begins otherwise than with helios_: %s", line)
		}
	}
	if logs.Len() != 0 {
		t.Errorf("logged %v", logs.All())
	}
}

// TestConfig shows what is run, from where, and how well the control plane is followed.
func TestConfig(t *testing.T) {
	text, _ := scrape(t, metrics.Snapshot{Config: &metrics.Config{
		Epoch: 2, Revision: 17, Source: "last-known-good", Applied: time.Unix(1000, 0), Refused: 3, Contact: time.Now().Add(-time.Hour), NotKept: true,
	}})
	want(t, text,
		`helios_config_generation{epoch="2"} 17`,
		`helios_config_source{source="last-known-good"} 1`,
		`helios_config_last_apply_successful 0`,
		`helios_config_last_apply_timestamp_seconds 1000`,
		`helios_config_refused_total 3`,
		`helios_config_connected 0`,
		`helios_config_not_kept 1`,
	)
	if !regexp.MustCompile(`(?m)^helios_config_contact_age_seconds 3600\.`).MatchString(text) {
		t.Error("lacks the age of the last contact")
	}
	if text, _ := scrape(t, metrics.Snapshot{}); strings.Contains(text, "helios_config") {
		t.Error("a proxy without a control plane tells of one")
	}
}

// TestAnyNames: names that clients chose, and the same ones twice, do not spoil a scrape.
func TestAnyNames(t *testing.T) {
	text, logs := scrape(t, metrics.Snapshot{
		Clients: []metrics.Clients{{"a\xff", "u\n\"", "idle", 1}, {"a\xfe", "u\n\"", "idle", 2}},
		Servers: []metrics.Servers{{"a\xff", "u", "n", "idle", 1}, {"a\xff", "u", "n", "idle", 2}},
	})
	want(t, text,
		"helios_client_connections{database=\"a\uFFFD\",state=\"idle\",user=\"u\\n\\\"\"} 3",
		"helios_server_connections{database=\"a\uFFFD\",node=\"n\",state=\"idle\",user=\"u\"} 3",
	)
	if logs.Len() != 0 {
		t.Errorf("logged %v", logs.All())
	}
}
