package assembly_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/heliosproxy/heliosproxy/dataplane/assembly"
	"github.com/heliosproxy/heliosproxy/dataplane/assembly/stage"
	"github.com/heliosproxy/heliosproxy/pkg/logx"
	"github.com/heliosproxy/heliosproxy/pkg/testkit/pgcluster"
	heliosv1 "github.com/heliosproxy/heliosproxy/proto/gen/go/helios/v1"
)

// TestLogOfSessions has a line for each client that comes and goes, with the reason, and no SQL in it.
func TestLogOfSessions(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	core, logs := observer.New(zap.InfoLevel)
	_, addr := stage.Start(t, stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2), func(o *assembly.Options) { o.Log = zap.New(core) })
	polite, rude, killed := stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres"), stage.Connect(t, addr, "postgres")
	stage.Want(t, polite, "SELECT 'c4n4ry'", "c4n4ry")
	polite.Close(context.Background())
	rude.Conn().Close()
	if got := stage.Ask(killed, "SELECT 'c4n4ry', pg_terminate_backend(pg_backend_pid())"); !strings.HasPrefix(got, "57P01") {
		t.Fatal(got)
	}
	ended := func() map[string]int {
		reasons := map[string]int{}
		for _, e := range logs.FilterMessage("client disconnected").All() {
			f := e.ContextMap()
			reasons[f["reason"].(string)]++
			if f["user"] != "postgres" || f["database"] != "postgres" || f["peer"] == "" || f["received"].(uint64) == 0 {
				t.Errorf("the line has %v", f)
			}
		}
		return reasons
	}
	stage.Eventually(t, 15*time.Second, "all have left", func() bool { return logs.FilterMessage("client disconnected").Len() == 3 })
	for _, r := range []string{"the client has said goodbye", "the client has gone away", "the server has ended the session"} {
		if ended()[r] != 1 {
			t.Errorf("%q is not among %v", r, ended())
		}
	}
	if n := logs.FilterMessage("client connected").Len(); n != 3 {
		t.Errorf("%d clients have come", n)
	}
	for _, e := range logs.All() {
		for _, v := range e.ContextMap() {
			if s, ok := v.(string); ok && strings.Contains(s, "c4n4ry") {
				t.Errorf("%s tells of SQL: %s", e.Message, s)
			}
		}
	}
}

// written is what a log has; several goroutines may write and read.
type written struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *written) has(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.b.String(), s)
}

// TestLogLevel changes what the log tells while the proxy runs. A configuration that comes in force leaves it.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	pg := pgcluster.Start(t, pgcluster.Options{}).Primary
	var out written
	log, level, err := logx.New(&out, "warn", "console")
	if err != nil {
		t.Fatal(err)
	}
	set := stage.Config(pg, heliosv1.PoolMode_POOL_MODE_TRANSACTION, 2)
	p, addr := stage.Start(t, set, func(o *assembly.Options) { o.Log, o.LogLevel = log, level })
	c := stage.ConsoleAt(t, addr)
	shown := func() string {
		for _, r := range stage.Rows(t, c, "SHOW CONFIG") {
			if r["key"] == "log_level" {
				return r["value"] + " " + r["default"] + " " + r["changeable"]
			}
		}
		return "nothing"
	}
	for _, tt := range []struct{ sql, refusal, shown string }{
		{"SHOW STATE", "", "warn warn yes"},
		{"SET log_level = 'info'", "", "info warn yes"},
		{"SET verbose = 2", "", "debug warn yes"},
		{"SET verbose = 0", "", "warn warn yes"},
		{"SET log_level = loud", `22023 cannot set log_level: "loud" is not one of debug, info, warn, error`, "warn warn yes"},
		{"SET verbose = -1", `22023 cannot set verbose: "-1" is not a number from 0 on`, "warn warn yes"},
		{"SET log_level TO error", "", "error warn yes"},
	} {
		if got := stage.Tell(c, tt.sql); got != tt.refusal || shown() != tt.shown {
			t.Errorf("%s: %q, then %s", tt.sql, got, shown())
		}
	}
	if !out.has("SET log_level = info") || out.has("client connected") {
		t.Error("the log has not who has set it, or what is below the level")
	}
	if got := stage.Tell(c, "SET log_level = info"); got != "" {
		t.Fatal(got)
	}
	if _, err := p.Apply(set, nil); err != nil {
		t.Fatal(err)
	}
	stage.Connect(t, addr, "postgres", "application_name", "x")
	stage.Eventually(t, 15*time.Second, "the line is written", func() bool { return out.has("client connected") })
}
