package version

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	built := func(v string) *debug.BuildInfo { return &debug.BuildInfo{Main: debug.Module{Version: v}} }
	for _, tt := range []struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		{"v1.2.3", built("v0.0.1"), "v1.2.3"},
		{"", built("v0.0.1"), "v0.0.1"},
		{"", built("(devel)"), "devel"},
		{"", built(""), "devel"},
		{"", nil, "devel"},
	} {
		if got := describe(tt.linked, tt.info); got != tt.want {
			t.Errorf("describe(%q, %v) = %q, want %q", tt.linked, tt.info, got, tt.want)
		}
	}
}

func TestLine(t *testing.T) {
	if got := Line(); !strings.HasPrefix(got, "heliosproxy "+String()+" go") || strings.Contains(got, "\n") {
		t.Errorf("Line() = %q", got)
	}
}
