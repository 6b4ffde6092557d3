package metricdoc

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// failing notes that a check has failed.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Errorf(string, ...any) { f.failed = true }

// TestCheck finds a metric that the page lacks, writes it down, and is content then.
func TestCheck(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("Head\n<!-- x -->\n<!-- end -->\nTail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "helios_x", Help: `Things, "all" of them.`}, []string{"a", "b"})
	f := &failing{TB: t}
	if Check(f, c, page, "x", false); !f.failed {
		t.Error("a page without a metric passes")
	}
	Check(t, c, page, "x", true)
	Check(t, c, page, "x", false)
	text, err := os.ReadFile(page)
	if want := "Head\n<!-- x -->\n| `helios_x{a,b}` | Things, \"all\" of them. |\n<!-- end -->\nTail\n"; string(text) != want || err != nil {
		t.Errorf("%s", text)
	}
}
