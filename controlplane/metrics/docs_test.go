package metrics

import (
	"flag"
	"testing"

	"github.com/heliosproxy/heliosproxy/pkg/testkit/metricdoc"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

// TestDocs has each metric of a control plane on the page.
func TestDocs(t *testing.T) {
	metricdoc.Check(t, newCollector(nil), "../../docs/metrics.md", "control plane", *update)
}
