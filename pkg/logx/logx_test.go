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
	log, err := logx.New(&out, "info", "json")
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
	log, err := logx.New(&out, "warn", "console")
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
		if _, err := logx.New(nil, tt.level, tt.format); err == nil || err.Error() != tt.want {
			t.Errorf("New(%q, %q): %v, want %s", tt.level, tt.format, err, tt.want)
		}
	}
}
