package logx_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/heliosproxy/heliosproxy/pkg/logx"
)

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	log, _, err := logx.New(&out, "info", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("below")
	log.Info("ready", zap.String("node_id", "n1"), zap.Duration("after", time.Second))
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	for key, want := range map[string]string{"level": "info", "msg": "ready", "node_id": "n1", "after": "1s"} {
		if got[key] != want {
			t.Errorf("%s = %v, want %s", key, got[key], want)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil {
		t.Error(err)
	}
}

func TestConsole(t *testing.T) {
	var out bytes.Buffer
	log, _, err := logx.New(&out, "warn", "console")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("below")
	log.Warn("careful", zap.Int("n", 1))
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "\tWARN\tcareful\t{\"n\": 1}") {
		t.Errorf("got %q", got)
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ level, format, want string }{
		{"loud", "json", `log level "loud" is not one of debug, info, warn, error`},
		{"fatal", "json", `log level "fatal" is not one of debug, info, warn, error`},
		{"info", "xml", `log format "xml" is not one of console, json`},
	} {
		if _, _, err := logx.New(nil, tt.level, tt.format); err == nil || err.Error() != tt.want {
			t.Errorf("New(%q, %q): %v, want %s", tt.level, tt.format, err, tt.want)
		}
	}
}

// TestLevel changes the level of a logger and of one that was made of it.
func TestLevel(t *testing.T) {
	var out bytes.Buffer
	log, level, err := logx.New(&out, "info", "console")
	if err != nil {
		t.Fatal(err)
	}
	child := log.With(zap.Int("n", 1))
	for _, tt := range []struct {
		level string
		lines int
	}{{"debug", 4}, {"error", 0}, {"info", 2}} {
		if err := level.Set(tt.level); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		for _, l := range []*zap.Logger{log, child} {
			l.Debug("a")
			l.Info("b")
		}
		if got := strings.Count(out.String(), "\n"); got != tt.lines || level.String() != tt.level || level.Begun() != "info" {
			t.Errorf("%s: %d lines, it is %s and began as %s", tt.level, got, level, level.Begun())
		}
	}
	if err := level.Set("loud"); err == nil || level.String() != "info" {
		t.Errorf("%v, it is %s", err, level)
	}
	if err := level.Begin("warn"); err != nil || level.String() != "warn" || level.Begun() != "warn" {
		t.Errorf("%v, it is %s and began as %s", err, level, level.Begun())
	}
}
