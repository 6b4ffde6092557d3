package suite

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/heliosproxy/heliosproxy/deploy/compat/outcome"
	"github.com/heliosproxy/heliosproxy/deploy/compat/stage"
)

func TestParts(t *testing.T) {
	tests := []struct {
		name              string
		only, skip, apart []string
		want              []part
	}{
		{"all", nil, nil, nil, []part{{parallel: 8}}},
		{"some apart", nil, nil, []string{"A"}, []part{{skip: []string{"A"}, parallel: 8}, {only: []string{"A"}, parallel: 1}}},
		{"those apart are skipped", nil, []string{"A"}, []string{"A"}, []part{{skip: []string{"A"}, parallel: 8}}},
		{
			"a few, of which some apart",
			[]string{"A", "B"},
			nil,
			[]string{"A", "C"},
			[]part{{only: []string{"A", "B"}, skip: []string{"A"}, parallel: 8}, {only: []string{"A"}, parallel: 1}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parts(tt.only, tt.skip, tt.apart); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestTakenWith has a test that takes those beside it with it: only that one has failed.
func TestTakenWith(t *testing.T) {
	const source = `package x
import ("testing"; "time")
var beside = make(chan bool)
func TestPanics(t *testing.T) { t.Parallel(); select { case <-beside: case <-time.After(time.Second): t.Skip("alone") }; panic("here") }
func TestBeside(t *testing.T) { t.Parallel(); select { case beside <- true: select {}; case <-time.After(time.Second): } }
func TestPlain(t *testing.T) {}`
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module x\ngo 1.24\n", "x_test.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := goPackage{dir: dir, binary: filepath.Join(dir, "x.test")}
	if _, err := run(t.Context(), dir, "go", "test", "-c", "-o", p.binary, "."); err != nil {
		t.Fatal(err)
	}
	m := &goModule{env: func(*stage.Stage) []string { return nil }}
	outcomes, err := m.runPackage(t.Context(), &stage.Stage{}, p, part{parallel: 8})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]outcome.Result{}
	for _, o := range outcomes {
		got[o.Test] = o.Result
	}
	want := map[string]outcome.Result{"TestPanics": outcome.Failed, "TestBeside": outcome.Passed, "TestPlain": outcome.Passed}
	if !maps.Equal(got, want) || len(outcomes) != len(want) {
		t.Errorf("got %v, want %v", outcomes, want)
	}
}
