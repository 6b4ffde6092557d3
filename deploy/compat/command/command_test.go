package command

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestUnbounded plants a proxy that keeps a fifth of what is on its way.
func TestUnbounded(t *testing.T) {
	if got := unbounded(40<<20, 60<<20, 5); got != "" {
		t.Errorf("20 MiB more with 5 loads: %s", got)
	}
	if got := unbounded(40<<20, 140<<20, 5); !strings.Contains(got, "140 MiB, more than 120") {
		t.Errorf("100 MiB more with 5 loads: %q", got)
	}
}

// TestMainRefuses checks that what cannot be run does not end as if nothing had been found.
func TestMainRefuses(t *testing.T) {
	list := func(text string) fstest.MapFS { return fstest.MapFS{"reasons.txt": {Data: []byte(text)}} }
	tests := []struct {
		name  string
		files fstest.MapFS
		args  []string
		want  string
	}{
		{"an unknown suite", list(""), []string{"-suites", "pgx,odbc"}, `no suite "odbc"`},
		{"an unknown flag", list(""), []string{"-fast"}, "flag provided but not defined"},
		{"a list that cannot be read", list("pgx TestX"), []string{"-suites", "none", "-load", "0"}, "reasons.txt: line 1"},
		{"no list", fstest.MapFS{}, []string{"-suites", "none", "-load", "0"}, "reasons.txt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			p := &Program{Out: &out, Files: tt.files}
			if status := p.Main(t.Context(), tt.args); status != 2 || !strings.Contains(out.String(), tt.want) {
				t.Errorf("status %d, said %q; want 2 and %q", status, out.String(), tt.want)
			}
		})
	}
}
